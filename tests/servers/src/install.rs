//! Finds the servers' programs, and installs Debian's packages of them where that can be done.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SCRIPT: &str = include_str!("install.sh");

/// The folder with Postgres's programs.
pub(crate) fn postgres() -> Result<PathBuf, String> {
    found_or_installed(find_postgres, "Postgres", "postgresql")
}

/// Redis's server, or Valkey's.
pub(crate) fn redis() -> Result<PathBuf, String> {
    let find = || {
        ["redis-server", "valkey-server"]
            .into_iter()
            .find_map(in_path)
    };
    found_or_installed(find, "Redis or Valkey", "redis-server")
}

fn found_or_installed(
    find: impl Fn() -> Option<PathBuf>,
    what: &str,
    package: &str,
) -> Result<PathBuf, String> {
    if let Some(found) = find() {
        return Ok(found);
    }
    let why = may_install().and_then(|()| {
        // Several test binaries may ask for it at once. The lock goes with the file.
        let path = env::temp_dir().join("tollgate-servers.lock");
        let lock = File::create(&path).and_then(|file| file.lock().map(|()| file));
        let _lock =
            lock.map_err(|error| format!(", and `{}` cannot be locked ({error})", path.display()))?;
        if find().is_some() {
            return Ok(());
        }
        install(package)
    });
    find().ok_or_else(|| {
        let why = why.err().unwrap_or_default();
        format!(
            "this machine has no {what}{why}: install it with `apt-get install {package}`, or leave out the tests that need it with `cargo test --workspace -- --skip postgres --skip redis`"
        )
    })
}

/// The error goes on with a sentence, as that of [`install`] does.
fn may_install() -> Result<(), String> {
    if in_path("apt-get").is_none() {
        return Err(" and no apt-get".to_owned());
    }
    let who = Command::new("id").arg("-u").output();
    if who.is_ok_and(|who| who.stdout != b"0\n") {
        return Err(", and only root can install it".to_owned());
    }
    Ok(())
}

/// Installs the package, and leaves no server running.
fn install(package: &str) -> Result<(), String> {
    eprintln!("installing {package}");
    let done = Command::new("sh")
        .args(["-c", SCRIPT, "install", package])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!(", and `sh` cannot be run ({error})"))?;
    if done.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&done.stderr);
    let last = told.lines().last().unwrap_or("no reason given").trim();
    Err(format!(", and it could not be installed ({last})"))
}

/// What `pg_config` names, else the newest of Debian's, else what is in the path.
fn find_postgres() -> Option<PathBuf> {
    let is_whole = |folder: &PathBuf| {
        let programs = ["initdb", "postgres", "psql"];
        programs
            .iter()
            .all(|program| folder.join(program).is_file())
    };
    let named = Command::new("pg_config").arg("--bindir").output().ok();
    let named = named.map(|output| {
        let folder = String::from_utf8_lossy(&output.stdout);
        PathBuf::from(folder.trim_end())
    });
    let newest = || {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let versions = versions.filter_map(|entry| Some(entry.ok()?.path()));
        let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
        let folders = versions.filter_map(|path| Some((number(&path)?, path.join("bin"))));
        folders.filter(|(_, folder)| is_whole(folder)).max()
    };
    named
        .filter(is_whole)
        .or_else(|| newest().map(|(_, folder)| folder))
        .or_else(|| Some(in_path("postgres")?.parent()?.to_owned()).filter(is_whole))
}

fn in_path(program: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    let mut places = env::split_paths(&folders).map(|folder| folder.join(program));
    places.find(|place| place.is_file())
}
