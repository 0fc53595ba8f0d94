//! What takes the room of files away, and gives it back.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether the command could be started and did what it was asked.
pub(super) fn works(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet
        .args(arguments)
        .status()
        .is_ok_and(|status| status.success())
}

/// What takes the room away, and gives it back.
pub(super) enum Room {
    /// A file that fills the disk.
    Ballast(PathBuf),
    /// A limit to the size of files, which the log is beyond already.
    Limit,
}

impl Room {
    pub(super) fn take(&self) {
        match self {
            Self::Limit => may_grow_to("65536"),
            Self::Ballast(path) => fill(path),
        }
    }

    pub(super) fn give_back(&self) {
        match self {
            Self::Limit => may_grow_to("unlimited"),
            Self::Ballast(path) => std::fs::remove_file(path).unwrap(),
        }
    }
}

fn fill(path: &Path) {
    let file = std::fs::File::options()
        .append(true)
        .create(true)
        .open(path);
    let mut file = file.unwrap();
    for block in [65_536, 4_096, 512, 1] {
        while file.write(&vec![1; block]).is_ok_and(|written| written > 0) {}
    }
}

fn may_grow_to(bytes: &str) {
    let pid = std::process::id().to_string();
    let limit = format!("--fsize={bytes}:");
    assert!(works("prlimit", &["--pid", &pid, &limit]));
}
