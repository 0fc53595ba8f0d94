//! Reads the files that a command is given, none of them longer than makes sense.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use tollgate_core::catalog::{Catalog, CatalogError};

use crate::failure::Failure;

const LONGEST: u64 = 64 * 1024 * 1024;

/// Reads a secret that may not stand on the command line: every byte of the file, which is not for
/// everybody to read.
pub(crate) fn secret(what: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let (file, bytes) = bytes(what, path)?;
    let shown = path.display();
    if is_for_everybody(&file)? {
        return Err(Failure::new(format!(
            "everybody may read the {what} `{shown}`; write `chmod o-r {shown}`, and think of \
             another secret"
        )));
    }
    if bytes.is_empty() {
        return Err(Failure::new(format!("the {what} `{shown}` is empty")));
    }
    Ok(bytes)
}

/// A pipe or a device is whose it is.
#[cfg(unix)]
fn is_for_everybody(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;

    const READ_BY_OTHERS: u32 = 0o004;
    let file = file.metadata()?;
    Ok(file.is_file() && file.mode() & READ_BY_OTHERS != 0)
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
const fn is_for_everybody(_: &File) -> io::Result<bool> {
    Ok(false)
}

/// Reads a text.
pub(crate) fn text(what: &str, path: &Path) -> Result<String, Failure> {
    let (_, bytes) = bytes(what, path)?;
    String::from_utf8(bytes).map_err(|_| {
        let shown = path.display();
        Failure::new(format!("the {what} `{shown}` is not UTF-8 text"))
    })
}

/// Reads a catalog to work by.
pub(crate) fn catalog(path: &Path) -> Result<Catalog, Failure> {
    let text = text("catalog", path)?;
    Catalog::from_toml(&text).map_err(|error| {
        let shown = path.display();
        Failure::new(problems(&error)).within(format!("the catalog `{shown}` cannot be used"))
    })
}

/// Everything that is wrong with a catalog, in one sentence.
pub(crate) fn problems(error: &CatalogError) -> String {
    let problems = error.problems().iter().map(ToString::to_string);
    problems.collect::<Vec<_>>().join("; ")
}

fn bytes(what: &str, path: &Path) -> Result<(File, Vec<u8>), Failure> {
    let shown = path.display();
    let refused = |error| Failure::from(error).within(format!("cannot read the {what} `{shown}`"));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(refused)?;
    let read = (&file)
        .take(LONGEST)
        .read_to_end(&mut bytes)
        .map_err(refused)?;
    if u64::try_from(read).is_ok_and(|read| read < LONGEST) {
        return Ok((file, bytes));
    }
    Err(Failure::new(format!(
        "the {what} `{shown}` is longer than 64 MiB"
    )))
}
