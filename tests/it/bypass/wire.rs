//! HTTP/1 as bytes: a client library would tidy what these tests send.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer, as far as these tests look at it.
#[derive(Clone, Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl RawAnswer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Writes all requests at once, and reads answers until there is one for each or the server
/// closes the connection.
pub(crate) async fn pipeline(stream: TcpStream, requests: &[(&str, Vec<u8>)]) -> Vec<RawAnswer> {
    let (mut read, mut write) = stream.into_split();
    let bytes: Vec<u8> = requests
        .iter()
        .flat_map(|(_, bytes)| bytes.clone())
        .collect();
    // A server that has enough may close before it has read everything.
    let writing = async {
        let _closed = write.write_all(&bytes).await;
        write
    };
    let reading = async {
        let (mut answers, mut buffer) = (Vec::new(), Vec::new());
        while answers.len() < requests.len() {
            let (method, _) = requests[answers.len()];
            if let Some((answer, length)) = parse(&buffer, method) {
                buffer.drain(..length);
                answers.push(answer);
                continue;
            }
            match read.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        answers
    };
    let (write, answers) = tokio::join!(writing, reading);
    drop(write);
    answers
}

/// The first whole answer in a buffer, and its length.
pub(crate) fn parse(buffer: &[u8], method: &str) -> Option<(RawAnswer, usize)> {
    let end = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
    let status: u16 = head[9..12].parse().unwrap();
    let mut answer = RawAnswer {
        status,
        head,
        body: Vec::new(),
    };
    let tunnel = method == "CONNECT" && (200..300).contains(&status);
    if method == "HEAD" || tunnel || matches!(status, 100..200 | 204 | 304) {
        return Some((answer, end));
    }
    if let Some(length) = answer.header("content-length") {
        let all = end + length.parse::<usize>().unwrap();
        answer.body = buffer.get(end..all)?.to_vec();
        return Some((answer, all));
    }
    assert_eq!(
        answer.header("transfer-encoding"),
        Some("chunked"),
        "{answer:?}"
    );
    let mut at = end;
    loop {
        let line = buffer[at..].windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&buffer[at..at + line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        at += line + 2;
        answer.body.extend_from_slice(buffer.get(at..at + size)?);
        at += size + 2;
        if size == 0 {
            return (buffer.len() >= at).then_some((answer, at));
        }
    }
}
