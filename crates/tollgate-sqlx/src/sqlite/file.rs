//! The database's file, before SQLite sees it.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteLockingMode};
use sqlx::{Connection as _, Executor as _};

use super::errors::is_busy;
use crate::open::OpenError;

/// Makes the file if there is none, unless it has to exist. Its owner alone may read it: it holds what every key may do.
/// SQLite gives its log the same mode.
pub(super) fn prepare(path: &Path, existing: bool) -> Result<(), OpenError> {
    let shown = path.display();
    if path.is_dir() {
        return Err(OpenError::new(format!(
            "`{shown}` is a directory, not a database file"
        )));
    }
    if existing && !path.exists() {
        return Err(OpenError::missing(format!(
            "there is no database `{shown}`"
        )));
    }
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|it| !it.is_dir()) {
        return Err(OpenError::new(format!(
            "there is no directory `{}` for the database file `{shown}`",
            parent.display()
        )));
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => {
            let message = format!("the database file `{shown}` cannot be created");
            Err(OpenError::new(message).with_source(error))
        }
    }
}

/// Passes if nobody has the file open: whoever has, and has read it, holds a lock of it. What else
/// is wrong with the file is told by who opens it next.
pub(super) async fn refuse_others(path: &Path) -> Result<(), OpenError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(std::time::Duration::ZERO)
        .locking_mode(SqliteLockingMode::Exclusive);
    let look = async {
        let mut connection = SqliteConnection::connect_with(&options).await?;
        // Only a look takes the lock.
        let looked = connection.execute("BEGIN EXCLUSIVE; ROLLBACK").await;
        connection.close().await?;
        looked
    };
    match look.await {
        Err(error) if is_busy(&error) => Err(OpenError::new(format!(
            "`{}` is open in another process; stop the app first",
            path.display()
        ))),
        _ => Ok(()),
    }
}
