//! The requests of T19 and T20.

/// How a body may be framed: the headers, and the body. `{inner}` is a request to a guarded route,
/// `{chunks}` the same as one chunk; `{inner's}` and `{chunks'}` are their lengths.
pub(super) const SMUGGLED: [(&str, &str, &str); 33] = [
    ("only a length", "Content-Length: {inner's}\r\n", "{inner}"),
    ("only chunks", "Transfer-Encoding: chunked\r\n", "{chunks}"),
    (
        "length, then chunks",
        "Content-Length: {chunks'}\r\nTransfer-Encoding: chunked\r\n",
        "{chunks}",
    ),
    (
        "chunks, then length",
        "Transfer-Encoding: chunked\r\nContent-Length: {chunks'}\r\n",
        "{chunks}",
    ),
    (
        "a short length, chunks",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "{chunks}",
    ),
    (
        "a length, no chunks after all",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n{inner}",
    ),
    (
        "chunks twice",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "{chunks}",
    ),
    (
        "identity, then chunks",
        "Transfer-Encoding: identity, chunked\r\n",
        "{chunks}",
    ),
    (
        "chunks, then identity",
        "Transfer-Encoding: chunked, identity\r\n",
        "{chunks}",
    ),
    ("identity", "Transfer-Encoding: identity\r\n", "{inner}"),
    ("xchunked", "Transfer-Encoding: xchunked\r\n", "{inner}"),
    (
        "a vertical tab",
        "Transfer-Encoding: \x0bchunked\r\n",
        "{inner}",
    ),
    ("capitals", "Transfer-Encoding: CHUNKED\r\n", "{chunks}"),
    (
        "chunks, folded",
        "Transfer-Encoding:\r\n  chunked\r\n",
        "{chunks}",
    ),
    (
        "a blank before the colon",
        "Transfer-Encoding : chunked\r\n",
        "{chunks}",
    ),
    ("an underscore", "Transfer_Encoding: chunked\r\n", "{inner}"),
    (
        "two equal lengths",
        "Content-Length: {inner's}\r\nContent-Length: {inner's}\r\n",
        "{inner}",
    ),
    (
        "two lengths",
        "Content-Length: 0\r\nContent-Length: {inner's}\r\n",
        "{inner}",
    ),
    (
        "a list of lengths",
        "Content-Length: {inner's}, {inner's}\r\n",
        "{inner}",
    ),
    (
        "a length with a sign",
        "Content-Length: +{inner's}\r\n",
        "{inner}",
    ),
    (
        "a length with a zero before",
        "Content-Length: 0{inner's}\r\n",
        "{inner}",
    ),
    ("a negative length", "Content-Length: -1\r\n", "{inner}"),
    (
        "a hexadecimal length",
        "Content-Length: 0x10\r\n",
        "{inner}",
    ),
    ("an empty length", "Content-Length: \r\n", "{inner}"),
    (
        "a length beyond 64 bits",
        "Content-Length: 18446744073709551616\r\n",
        "{inner}",
    ),
    (
        "a chunk with an extension",
        "Transfer-Encoding: chunked\r\n",
        "{hex};a=b\r\n{inner}\r\n0\r\n\r\n",
    ),
    (
        "a chunk with a bare LF",
        "Transfer-Encoding: chunked\r\n",
        "{hex}\n{inner}\r\n0\r\n\r\n",
    ),
    (
        "a chunk with a sign",
        "Transfer-Encoding: chunked\r\n",
        "+{hex}\r\n{inner}\r\n0\r\n\r\n",
    ),
    (
        "a chunk with 0x",
        "Transfer-Encoding: chunked\r\n",
        "0x{hex}\r\n{inner}\r\n0\r\n\r\n",
    ),
    (
        "a chunk beyond 64 bits",
        "Transfer-Encoding: chunked\r\n",
        "10000000000000000\r\n{inner}\r\n0\r\n\r\n",
    ),
    (
        "a chunk longer than it says",
        "Transfer-Encoding: chunked\r\n",
        "1\r\n{inner}\r\n0\r\n\r\n",
    ),
    (
        "a trailer with a key",
        "Transfer-Encoding: chunked\r\n",
        "0\r\nX-API-Key: x\r\n\r\n",
    ),
    ("neither", "Accept: */*\r\n", "{inner}"),
];

/// Request lines, and what else there is; an empty line follows.
pub(super) const REQUEST_LINES: [(&str, &str); 21] = [
    ("a target without a slash", "GET key HTTP/1.1\r\n"),
    ("an empty target", "GET  HTTP/1.1\r\n"),
    ("a blank in the target", "GET /key x HTTP/1.1\r\n"),
    ("a control in the target", "GET /key\u{1} HTTP/1.1\r\n"),
    ("NUL in the target", "GET /key\0 HTTP/1.1\r\n"),
    (
        "a bare LF after the request line",
        "GET /key HTTP/1.1\nHost: a.example\r\n",
    ),
    (
        "bare LFs everywhere",
        "GET /key HTTP/1.1\nHost: a.example\n\n",
    ),
    ("empty lines before", "\r\n\r\nGET /key HTTP/1.1\r\n"),
    ("two blanks after the method", "GET  /key HTTP/1.1\r\n"),
    ("a tab after the method", "GET\t/key HTTP/1.1\r\n"),
    ("a method that is no token", "G(T /key HTTP/1.1\r\n"),
    ("no method", " /key HTTP/1.1\r\n"),
    ("no version", "GET /key\r\n"),
    ("HTTP/1.2", "GET /key HTTP/1.2\r\n"),
    ("HTTP/2.0", "GET /key HTTP/2.0\r\n"),
    ("http/1.1", "GET /key http/1.1\r\n"),
    ("HTTP/1.0", "GET /key HTTP/1.0\r\n"),
    (
        "HTTP/1.0, kept alive",
        "GET /key HTTP/1.0\r\nConnection: keep-alive\r\n",
    ),
    (
        "chunks in HTTP/1.0",
        "POST /key HTTP/1.0\r\nTransfer-Encoding: chunked\r\n",
    ),
    (
        "the beginning of TLS",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n",
    ),
    ("no HTTP at all", "EHLO mail.example\r\n"),
];
