//! Keeps a server's process and folder for as long as this process lives, and no longer.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What stands between this process and its server, and outlives this process by a moment.
const SCRIPT: &str = include_str!("keeper.sh");
/// How often it is looked whether a server is ready, and for how long.
const EVERY: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);
/// Below the ports that systems give to clients (Linux from 32768, others from 49152). While a
/// server is down, a client that tries again and again could else be given the server's port,
/// connect to itself, and keep the server from coming back.
const PORTS: std::ops::Range<u16> = 10_240..32_768;

/// A server that is stopped, and whose folder is removed, when this is dropped or this process
/// ends, even by `kill -9`: the shell that is between sees its standard input end.
#[derive(Debug)]
pub(crate) struct Keeper {
    folder: PathBuf,
    shell: Mutex<Shell>,
}

#[derive(Debug)]
struct Shell {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// Why a server did not start.
pub(crate) enum Failed {
    /// Somebody else was quicker to listen there.
    PortTaken,
    Otherwise(String),
}

impl Keeper {
    /// Makes a folder for a server, with Postgres's first files in it.
    pub(crate) fn new(kind: &str, programs: &Path, arguments: &[String]) -> Result<Self, String> {
        // In a session of its own: Ctrl-C is for the tests, while this is to see their end. And the
        // kernel wakes what is paused in a group of processes whose parent in the session has died.
        let mut process = Command::new("setsid")
            .args(["sh", "-c", SCRIPT, "keeper", kind])
            .arg(programs)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("`setsid` cannot be run: {error}"))?;
        let (Some(orders), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("`setsid` has no standard input or output".to_owned());
        };
        let mut shell = Shell {
            process,
            orders: Some(orders),
            answers: BufReader::new(answers),
        };
        let answer = shell.answer()?;
        let Some((made, folder)) = answer.split_once(' ') else {
            return Err(format!("the shell around {kind} ended before it began"));
        };
        let keeper = Self {
            folder: PathBuf::from(folder),
            shell: Mutex::new(shell),
        };
        if made == kind {
            Ok(keeper)
        } else {
            Err(keeper.because(&format!("{kind} could not make its data folder")))
        }
    }

    /// Where the server has its files.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts the server on this port, and waits until `ready`, which is told the process, has
    /// what it asks for.
    pub(crate) fn start<T>(
        &self,
        port: u16,
        mut ready: impl FnMut(&str) -> Option<T>,
    ) -> Result<T, Failed> {
        let before = self.log().len();
        let process = self
            .order(&format!("start {port}"))
            .map_err(Failed::Otherwise)?;
        let began = now();
        while began.elapsed() < PATIENCE {
            if let Some(found) = ready(&process) {
                return Ok(found);
            }
            if !is_alive(&process) {
                let log = self.log();
                let log = log.get(before..).unwrap_or_default();
                let taken = log.contains("Address already in use");
                return Err(if taken {
                    Failed::PortTaken
                } else {
                    Failed::Otherwise(self.because("the server ended while it started"))
                });
            }
            sleep(EVERY);
        }
        let slow = format!("the server is not ready after {PATIENCE:?}");
        Err(Failed::Otherwise(self.because(&slow)))
    }

    /// Has the shell do something to the server's processes, and waits until it is done.
    pub(crate) fn order(&self, order: &str) -> Result<String, String> {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = shell
            .orders
            .as_mut()
            .map(|orders| writeln!(orders, "{order}"));
        match sent {
            Some(Ok(())) => shell.answer(),
            other => Err(format!("the shell around the server is gone: {other:?}")),
        }
    }

    /// The sentence, with the end of the server's log.
    pub(crate) fn because(&self, what: &str) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().rev().take(12).collect();
        let end: Vec<_> = lines.into_iter().rev().collect();
        format!("{what}; its log ends with:\n{}", end.join("\n"))
    }

    fn log(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let shell = self.shell.get_mut().unwrap_or_else(PoisonError::into_inner);
        shell.orders = None;
        // Fails only where somebody else has waited for it.
        let _gone = shell.process.wait();
    }
}

impl Shell {
    fn answer(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => Err("the shell around the server has ended".to_owned()),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(format!("the shell around the server is gone: {error}")),
        }
    }
}

/// A port of this machine that nobody listens on, as far as can be known beforehand.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(PORTS);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Whether there is such a process, and not only its exit status.
fn is_alive(process: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_some_and(|state| !state.starts_with('Z'))
}

/// The machine's own time: a server knows no other.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing here is tested by its time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
