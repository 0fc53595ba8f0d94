//! The quickstart: started again, asked for its permission map, and told what makes no sense.

use std::collections::BTreeMap;

use crate::running::{Running, example, output, send};

#[tokio::test]
async fn a_second_start_shows_no_secret_and_keeps_the_keys() {
    let directory = tempfile::tempdir().unwrap();
    let first = Running::start("quickstart", directory.path()).await;
    let old = first.origin().to_owned();
    let readable = |(_, line): &(u16, String)| line.ends_with("/iocs'") && line.contains("Bearer");
    let (_, line) = first.promised().into_iter().find(readable).unwrap();
    first.interrupt().await;

    let second = Running::start("quickstart", directory.path()).await;
    let printed = second.printed.join("\n");
    assert!(!printed.contains("sk_live_"), "{printed}");
    assert!(printed.contains("tollgate-quickstart.db"), "{printed}");
    let line = line.replace(&old, second.origin());
    assert_eq!(send(&line, &mut BTreeMap::new()).await.status, 200);
    second.interrupt().await;
}

#[tokio::test]
async fn the_permission_map_is_a_table_and_makes_no_database() {
    let directory = tempfile::tempdir().unwrap();
    let output = output(example("quickstart", directory.path()).arg("--permissions")).await;
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "\
| Method | Path | Permission | Credits | Description |
| --- | --- | --- | --- | --- |
| GET | /health | None (public) | 0 | Is the server up? |
| GET | /iocs | iocs:read | 0 | List indicators, of one kind if asked |
| POST | /iocs | iocs:write | 0 | Submit an indicator |
| GET | /iocs/{value} | iocs:read | 0 | Look an indicator up |
| GET | /iocs/{value}/report | reports:read | 5 | What is known about an indicator |
"
    );
    assert_eq!(directory.path().read_dir().unwrap().count(), 0);
}

/// Arguments, an environment variable, and what stderr has to say.
type Case<'a> = (&'a [&'a str], (&'a str, &'a str), &'a [&'a str]);

#[tokio::test]
async fn what_cannot_work_is_told_in_one_sentence_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let nowhere = "no/such/directory/keys.db";
    let free = ("TOLLGATE_LISTEN", "127.0.0.1:0");
    let cases: [Case<'_>; 9] = [
        (
            &["--listen", "nonsense"],
            ("A", ""),
            &["`nonsense` (from --listen)"],
        ),
        (
            &[],
            ("TOLLGATE_LISTEN", "x"),
            &["`x` (from TOLLGATE_LISTEN)"],
        ),
        (
            &["--database", nowhere],
            free,
            &[nowhere, "(from --database)"],
        ),
        (
            &["--listen", "127.0.0.1:0"],
            ("TOLLGATE_DATABASE", "mysql://db/keys"),
            &["(from TOLLGATE_DATABASE)", "`mysql://` is no database"],
        ),
        (
            &["--listen", "127.0.0.1:0"],
            ("TOLLGATE_DATABASE", "postgres://u:hunter2@127.0.0.1:1/keys"),
            &["`keys` on 127.0.0.1:1 cannot be opened", "needs no server"],
        ),
        (
            &["--listen", "127.0.0.1:0", "--database", "sqlite::memory:"],
            ("TOLLGATE_REDIS", "redis://u:hunter2@host:x"),
            &["cannot use the Redis (from TOLLGATE_REDIS)", "`--redis "],
        ),
        (&[], ("RUST_LOG", "tollgate=loud"), &["cannot use RUST_LOG"]),
        (&["--lisen", "x"], free, &["--lisen"]),
        (
            &["--listen", &address],
            ("A", ""),
            &[&address, "(from --listen)"],
        ),
    ];
    for (arguments, (name, value), told) in cases {
        let mut command = example("quickstart", directory.path());
        let output = output(command.args(arguments).env(name, value)).await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?} {name}={value}");
        assert!(stderr.starts_with("error: "), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert!(!stderr.contains("hunter2"), "{stderr}");
        for part in told {
            assert!(stderr.contains(part), "`{part}` is not in: {stderr}");
        }
    }
    assert_eq!(directory.path().read_dir().unwrap().count(), 0);
}
