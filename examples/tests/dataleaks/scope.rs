//! Inputs: each of them well-formed, and each of them the workspace's.

use serde_json::Value;
use tollgate::core::change::Actor;
use tollgate::core::id::OrgId;
use tollgate_testkit::app::Answer;

use super::{Bench, assert_flat};

/// What leaked, as addresses and last four digits.
#[track_caller]
fn found(answer: &Answer) -> Vec<String> {
    let told = answer.assert_status(200).json();
    assert!(told["source"].as_str().unwrap().contains("sample data"));
    let leaks = told["leaks"].as_array().unwrap().iter();
    let subject = |leak: &Value| {
        let subject = leak.get("email").or_else(|| leak.get("last_four"));
        subject.unwrap().as_str().unwrap().to_owned()
    };
    leaks.map(subject).collect()
}

#[tokio::test]
async fn leaks_are_told_to_whom_they_belong() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    let (ann, ben) = ("ann@acme.example", "ben@acme.example");
    let below = "ann@mail.acme.example";
    for (asked, leaks) in [
        ("domain?domain=acme.example", &[ann, ben, below][..]),
        ("domain?domain=mail.acme.example", &[below]),
        ("domain?domain=other.acme.example", &[]),
        ("email?email=ann@acme.example", &[ann]),
        ("email?email=nobody@acme.example", &[]),
        ("bin?bin=424242", &["0005", "1117"]),
        ("bin?bin=42424242", &["0005"]),
        ("bin?bin=42424200", &[]),
        // Of whatever is asked about.
        ("bin?bin=42424299&email=ben@acme.example", &[ben, "1117"]),
    ] {
        assert_eq!(found(&bench.leaks(&key, asked).await), leaks, "{asked}");
    }
    let both = r#"{"domain":"mail.acme.example","bin":"42424242"}"#;
    assert_eq!(found(&bench.search(&key, both).await), [below, "0005"]);
}

#[tokio::test]
async fn a_required_input_that_is_missing_is_a_400() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    for (asked, name) in [
        ("domain", "`domain`"),
        ("email", "`email`"),
        ("bin", "`bin`"),
        ("domain?email=ann@acme.example", "`domain`"),
        ("email?domain=acme.example&bin=424242", "`email`"),
        ("bin?domain=acme.example", "`bin`"),
    ] {
        let answer = bench.leaks(&key, asked).await;
        answer.assert_denied("missing_parameter");
        let told = assert_flat(&answer, 400);
        assert_eq!(told, format!("The parameter {name} is required."));
    }
    for body in ["{}", r#"{"domain":null,"email":null,"bin":null}"#] {
        let answer = bench.search(&key, body).await;
        answer.assert_denied("missing_parameter");
        assert_flat(&answer, 400);
    }
}

#[tokio::test]
async fn an_input_that_is_blank_doubled_or_unreadable_is_a_400() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    for asked in [
        "domain?domain=",
        "domain?domain",
        "domain?domain=%20%09",
        "domain?domain=acme.example&domain=acme.example",
        "domain?domain=acme.example&domain=globex.example",
        "domain?domain=acme.example&bin=",
        "domain?domain=acme.example&email=x",
        "domain?domain=acme.example&domian=acme.example",
        "domain?Domain=acme.example",
        "domain?domain[]=acme.example",
        "email?email=",
        "email?email=ann@acme.example&email=ben@acme.example",
        "bin?bin=%20",
        "bin?bin=424242&bin=424242",
    ] {
        assert_flat(&bench.leaks(&key, asked).await, 400);
    }
    for body in [
        r#"{"domain":""}"#,
        r#"{"domain":"  "}"#,
        r#"{"domain":"acme.example","domain":"acme.example"}"#,
        r#"{"domain":["acme.example"]}"#,
        r#"{"domain":"acme.example","bin":424242}"#,
        r#"{"domain":"acme.example","email":""}"#,
        r#"{"domain":"acme.example","domian":"acme.example"}"#,
        r#"{"bin":"4242"}"#,
        r#""acme.example""#,
        "null",
        "",
        "{",
        r#"{"bin":"424242"}{"#,
    ] {
        let answer = bench.search(&key, body).await;
        assert_flat(&answer, 400);
    }
}

#[tokio::test]
async fn what_is_no_domain_address_or_bin_is_a_400() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    let label = "a".repeat(64);
    let long = format!("{}acme.example", "a.".repeat(121));
    let local_part = "a".repeat(65);
    for domain in [
        "example",
        ".",
        "..",
        ".acme.example",
        "acme..example",
        "acme.example..",
        "-a.acme.example",
        "a-.acme.example",
        "a_b.acme.example",
        "a%20b.acme.example",
        "*.acme.example",
        "acme.example/",
        "acme.example:443",
        "https://acme.example",
        "acme.example%00",
        "acme.ex%C3%A4mple",
        "acme.%E2%84%AAxample",
        "%ff.acme.example",
        "192.0.2.1",
        "acme.123",
        &format!("{label}.acme.example"),
        &long,
    ] {
        let answer = bench.leaks(&key, &format!("domain?domain={domain}")).await;
        assert_flat(&answer, 400);
    }
    for email in [
        "ann",
        "@acme.example",
        "ann@",
        "ann@acme",
        "ann@@acme.example",
        "ann@globex.example@acme.example",
        "ann%20b@acme.example",
        // A plus is a blank in a query.
        "ann+b@acme.example",
        ".ann@acme.example",
        "ann.@acme.example",
        "a..n@acme.example",
        "%22ann%22@acme.example",
        "Ann%20%3Cann@acme.example%3E",
        "ann@%5B192.0.2.1%5D",
        "%C3%A4nn@acme.example",
        &format!("{local_part}@acme.example"),
    ] {
        let answer = bench.leaks(&key, &format!("email?email={email}")).await;
        assert_flat(&answer, 400);
    }
    for bin in [
        "4",
        "42424",
        "4242424",
        "424242424",
        "42424a",
        "4242-42",
        "4242%2042",
        "-42424",
        "%2B424242",
        "%D9%A4%D9%A2%D9%A4",
        "424242.0",
    ] {
        let answer = bench.leaks(&key, &format!("bin?bin={bin}")).await;
        assert_flat(&answer, 400);
    }
}

#[tokio::test]
async fn the_longest_that_is_read_is_in_scope() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    let label = "a".repeat(63);
    let domain = format!("aa.{}acme.example", "a.".repeat(119));
    assert_eq!(domain.len(), 253);
    for asked in [
        format!("domain?domain={label}.acme.example"),
        format!("domain?domain={domain}"),
        format!("domain?domain={domain}."),
        format!("email?email={}@acme.example", "a".repeat(64)),
        "email?email=ann%2Bb.c!x@acme.example".to_owned(),
    ] {
        assert_eq!(found(&bench.leaks(&key, &asked).await), [""; 0], "{asked}");
    }
}

#[tokio::test]
async fn domains_compare_by_label_whatever_their_case_and_last_dot() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    for (domain, status) in [
        ("acme.example", 200),
        ("ACME.EXAMPLE", 200),
        ("acme.example.", 200),
        ("%20Acme.Example.%20", 200),
        ("mail.acme.example", 200),
        ("a.b.ACME.example.", 200),
        ("notacme.example", 403),
        ("not-acme.example", 403),
        ("acme.example.globex.example", 403),
        ("acme.example.com", 403),
        ("me.example", 403),
        ("globex.example", 403),
        ("xn--acme.example", 403),
    ] {
        let answer = bench.leaks(&key, &format!("domain?domain={domain}")).await;
        answer.assert_status(status);
        let body = format!(r#"{{"domain":"{}"}}"#, domain.replace("%20", " "));
        bench.search(&key, &body).await.assert_status(status);
    }
}

#[tokio::test]
async fn an_address_counts_by_its_domain() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    for (email, status, leaks) in [
        ("ann@acme.example", 200, 1),
        ("ANN@ACME.EXAMPLE.", 200, 1),
        ("ann@mail.acme.example", 200, 1),
        ("nobody@acme.example", 200, 0),
        ("eve@notacme.example", 403, 0),
        ("gus@globex.example", 403, 0),
        ("acme.example@globex.example", 403, 0),
    ] {
        let answer = bench.leaks(&key, &format!("email?email={email}")).await;
        if status == 200 {
            assert_eq!(found(&answer).len(), leaks, "{email}");
        } else {
            assert_flat(&answer, 403);
        }
    }
}

#[tokio::test]
async fn every_input_must_be_in_scope_and_not_only_the_required_one() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    for asked in [
        "domain?domain=globex.example",
        "domain?domain=acme.example&email=gus@globex.example",
        "domain?domain=acme.example&bin=51005100",
        "email?email=gus@globex.example",
        "email?email=ann@acme.example&domain=globex.example",
        "email?email=ann@acme.example&bin=51005100",
        "bin?bin=51005100",
        "bin?bin=510051",
        "bin?bin=42424300",
        "bin?bin=424242&domain=globex.example",
        "bin?bin=424242&email=gus@globex.example",
    ] {
        let answer = bench.leaks(&key, asked).await;
        answer.assert_denied("resource_not_owned");
        assert_flat(&answer, 403);
    }
    for body in [
        r#"{"domain":"globex.example"}"#,
        r#"{"email":"gus@globex.example"}"#,
        r#"{"bin":"51005100"}"#,
        r#"{"domain":"acme.example","email":"ann@acme.example","bin":"51005100"}"#,
        r#"{"domain":"acme.example","email":"gus@globex.example","bin":"424242"}"#,
        r#"{"domain":"globex.example","email":"ann@acme.example","bin":"424242"}"#,
    ] {
        let answer = bench.search(&key, body).await;
        answer.assert_denied("resource_not_owned");
        assert_flat(&answer, 403);
    }
}

#[tokio::test]
async fn a_bin_is_in_scope_below_the_one_that_is_owned_and_not_above() {
    let bench = Bench::new().await;
    let key = bench.key("globex").await;
    for (bin, status) in [("51005100", 200), ("510051", 403), ("51005101", 403)] {
        let answer = bench.leaks(&key, &format!("bin?bin={bin}")).await;
        answer.assert_status(status);
    }
}

#[tokio::test]
async fn a_workspace_that_owns_nothing_of_a_kind_is_told_nothing() {
    let bench = Bench::new().await;
    // What was entered badly opens nothing either, though a domain ends in it.
    let workspace = bench.kit.organization("initech");
    let workspace = workspace.resource("domain", "example");
    let workspace = workspace.resource("bin", "4").resource("email", "a@b.c");
    workspace.make().await;
    let key = bench.key("initech").await;
    for asked in [
        "domain?domain=acme.example",
        "email?email=ann@acme.example",
        "email?email=a@b.c",
        "bin?bin=424242",
    ] {
        assert_flat(&bench.leaks(&key, asked).await, 403);
    }
}

#[tokio::test]
async fn scope_is_what_the_workspace_owns_now() {
    let bench = Bench::new().await;
    let key = bench.key("acme").await;
    let acme = OrgId::new("acme").unwrap();
    let actor = Actor::named("test");
    let keyring = bench.gate().keyring();
    let asked = "domain?domain=globex.example";
    bench.leaks(&key, asked).await.assert_status(403);
    let add = keyring.add_resource(&acme, "domain", "globex.example", &actor);
    add.await.unwrap();
    bench.leaks(&key, asked).await.assert_status(200);
    let remove = keyring.remove_resource(&acme, "domain", "globex.example", &actor);
    remove.await.unwrap();
    bench.leaks(&key, asked).await.assert_status(403);
}
