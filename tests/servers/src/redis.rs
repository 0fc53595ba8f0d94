//! A Redis of its own, or a Valkey.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use crate::keeper::{Failed, Keeper, free_port, now};
use crate::{install, stop};

/// Nothing is kept: who restarts it finds it empty.
const SETTINGS: [(&str, &str); 5] = [
    ("bind", "127.0.0.1"),
    ("save", ""),
    ("appendonly", "no"),
    ("daemonize", "no"),
    ("protected-mode", "yes"),
];
/// For an answer that is not there yet.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running Redis or Valkey that keeps nothing, for as long as this value lives.
#[derive(Debug)]
pub struct Redis {
    keeper: Keeper,
    port: u16,
}

impl Redis {
    /// The one that all tests of this process share, started by who asks first. It ends with the
    /// process.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start) does.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Redis> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// One of its own, for who stops, kills or fills it.
    ///
    /// # Panics
    ///
    /// With a sentence that says why, where there is no Redis and no Valkey and none can be
    /// installed, or where it does not start.
    #[must_use = "it stops when it is dropped"]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// One of its own with these settings over those of [`start`](Self::start).
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start) does.
    #[must_use = "it stops when it is dropped"]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::try_start_with(settings).unwrap_or_else(|error| stop(&error))
    }

    /// The same, for who tells people what is wrong in a way of its own.
    ///
    /// # Errors
    ///
    /// The sentence, where [`start_with`](Self::start_with) panics.
    pub fn try_start_with(settings: &[(&str, &str)]) -> Result<Self, String> {
        Self::try_start(&install::redis()?, settings)
    }

    fn try_start(program: &Path, settings: &[(&str, &str)]) -> Result<Self, String> {
        let began = now();
        let arguments: Vec<_> = SETTINGS
            .iter()
            .chain(settings)
            .flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()])
            .collect();
        let keeper = Keeper::new("redis", program, &arguments)?;
        let mut server = Self { keeper, port: 0 };
        loop {
            server.port = free_port();
            match server.wait_for_start() {
                Ok(folder) => {
                    server.check(&folder)?;
                    break;
                }
                Err(Failed::PortTaken) => {}
                Err(Failed::Otherwise(error)) => return Err(error),
            }
        }
        let program = program.file_name().unwrap_or_default().to_string_lossy();
        let (port, all) = (server.port, began.elapsed());
        eprintln!("{program} on port {port} after {all:.1?}");
        Ok(server)
    }

    /// Its first database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it in its tracks: connections stay open, and nobody answers.
    ///
    /// # Panics
    ///
    /// Where the shell around it is gone.
    pub fn pause(&self) {
        self.order("pause");
    }

    /// Lets it go on.
    ///
    /// # Panics
    ///
    /// As [`pause`](Self::pause) does.
    pub fn resume(&self) {
        self.order("resume");
    }

    /// Kills it, as a crash does.
    ///
    /// # Panics
    ///
    /// As [`pause`](Self::pause) does.
    pub fn kill(&self) {
        self.order("crash");
    }

    /// Kills it unless that was done, and starts it on the same port, with nothing in it.
    ///
    /// # Panics
    ///
    /// Where it does not start.
    pub fn restart(&self) {
        self.kill();
        match self.wait_for_start() {
            Ok(folder) => self.check(&folder).unwrap_or_else(|error| stop(&error)),
            Err(Failed::PortTaken) => stop(&format!("port {} was taken meanwhile", self.port)),
            Err(Failed::Otherwise(error)) => stop(&error),
        }
    }

    fn wait_for_start(&self) -> Result<String, Failed> {
        self.keeper.start(self.port, |_| folder_of(self.port))
    }

    /// Sees that what answers is the server of this folder.
    fn check(&self, folder: &str) -> Result<(), String> {
        if self.keeper.folder() == Path::new(folder) {
            return Ok(());
        }
        let (port, ours) = (self.port, self.keeper.folder().display());
        Err(format!(
            "port {port} is answered by a Redis in `{folder}`, and not in `{ours}`: run the tests again"
        ))
    }

    fn order(&self, order: &str) {
        self.keeper
            .order(order)
            .unwrap_or_else(|error| stop(&error));
    }
}

/// In which folder the Redis on this port runs, if one answers.
fn folder_of(port: u16) -> Option<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    // After `QUIT` it closes, so that all it says can be read to the end: two strings in an array,
    // each after its length, and `+OK`.
    stream.write_all(b"CONFIG GET dir\r\nQUIT\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let folder = answer.split("\r\n").nth(4)?;
    Some(folder.to_owned())
}
