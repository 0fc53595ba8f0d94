//! What an error of Redis means for the next decision.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::location::OpenError;

/// What an error says about the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Meaning {
    /// It cannot count now, whoever asks: it is away, loading, out of memory, only reads.
    Down,
    /// It will not count for us until somebody changes something.
    Refuses,
    /// This one answer went wrong; others need not.
    Odd,
}

impl Meaning {
    pub(crate) fn of(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::AuthenticationFailed
            | ErrorKind::InvalidClientConfig
            | ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::Moved) => Self::Refuses,
            ErrorKind::Server(ServerErrorKind::ResponseError) => {
                // The one lack that has no code of its own.
                let full = error.detail().is_some_and(|it| it.contains("max number"));
                if full { Self::Down } else { Self::Odd }
            }
            ErrorKind::UnexpectedReturnType => Self::Odd,
            _ => match error.code() {
                Some("NOAUTH" | "WRONGPASS") => Self::Refuses,
                Some("WRONGTYPE") => Self::Odd,
                _ => Self::Down,
            },
        }
    }
}

/// Why a connection could not be made, or could not count.
#[derive(Debug)]
pub(crate) enum ConnectError {
    Failed(RedisError),
    /// Nothing came back in time.
    Late,
    /// It is there, and only reads.
    Replica,
    /// It is one of several that share the keys.
    Cluster,
}

impl From<RedisError> for ConnectError {
    fn from(error: RedisError) -> Self {
        Self::Failed(error)
    }
}

impl ConnectError {
    /// In a few words, for the log.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Failed(error) => error.to_string(),
            Self::Late => "it did not answer in time".into(),
            Self::Replica => "it is a replica, which only reads".into(),
            Self::Cluster => "it is a node of a cluster".into(),
        }
    }

    /// What to tell whoever started the app, unless waiting may help.
    pub(crate) fn fatal(self, place: &str) -> Result<(), OpenError> {
        let error = match self {
            Self::Late | Self::Replica => return Ok(()),
            Self::Cluster => {
                let message = format!(
                    "`{place}` is a node of a cluster, which is not supported; name a server by itself"
                );
                return Err(OpenError::new(message));
            }
            Self::Failed(error) => error,
        };
        let remedy = match (Meaning::of(&error), error.code()) {
            (Meaning::Down, _) => return Ok(()),
            (_, Some("NOAUTH")) => {
                "wants a password; write `redis://user:password@host`, or `:password@` without a user"
            }
            (_, Some("NOPERM")) => {
                "lets this user in, but not do the work; allow it `+evalsha +script|load +get +set +time` on the keys `PREFIX:*`"
            }
            _ if error.kind() == ErrorKind::AuthenticationFailed => {
                "refuses the user or the password; correct them in the URL"
            }
            _ => "cannot be used; see what it answered, and correct the URL",
        };
        let message = format!("`{place}` {remedy}: {error}");
        Err(OpenError::new(message).with_source(error))
    }
}
