//! `Failure`: why an example ends, in one sentence for whoever started it.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// Why an example ends: what went wrong, where, and what to do about it.
///
/// Any error becomes one, with its causes, so that `?` works in an example.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure(String);

impl Failure {
    /// A failure in these words.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_remedy(self, remedy: impl fmt::Display) -> Self {
        Self(format!("{self}; {remedy}"))
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut sentence = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !sentence.contains(&text) {
                sentence = format!("{sentence}: {text}");
            }
            cause = error.source();
        }
        Self(sentence)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells a failure on stderr. For the end of `main`.
#[must_use]
pub fn exit(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Wrapped(&'static str, std::num::ParseIntError);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.1)
        }
    }

    #[test]
    fn a_failure_tells_each_cause_once() {
        let cause = || "x".parse::<u8>().unwrap_err();
        let told = Failure::from(Wrapped("no port", cause())).with_remedy("write a number");
        assert_eq!(
            told.to_string(),
            "no port: invalid digit found in string; write a number"
        );
        let twice = Failure::from(Wrapped("invalid digit found in string", cause()));
        assert_eq!(twice.to_string(), "invalid digit found in string");
    }
}
