//! What the proxy does to connections, with a Redis behind it.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn it_passes_everything_at_first() {
    let server = Redis::shared();
    let proxy = Proxy::before(server.port()).await;
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    assert_eq!(proxy.url_for(&server.url()), url);
    assert_eq!(asked(proxy.port(), "PING"), "+PONG\r\n+OK\r\n");
    let long = "x".repeat(60_000);
    assert_eq!(
        asked(proxy.port(), &format!("ECHO {long}")).len(),
        format!("$60000\r\n{long}\r\n+OK\r\n").len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_drops_connections_and_refuses_new_ones() {
    let proxy = Proxy::before(Redis::shared().port()).await;
    for _ in 0..20 {
        let mut stream = pinged(&proxy);
        proxy.cut();
        assert!(is_refused(proxy.port()));
        assert!(is_dropped(&mut stream));
        proxy.pass();
        pinged(&proxy);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_keeps_connections_and_loses_what_they_send() {
    let server = Redis::shared();
    let proxy = Proxy::before(server.port()).await;
    let (mut sends, mut idles) = (pinged(&proxy), pinged(&proxy));
    proxy.black_hole();
    assert!(!answers(&mut sends, b"SET swallowed 1\r\n"));
    let mut new = connected(proxy.port());
    assert!(!answers(&mut new, b"PING\r\n"));
    proxy.pass();
    assert!(is_dropped(&mut sends) && is_dropped(&mut new));
    assert!(answers(&mut idles, b"PING\r\n"));
    assert_eq!(asked(server.port(), "GET swallowed"), "$-1\r\n+OK\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_connection_is_over_for_the_server_and_not_for_the_client() {
    let server = Redis::start();
    let proxy = Proxy::before(server.port()).await;
    let mut stream = pinged(&proxy);
    assert_eq!(clients(&server), 2);
    proxy.half_open();
    until(|| clients(&server) == 1);
    assert!(!answers(&mut stream, b"PING\r\n"));
    assert!(!answers(&mut stream, b"PING\r\n"));
    assert!(!answers(&mut connected(proxy.port()), b"PING\r\n"));
    proxy.pass();
    assert!(is_dropped(&mut stream));
    pinged(&proxy);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_is_for_the_reply() {
    let server = Redis::shared();
    let proxy = Proxy::before(server.port()).await;
    let mut stream = pinged(&proxy);
    proxy.delay(SILENCE.mul_f32(1.5));
    assert!(!answers(&mut stream, b"SET late 1\r\n"));
    assert_eq!(asked(server.port(), "GET late"), "$1\r\n1\r\n+OK\r\n");
    assert_eq!(stream.read(&mut [0; 64]).unwrap(), "+OK\r\n".len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_reply_is_to_a_request_that_was_heard() {
    let server = Redis::start();
    let proxy = Proxy::before(server.port()).await;
    let mut told = Vec::new();
    for _ in 0..2 {
        proxy.cut_replies(0.5, 7);
        let answered = (0..100).map(|_| answers(&mut connected(proxy.port()), b"INCR n\r\n"));
        told.push(answered.collect::<Vec<_>>());
    }
    let answered = told[0].iter().filter(|it| **it).count();
    assert!((30..70).contains(&answered), "{answered}");
    assert_eq!(told[0], told[1], "the seed decides");
    assert_eq!(asked(server.port(), "GET n"), "$3\r\n200\r\n+OK\r\n");
    proxy.cut_replies(0.0, 7);
    pinged(&proxy);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_drops_who_comes() {
    let server = Redis::start();
    let proxy = Proxy::before(server.port()).await;
    let mut before = pinged(&proxy);
    server.kill();
    assert!(is_dropped(&mut before) && is_dropped(&mut connected(proxy.port())));
    server.restart();
    pinged(&proxy);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_proxy_is_gone_with_its_connections() {
    let proxy = Proxy::before(Redis::shared().port()).await;
    let (port, mut stream) = (proxy.port(), pinged(&proxy));
    drop(proxy);
    assert!(is_refused(port) && is_dropped(&mut stream));
}

/// A connection through the proxy that works.
fn pinged(proxy: &Proxy) -> TcpStream {
    let mut stream = connected(proxy.port());
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(answers(&mut stream, b"PING\r\n"));
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    stream
}

/// Whether the other side has hung up, which may take a moment to arrive.
fn is_dropped(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match stream.read(&mut [0; 64]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

/// How many clients the server has, who asks included.
fn clients(server: &Redis) -> usize {
    asked(server.port(), "CLIENT LIST")
        .matches(" addr=")
        .count()
}
