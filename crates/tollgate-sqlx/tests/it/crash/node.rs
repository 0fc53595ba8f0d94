//! The process that is killed: this test binary, run anew with one ignored test.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::worker;

pub(super) const DATABASE: &str = "TOLLGATE_CRASH_DATABASE";
pub(super) const LEDGER: &str = "TOLLGATE_CRASH_LEDGER";
const SIGKILL: i32 = 9;

/// A process that charges.
pub(super) struct Node {
    child: Child,
    told: Receiver<()>,
    reader: JoinHandle<Vec<String>>,
}

impl Node {
    /// Starts one on such a ledger.
    pub(super) fn start(location: &str, ledger: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash::worker", "--exact", "--ignored", "--nocapture"])
            .env(DATABASE, location)
            .env(LEDGER, ledger)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (tell, told) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut lines = Vec::new();
            let mut line = String::new();
            // A line without an end was not told.
            while output.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
                if let Some(told) = line.trim_end().strip_prefix(worker::TOLD) {
                    lines.push(told.to_owned());
                    let _ = tell.send(());
                }
                line.clear();
            }
            lines
        });
        Self {
            child,
            told,
            reader,
        }
    }

    /// Waits until it acknowledges something that it has not acknowledged yet.
    pub(super) fn acknowledges(&self, within: Duration) -> Result<(), String> {
        while self.told.try_recv().is_ok() {}
        self.told.recv_timeout(within).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("a process acknowledged nothing for {within:?}"),
            RecvTimeoutError::Disconnected => "a process ended by itself".to_owned(),
        })
    }

    /// Sends it a signal by its name.
    pub(super) fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        let sent = kill.args(["-s", name, &self.child.id().to_string()]);
        assert!(sent.status().unwrap().success());
    }

    /// Kills it, and returns what it said.
    pub(super) fn kill(mut self) -> Result<Vec<String>, String> {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        let lines = self.reader.join().unwrap();
        if status.signal() != Some(SIGKILL) {
            return Err(format!("the process ended by itself: {status}"));
        }
        Ok(lines)
    }
}
