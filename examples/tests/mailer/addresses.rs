//! IP restrictions: in which forms they can be written, what they mean, and what is said of them.

use serde_json::json;
use tollgate::core::change::Actor;
use tollgate::core::ip::IpRules;
use tollgate::core::keyring::EditKey;
use tollgate_testkit::app::{Answer, TestKey};

use super::{Mailer, told};

async fn read(mailer: &Mailer, key: &TestKey, address: &str) -> Answer {
    let call = mailer.app.get("/templates").key(key).from(address);
    call.send().await
}

async fn assert_allowed(mailer: &Mailer, key: &TestKey, addresses: &[&str]) {
    for address in addresses {
        read(mailer, key, address).await.assert_status(200);
    }
}

async fn assert_refused(mailer: &Mailer, key: &TestKey, addresses: &[&str]) {
    for address in addresses {
        let answer = read(mailer, key, address).await;
        answer.assert_status(403).assert_denied("ip_not_allowed");
    }
}

/// A key with this text in its field Allowed IPs, as the owner writes it.
async fn restricted(mailer: &Mailer, text: &str) -> TestKey {
    let key = mailer.level("full-access").await;
    let edit = json!({"ip_rules": {"allow": [text]}});
    mailer.edit(&key, edit).await.assert_status(200);
    key
}

#[tokio::test]
async fn a_single_address_allows_itself_alone() {
    let mailer = Mailer::new().await;
    let key = restricted(&mailer, "203.0.113.50").await;
    assert_allowed(&mailer, &key, &["203.0.113.50", "::ffff:203.0.113.50"]).await;
    let others = [
        "203.0.113.49",
        "203.0.113.51",
        "198.51.100.50",
        "2001:db8::1",
    ];
    assert_refused(&mailer, &key, &others).await;
}

#[tokio::test]
async fn a_network_allows_each_of_its_addresses_and_neither_neighbour() {
    let mailer = Mailer::new().await;
    let sizes = [
        (
            "203.0.113.50/32",
            ["203.0.113.50", "203.0.113.50"],
            ["203.0.113.49", "203.0.113.51"],
        ),
        (
            "198.51.100.0/24",
            ["198.51.100.0", "198.51.100.255"],
            ["198.51.99.255", "198.51.101.0"],
        ),
        (
            "10.0.0.0/24",
            ["10.0.0.0", "10.0.0.255"],
            ["9.255.255.255", "10.0.1.0"],
        ),
        (
            "10.0.0.0/16",
            ["10.0.0.0", "10.0.255.255"],
            ["9.255.255.255", "10.1.0.0"],
        ),
        (
            "10.0.0.0/8",
            ["10.0.0.0", "10.255.255.255"],
            ["9.255.255.255", "11.0.0.0"],
        ),
        (
            "2001:db8::/32",
            ["2001:db8::", "2001:db8:ffff::1"],
            ["2001:db7::1", "2001:db9::"],
        ),
    ];
    for (network, inside, outside) in sizes {
        let key = restricted(&mailer, network).await;
        assert_allowed(&mailer, &key, &inside).await;
        assert_refused(&mailer, &key, &outside).await;
    }
    // 256 addresses, each of them.
    let key = restricted(&mailer, "198.51.100.0/24").await;
    for last in 0..=255 {
        let address = format!("198.51.100.{last}");
        assert_allowed(&mailer, &key, &[&address]).await;
    }
}

#[tokio::test]
async fn entries_are_separated_by_commas_with_or_without_blanks() {
    let mailer = Mailer::new().await;
    for text in [
        "10.0.0.1, 10.0.0.2",
        "10.0.0.1,10.0.0.2",
        "  10.0.0.1  ,\t10.0.0.2 ",
        "10.0.0.2, 10.0.0.1/32",
    ] {
        let key = restricted(&mailer, text).await;
        assert_allowed(&mailer, &key, &["10.0.0.1", "10.0.0.2"]).await;
        assert_refused(&mailer, &key, &["10.0.0.0", "10.0.0.3"]).await;
    }
    let key = restricted(&mailer, "203.0.113.50, 198.51.100.0/24").await;
    assert_allowed(&mailer, &key, &["203.0.113.50", "198.51.100.7"]).await;
    assert_refused(&mailer, &key, &["203.0.113.51"]).await;
}

#[tokio::test]
async fn without_restrictions_a_key_can_be_used_from_any_address() {
    let mailer = Mailer::new().await;
    let anywhere = [
        "203.0.113.50",
        "10.0.0.1",
        "127.0.0.1",
        "::1",
        "2001:db8::1",
    ];
    let unsaid = mailer.level("full-access").await;
    assert_allowed(&mailer, &unsaid, &anywhere).await;
    for empty in ["", "  "] {
        let key = mailer.kit.key("acme").preset("full-access");
        let key = key.allow_ip(empty).make().await;
        assert_allowed(&mailer, &key, &anywhere).await;
    }
    let empty = json!({"ip_rules": {"allow": []}});
    mailer.edit(&unsaid, empty).await.assert_status(200);
    assert_allowed(&mailer, &unsaid, &anywhere).await;
}

#[tokio::test]
async fn restrictions_are_given_when_a_key_is_made() {
    let mailer = Mailer::new().await;
    let body = json!({
        "name": "Production email sending",
        "preset": "sending-only",
        "ip_rules": {"allow": ["203.0.113.50", "198.51.100.0/24"]},
    });
    let made = mailer.manage("POST", "/keys", body).await;
    let made = made.assert_status(201).json();
    assert_eq!(
        made["data"]["ip_rules"]["allow"],
        json!(["203.0.113.50", "198.51.100.0/24"])
    );
    let bearer = format!("Bearer {}", made["secret"].as_str().unwrap());
    for (address, status) in [("198.51.100.9", 202), ("198.51.101.9", 403)] {
        let call = mailer.app.post("/sms").header("authorization", &*bearer);
        let call = call.json(json!({"to": "+15550100", "text": "Hello"}));
        call.from(address).send().await.assert_status(status);
    }
}

#[tokio::test]
async fn restrictions_are_edited_and_cleared_and_management_shows_them() {
    let mailer = Mailer::new().await;
    let key = restricted(&mailer, "203.0.113.50").await;
    assert_eq!(
        mailer.shown(&key).await["ip_rules"]["allow"],
        json!(["203.0.113.50"])
    );
    assert_refused(&mailer, &key, &["10.0.0.1"]).await;

    let edit = json!({"ip_rules": {"allow": ["10.0.0.1, 10.0.0.2"]}});
    mailer.edit(&key, edit).await.assert_status(200);
    assert_allowed(&mailer, &key, &["10.0.0.1", "10.0.0.2"]).await;
    assert_refused(&mailer, &key, &["203.0.113.50"]).await;
    assert_eq!(
        mailer.shown(&key).await["ip_rules"]["allow"],
        json!(["10.0.0.1", "10.0.0.2"])
    );

    // Another edit leaves them.
    let renamed = json!({"name": "Admin dashboard"});
    mailer.edit(&key, renamed).await.assert_status(200);
    assert_refused(&mailer, &key, &["203.0.113.50"]).await;

    let clear = json!({"ip_rules": {"allow": []}});
    mailer.edit(&key, clear).await.assert_status(200);
    assert_allowed(&mailer, &key, &["203.0.113.50", "192.0.2.99"]).await;
    assert_eq!(mailer.shown(&key).await["ip_rules"]["allow"], json!([]));
}

#[tokio::test]
async fn the_keyring_edits_and_clears_them_too() {
    let mailer = Mailer::new().await;
    let key = mailer.kit.key("acme").preset("full-access");
    let key = key.allow_ip("203.0.113.50, 10.0.0.0/8").make().await;
    assert_allowed(&mailer, &key, &["203.0.113.50", "10.9.9.9"]).await;
    assert_refused(&mailer, &key, &["192.0.2.1"]).await;
    let keyring = mailer.kit.gate().keyring();
    let actor = Actor::named("script");
    for (text, allowed, refused) in [
        ("192.0.2.1", vec!["192.0.2.1"], vec!["203.0.113.50"]),
        ("", vec!["192.0.2.1", "203.0.113.50"], vec![]),
    ] {
        let rules = IpRules::allowing(text.parse().unwrap());
        let edit = EditKey::new().ip_rules(rules);
        keyring.edit(&key.id(), edit, &actor).await.unwrap();
        assert_allowed(&mailer, &key, &allowed).await;
        assert_refused(&mailer, &key, &refused).await;
    }
}

#[tokio::test]
async fn what_is_no_address_is_refused_with_the_reason_and_changes_nothing() {
    let mailer = Mailer::new().await;
    let key = restricted(&mailer, "203.0.113.50").await;
    for (text, reason) in [
        ("10.0.0.1,,10.0.0.2", "an entry is empty"),
        ("  ", "an entry is blank"),
        ("198.51.100.7/24", "write `198.51.100.0/24`"),
        ("10.0.0.0/33", "0 to 32"),
        ("office.acme.example", "is a name"),
        ("10.0.0.1 10.0.0.2", "not an IP address"),
    ] {
        let edit = json!({"ip_rules": {"allow": [text]}});
        let answer = mailer.edit(&key, edit).await;
        answer.assert_status(422);
        let (_, message) = told(&answer);
        assert!(message.contains(reason), "{text}: {message}");
    }
    assert_refused(&mailer, &key, &["10.0.0.1"]).await;
    assert_allowed(&mailer, &key, &["203.0.113.50"]).await;
}

/// Neither refusal tells from where the key may be used; the first does not even tell what for.
#[tokio::test]
async fn both_refusals_are_a_403_that_does_not_echo_the_list() {
    let mailer = Mailer::new().await;
    let list = "203.0.113.50, 198.51.100.0/24";
    let key = mailer.kit.key("acme").preset("sending-only").allow_ip(list);
    let key = key.make().await;
    let outside = mailer.app.get("/templates").key(&key).from("192.0.2.66");
    let outside = outside.send().await;
    outside.assert_status(403).assert_denied("ip_not_allowed");
    assert_eq!(outside.json()["error"].get("details"), None);
    let inside = mailer.app.get("/templates").key(&key).from("203.0.113.50");
    let inside = inside.send().await;
    inside
        .assert_status(403)
        .assert_denied("insufficient_permissions");
    for answer in [outside, inside] {
        let headers = format!("{:?}", answer.headers());
        for secret in ["203.0.113", "198.51.100", "/24", "192.0.2.66"] {
            assert!(!answer.text().contains(secret), "{answer:?}");
            assert!(!headers.contains(secret), "{headers}");
        }
    }
}

/// Nobody comes from elsewhere by saying so: this installation trusts no proxy.
#[tokio::test]
async fn a_header_does_not_change_where_a_request_comes_from() {
    let mailer = Mailer::new().await;
    let key = restricted(&mailer, "203.0.113.50").await;
    for header in ["x-forwarded-for", "x-real-ip", "forwarded"] {
        let value = match header {
            "forwarded" => "for=203.0.113.50",
            _ => "203.0.113.50",
        };
        let call = mailer.app.get("/templates").key(&key);
        let call = call.header(header, value).from("192.0.2.1");
        call.send().await.assert_denied("ip_not_allowed");
    }
}
