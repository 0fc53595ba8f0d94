//! T1 to T5, T9 and T23: what a credential looks like.

use tollgate_testkit::faults::Operation;

use super::{app, code, get, get_over_http2, in_the_query};
use crate::bypass::credentials::{Class, forms};
use crate::support::unknown_secret;

#[tokio::test]
async fn t01_two_credentials_are_a_400_even_if_equal() {
    let (app, ran) = app(in_the_query).await;
    let [good, other] = [app.key("umbra", []).await, app.key("umbra", []).await];
    let unknown = unknown_secret();
    let values = [&*good.secret, &other.secret, &unknown, "malformed", ""];
    let bearers = values.map(|value| format!("Bearer {value}"));
    let mut cases = 0;
    let none_or = |value: Option<usize>| value.map_or(0, |_| 1);
    let choices = || (0..values.len()).map(Some).chain([None]);
    for bearer in choices() {
        for header in choices() {
            for query in choices() {
                if none_or(bearer) + none_or(header) + none_or(query) < 2 {
                    continue;
                }
                let mut lines: Vec<(&str, &[u8])> = Vec::new();
                lines.extend(bearer.map(|at| ("Authorization", bearers[at].as_bytes())));
                lines.extend(header.map(|at| ("X-API-Key", values[at].as_bytes())));
                let query = query.map(|at| format!("?api_key={}", values[at]));
                for path in ["/key", "/maybe"] {
                    let target = format!("{path}{}", query.as_deref().unwrap_or_default());
                    let answer = get(&app, &target, &lines).await;
                    assert_eq!(answer.status, 400, "{target} {lines:?}");
                    assert_eq!(code(&answer), "ambiguous_api_key");
                    cases += 1;
                }
            }
        }
    }
    assert_eq!((cases, ran.times()), (2 * (3 * 25 + 125), 0));
}

#[tokio::test]
async fn t02_a_header_twice_or_a_list_is_a_400() {
    let (app, ran) = app(|builder| builder).await;
    let good = app.key("umbra", []).await.secret;
    let (bad, bearer) = (unknown_secret(), format!("Bearer {good}"));
    let bad_bearer = format!("Bearer {bad}");
    let list = format!("{bearer}, {bearer}");
    let key_list = format!("{good},{bad}");
    for lines in [
        &[("authorization", &*bearer), ("authorization", &*bearer)][..],
        &[("authorization", &*bearer), ("authorization", &*bad_bearer)],
        &[("authorization", &*bad_bearer), ("authorization", &*bearer)],
        &[("x-api-key", &*good), ("x-api-key", &*bad)],
        &[("x-api-key", &*bad), ("x-api-key", &*good)],
        &[
            ("x-api-key", &*good),
            ("accept", "*/*"),
            ("x-api-key", &*good),
        ],
        &[("authorization", &*list)],
        &[("x-api-key", &*key_list)],
        &[("x-api-key", ","), ("x-api-key", &*good)],
    ] {
        let lines: Vec<_> = lines.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        for path in ["/key", "/maybe"] {
            for answer in [
                get(&app, path, &lines).await,
                get_over_http2(&app, path, &lines).await,
            ] {
                assert_eq!(answer.status, 400, "{lines:?}: {answer:?}");
                assert_eq!(code(&answer), "ambiguous_api_key");
            }
        }
    }
    assert_eq!(ran.times(), 0);
}

/// Every byte, put into a good key at its beginning, in its middle and at its end.
#[tokio::test]
async fn t03_no_byte_makes_a_credential_that_was_sent_none() {
    let (app, ran) = app(|builder| builder).await;
    let good = app.key("umbra", []).await.secret.into_bytes();
    let mut opened = Vec::new();
    for byte in 0..=u8::MAX {
        for at in [0, good.len() / 2, good.len()] {
            let mut value = good.clone();
            value.insert(at, byte);
            for path in ["/key", "/maybe"] {
                for scheme in [None, Some(b"Bearer ")] {
                    let (name, value) = match scheme {
                        None => ("X-API-Key", value.clone()),
                        Some(scheme) => ("Authorization", [&scheme[..], &value].concat()),
                    };
                    let before = ran.times();
                    let answer = get(&app, path, &[(name, &value)]).await;
                    let ran = ran.times() > before;
                    assert_eq!(ran, answer.status == 200, "{byte:#x} at {at}: {answer:?}");
                    if ran {
                        opened.push((byte, at, scheme.is_some()));
                        continue;
                    }
                    // What is no header at all is hyper's 400; two keys are ours.
                    let expected: &[u16] = match byte {
                        b',' => &[400],
                        b'\t' | b' '..=b'~' | 0x80.. => &[401],
                        _ => &[400],
                    };
                    assert!(expected.contains(&answer.status), "{byte:#x}: {answer:?}");
                }
            }
        }
    }
    // Blanks around a value are not part of it (RFC 9110 §5.5), and a bare LF ends a line.
    let end = good.len();
    let mut expected = Vec::new();
    for (byte, at, bearer) in [
        (b'\t', 0, false),
        (b'\t', end, false),
        (b'\t', end, true),
        (b'\n', end, false),
        (b'\n', end, true),
        (b' ', 0, false),
        (b' ', end, false),
        (b' ', end, true),
    ] {
        expected.extend([(byte, at, bearer); 2]);
    }
    opened.sort_unstable();
    assert_eq!(opened, expected);
}

#[tokio::test]
async fn t04_blanks_do_not_make_a_key() {
    let (app, ran) = app(|builder| builder).await;
    let key = app.key("umbra", []).await.secret;
    let mut good = 0;
    for (value, status) in [
        (format!("Bearer {key}"), 200),
        (format!("  Bearer {key}"), 200),
        (format!("Bearer {key}  \t "), 200),
        (format!("Bearer  {key}"), 401),
        (format!("Bearer\t{key}"), 401),
        (format!("Bearer \t{key}"), 401),
        (format!("Bearer\u{a0}{key}"), 401),
        (format!("Bearer{key}"), 401),
        (format!("Bearer {key} x"), 401),
        (format!("Bearer {} {}", &key[..10], &key[10..]), 401),
        ("Bearer ".to_owned(), 401),
        ("Bearer".to_owned(), 401),
        ("\t".to_owned(), 401),
        (String::new(), 401),
    ] {
        for path in ["/key", "/maybe"] {
            let answer = get(&app, path, &[("Authorization", value.as_bytes())]).await;
            assert_eq!(answer.status, status, "{value:?}: {answer:?}");
            if status == 401 {
                assert_eq!(code(&answer), "invalid_api_key", "sent, so not missing");
            }
            good += u64::from(status == 200);
        }
    }
    assert_eq!((ran.times(), good), (6, 6));
}

#[tokio::test]
async fn t05_only_the_bearer_scheme_is_a_credential() {
    let (app, ran) = app(in_the_query).await;
    let key = app.key("umbra", []).await.secret;
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let value = format!("{scheme} {key}");
        let answer = get(&app, "/key", &[("Authorization", value.as_bytes())]).await;
        assert_eq!(answer.status, 200, "{scheme}");
    }
    let opened = ran.times();
    for scheme in [
        "Basic",
        "Token",
        "ApiKey",
        "Digest",
        "Negotiate",
        "Bearerx",
        "Beare",
    ] {
        let value = format!("{scheme} {key}");
        let lines: [(&str, &[u8]); 1] = [("Authorization", value.as_bytes())];
        for path in ["/key", "/maybe"] {
            let answer = get(&app, path, &lines).await;
            assert_eq!((answer.status, &*code(&answer)), (401, "invalid_api_key"));
            let challenge = answer.header("www-authenticate").unwrap();
            assert_eq!(challenge, r#"Bearer realm="api", error="invalid_token""#);
            // A good key elsewhere does not make up for it.
            let answer = get(&app, &format!("{path}?api_key={key}"), &lines).await;
            assert_eq!((answer.status, &*code(&answer)), (400, "ambiguous_api_key"));
        }
    }
    assert_eq!(ran.times(), opened);
}

#[tokio::test]
async fn t09_a_huge_credential_is_refused_without_a_look_up() {
    let (app, ran) = app(in_the_query).await;
    let good = app.key("umbra", []).await.secret;
    for length in [64, 128, 129, 1000, 8000, 60_000, 390_000] {
        let long = good.repeat(length / good.len() + 1);
        let bearer = format!("Bearer {long}");
        for path in ["/key", "/maybe"] {
            for line in [
                ("Authorization", bearer.as_bytes()),
                ("X-API-Key", long.as_bytes()),
            ] {
                let answer = get(&app, path, &[line]).await;
                assert_eq!((answer.status, &*code(&answer)), (401, "invalid_api_key"));
            }
            if length <= 60_000 {
                let answer = get(&app, &format!("{path}?api_key={long}"), &[]).await;
                assert_eq!((answer.status, &*code(&answer)), (401, "invalid_api_key"));
            }
        }
    }
    assert_eq!((ran.times(), app.faults.calls(Operation::Find)), (0, 0));
}

#[tokio::test]
async fn t23_an_optional_route_takes_a_bad_key_for_no_anonymous() {
    let (app, ran) = app(|builder| builder).await;
    let mut anonymous = 0;
    for form in forms(&app, &unknown_secret()).await {
        let lines: Vec<_> = form.headers.iter().map(|(n, v)| (*n, &**v)).collect();
        match form.class {
            Class::Bad => {
                let answer = get(&app, "/maybe", &lines).await;
                assert!(
                    matches!(answer.status, 400 | 401 | 403),
                    "{}: {answer:?}",
                    form.name
                );
            }
            Class::Missing => {
                assert_eq!(
                    get(&app, "/maybe", &lines).await.status,
                    200,
                    "{}",
                    form.name
                );
                anonymous += 1;
            }
            Class::Narrow | Class::InQuery => {}
        }
        assert_eq!(ran.times(), anonymous, "{}", form.name);
    }
    assert!(anonymous > 20);
}
