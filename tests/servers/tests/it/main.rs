//! Servers start, are their own, obey, and are gone with whoever started them.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tollgate_servers::{Postgres, Proxy, Redis};

/// As long as a server that works would never take to answer.
const SILENCE: Duration = Duration::from_millis(300);
/// Longer than anything takes that is to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Asks the test binary, as a process of its own, to hold servers until it is killed.
const HOLDS: &str = "TOLLGATE_SERVERS_HOLDS";

mod postgres {
    use super::*;

    #[test]
    fn it_is_new_enough_and_quick_and_only_here() {
        let server = Postgres::shared();
        assert!(server.major() >= 15, "{}", server.major());
        let asked = "SELECT current_setting('fsync'), current_setting('synchronous_commit'),
            current_setting('full_page_writes'), current_setting('listen_addresses'),
            current_setting('max_connections'), current_setting('port')";
        let answer = server.query(&server.url(), asked).unwrap();
        let port = server.port();
        assert_eq!(answer, format!("off|on|on|127.0.0.1|200|{port}\n"));
    }

    #[test]
    fn a_setting_is_taken_and_one_of_its_own_is_another() {
        let server = Postgres::start_with(&[("max_connections", "7"), ("fsync", "on")]);
        let asked = "SELECT current_setting('max_connections'), current_setting('fsync')";
        assert_eq!(server.query(&server.url(), asked).unwrap(), "7|on\n");
        assert_ne!(server.port(), Postgres::shared().port());
    }

    #[test]
    fn a_durable_one_flushes() {
        let server = Postgres::durable();
        let asked = "SELECT current_setting('fsync'), current_setting('full_page_writes')";
        assert_eq!(server.query(&server.url(), asked).unwrap(), "on|on\n");
    }

    #[test]
    fn fresh_databases_are_empty_and_apart() {
        let server = Postgres::shared();
        let urls: Vec<_> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..4).map(|_| scope.spawn(|| server.fresh())).collect();
            makers.into_iter().map(|it| it.join().unwrap()).collect()
        });
        for url in &urls {
            server.query(url, "CREATE TABLE mark (n integer)").unwrap();
        }
    }

    #[test]
    fn a_paused_one_is_silent_and_goes_on_where_it_stood() {
        let server = Postgres::start();
        let mut session = session(server.port());
        assert!(answers(&mut session, SELECT));
        server.pause();
        assert!(!answers(&mut session, SELECT));
        // The kernel connects; nobody greets.
        let mut other = connected(server.port());
        assert!(!answers(&mut other, HELLO));
        server.resume();
        for stream in [&mut session, &mut other] {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            assert!(stream.read(&mut [0; 64]).unwrap() > 0);
        }
    }

    #[test]
    fn a_killed_one_is_gone_and_comes_back_with_its_data() {
        let server = Postgres::start();
        let url = server.fresh();
        server
            .query(&url, "CREATE TABLE mark AS SELECT 7 AS n")
            .unwrap();
        let (port, mut session) = (server.port(), session(server.port()));
        server.kill();
        assert!(is_refused(port));
        // No word of goodbye.
        assert_eq!(session.read(&mut [0; 64]).unwrap_or(0), 0);
        server.restart();
        assert_eq!(server.port(), port);
        assert_eq!(server.query(&url, "SELECT n FROM mark").unwrap(), "7\n");
        // And once more without having been killed, and while it is paused.
        server.pause();
        server.restart();
        assert_eq!(server.query(&url, "SELECT n FROM mark").unwrap(), "7\n");
    }

    #[test]
    fn a_dropped_one_leaves_nothing() {
        for is_killed in [false, true] {
            let server = Postgres::start();
            let (port, folder) = (server.port(), folder_of(&server));
            let shared = shared_memory(&folder);
            assert!(in_kernel(&shared));
            if is_killed {
                server.kill();
            }
            drop(server);
            assert!(is_refused(port) && !Path::new(&folder).exists());
            assert!(!in_kernel(&shared));
        }
    }

    #[test]
    fn it_is_gone_with_a_process_that_is_killed() {
        let (port, folder) = held("postgres");
        until(|| is_refused(port) && !Path::new(&folder).exists());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_committed_stays_though_the_proxy_cuts_the_reply() {
        let server = Postgres::shared();
        let url = server.url();
        let proxy = Proxy::before(server.port()).await;
        let greeted = server.query(&proxy.url_for(&url), "CREATE TABLE unsure (n integer)");
        assert_eq!(greeted.unwrap(), "");
        let mut session = session(proxy.port());
        proxy.cut_replies(1.0, 1);
        session.set_read_timeout(Some(PATIENCE)).unwrap();
        session
            .write_all(b"Q\0\0\0\x22INSERT INTO unsure VALUES (7)\0")
            .unwrap();
        assert_eq!(session.read(&mut [0; 64]).unwrap_or(0), 0);
        assert_eq!(server.query(&url, "SELECT n FROM unsure").unwrap(), "7\n");
    }

    #[test]
    fn it_is_gone_with_a_process_that_is_killed_while_it_starts() {
        let own = std::env::temp_dir().join(format!("tollgate-starts.{}", std::process::id()));
        std::fs::create_dir(&own).unwrap();
        let mut permissions = std::fs::metadata(&own).unwrap().permissions();
        // Postgres is another user.
        permissions.set_mode(0o755);
        std::fs::set_permissions(&own, permissions).unwrap();
        let entries = || std::fs::read_dir(&own).unwrap().count();
        let mut holder = holder("postgres").env("TMPDIR", &own).spawn().unwrap();
        until(|| entries() > 0);
        holder.kill().unwrap();
        holder.wait().unwrap();
        until(|| entries() == 0);
        std::fs::remove_dir(own).unwrap();
    }

    /// The number of the shared memory that the postmaster notes.
    fn shared_memory(data: &str) -> String {
        let notes = std::fs::read_to_string(format!("{data}/postmaster.pid")).unwrap();
        let line = notes.lines().nth(6).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    }

    fn in_kernel(shared: &str) -> bool {
        let all = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
        let mut lines = all.lines();
        lines.any(|line| line.split_whitespace().nth(1) == Some(shared))
    }
}

mod redis {
    use super::*;

    mod behind_a_proxy;

    #[test]
    fn a_setting_is_taken_and_one_of_its_own_is_another() {
        let server = Redis::start_with(&[("maxmemory", "64mb")]);
        let answer = asked(server.port(), "CONFIG GET maxmemory");
        assert!(answer.contains("67108864"), "{answer}");
        assert_ne!(server.port(), Redis::shared().port());
    }

    #[test]
    fn a_paused_one_is_silent_and_goes_on_where_it_stood() {
        let server = Redis::start();
        let mut stream = connected(server.port());
        assert!(answers(&mut stream, b"PING\r\n"));
        server.pause();
        assert!(!answers(&mut stream, b"PING\r\n"));
        server.resume();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"+PONG\r\n");
    }

    #[test]
    fn a_killed_one_is_gone_and_comes_back_empty() {
        let server = Redis::start();
        let port = server.port();
        assert_eq!(asked(port, "SET mark 7"), "+OK\r\n+OK\r\n");
        server.kill();
        assert!(is_refused(port));
        server.restart();
        assert_eq!(asked(port, "GET mark"), "$-1\r\n+OK\r\n");
        asked(port, "SET mark 7");
        server.pause();
        server.restart();
        assert_eq!(asked(port, "GET mark"), "$-1\r\n+OK\r\n");
    }

    #[test]
    fn a_dropped_one_leaves_nothing() {
        let server = Redis::start();
        let port = server.port();
        let folder = folder_of(port);
        assert!(Path::new(&folder).exists());
        drop(server);
        assert!(is_refused(port) && !Path::new(&folder).exists());
    }

    #[test]
    fn it_is_gone_with_a_process_that_is_killed() {
        let (port, folder) = held("redis");
        until(|| is_refused(port) && !Path::new(&folder).exists());
    }

    pub(super) fn folder_of(port: u16) -> String {
        let answer = asked(port, "CONFIG GET dir");
        answer.split("\r\n").nth(4).unwrap().to_owned()
    }

    /// What the server answers on a connection of its own.
    fn asked(port: u16, what: &str) -> String {
        let mut stream = connected(port);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "{what}\r\nQUIT\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// The process that is killed. Does nothing where it is not told what to hold.
#[test]
#[ignore = "run by tests above, as a process of its own"]
fn holds() {
    let told = match std::env::var(HOLDS).as_deref() {
        Ok("postgres") => {
            let server = Postgres::shared();
            format!("{} {}", server.port(), folder_of(server))
        }
        Ok("redis") => {
            let server = Redis::shared();
            format!("{} {}", server.port(), redis::folder_of(server.port()))
        }
        _ => return,
    };
    let mut out = io::stdout().lock();
    writeln!(out, "\nholds {told}").unwrap();
    out.flush().unwrap();
    loop {
        std::thread::park();
    }
}

/// A process that will have such a server.
fn holder(kind: &str) -> Command {
    let mut holder = Command::new(std::env::current_exe().unwrap());
    holder
        .args(["--exact", "holds", "--ignored", "--nocapture"])
        .env(HOLDS, kind)
        .stdout(Stdio::piped());
    holder
}

/// Kills a process, as rudely as can be, that has such a server, and says where that was.
fn held(kind: &str) -> (u16, String) {
    let mut holder = holder(kind).spawn().unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let mut told = lines.filter_map(|line| line.unwrap().strip_prefix("holds ").map(str::to_owned));
    let told = told.next().expect("the holder says what it holds");
    let (port, folder) = told.split_once(' ').unwrap();
    let port = port.parse().unwrap();
    drop(connected(port));
    assert!(Path::new(folder).exists());
    holder.kill().unwrap();
    holder.wait().unwrap();
    (port, folder.to_owned())
}

/// Waits for what comes by itself.
fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    assert!(holds(), "not within ten seconds");
}

fn folder_of(server: &Postgres) -> String {
    let folder = server.query(&server.url(), "SHOW data_directory").unwrap();
    folder.trim_end().to_owned()
}

fn connected(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    stream
}

fn is_refused(port: u16) -> bool {
    let error = TcpStream::connect(("127.0.0.1", port)).err();
    error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Whether anything comes back in time.
fn answers(stream: &mut TcpStream, asked: &[u8]) -> bool {
    stream.write_all(asked).unwrap();
    matches!(stream.read(&mut [0; 4096]), Ok(1..))
}

/// A statement in Postgres's protocol: `Q`, the length, the text and a zero.
const SELECT: &[u8] = b"Q\0\0\0\x0dSELECT 1\0";

/// What a client says first: the length, its own four bytes included, the version 3.0, and who it is.
const HELLO: &[u8] = b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0";

/// A session that has been greeted.
fn session(port: u16) -> TcpStream {
    let mut stream = connected(port);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(HELLO).unwrap();
    // `Z`, five, and that it is idle.
    let mut heard = Vec::new();
    while !heard.ends_with(b"Z\0\0\0\x05I") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        heard.push(byte[0]);
    }
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    stream
}
