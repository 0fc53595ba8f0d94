//! `tollgate credits`.

use serde_json::json;

use crate::place::Place;

#[tokio::test]
pub(crate) async fn credits_are_granted_once_for_each_reference_and_adjusted_both_ways() {
    let place = Place::new().await;
    let grant = [
        "credits",
        "grant",
        "acme",
        "100",
        "--reference",
        "payment-1",
    ];
    assert_eq!(place.json(grant)["available"], 100);
    assert_eq!(
        place.json(grant)["available"],
        100,
        "told twice, given once"
    );
    let adjust = |by: &str| place.json(["credits", "adjust", "acme", by, "--reason", "oops"]);
    assert_eq!(adjust("-5")["available"], 95);
    assert_eq!(adjust("7")["available"], 102);
    assert_eq!(adjust("+1")["available"], 103);
    assert_eq!(
        place.json(["credits", "balance", "acme"]),
        json!({
            "organization": "acme", "available": 103, "held": 0, "granted": 108,
            "withdrawn": 5, "settled": 0,
        })
    );
    let entries = place.json(["credits", "entries", "acme"]);
    let lines: Vec<_> = entries.as_array().unwrap().iter().collect();
    let of = |field: &str| lines.iter().map(|it| it[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("credits"), [1, 7, -5, 100]);
    assert_eq!(of("kind"), ["grant", "grant", "withdrawal", "grant"]);
    assert_eq!(lines[2]["reason"], "oops");
    assert_eq!(lines[3]["reference"], "payment-1");
    let two = place.good(["credits", "entries", "acme", "--limit", "2"]);
    assert_eq!(two.lines().count(), 3, "with its head: {two}");
    let older = ["credits", "entries", "acme", "--before", "2"];
    assert_eq!(place.json(older).as_array().unwrap().len(), 1);
}

#[tokio::test]
pub(crate) async fn a_balance_has_the_allowance_that_the_next_request_would_find() {
    let place = Place::new().await;
    place.good(["org", "edit", "acme", "--plan", "pro"]);
    let balance = place.json(["credits", "balance", "acme"]);
    assert_eq!(balance["available"], 1000);
}

#[tokio::test]
async fn credits_may_lapse() {
    let place = Place::new().await;
    let grant = ["credits", "grant", "acme", "5", "--expires-in", "1us"];
    place.good(grant);
    assert_eq!(place.json(["credits", "balance", "acme"])["available"], 0);
}

#[tokio::test]
async fn what_credits_cannot_be_is_told() {
    let place = Place::new().await;
    place.good(["credits", "grant", "acme", "3"]);
    let most = "9223372036854775807";
    let amount = |text: &str| {
        format!(
            "invalid value '{text}' for '<AMOUNT>': credits: `{text}` is not a whole number from 1 \
             to {most}"
        )
    };
    for text in [
        "-5",
        "0",
        "1.5",
        "x",
        "9223372036854775808",
        "99999999999999999999999",
    ] {
        assert_eq!(
            place.refused(2, ["credits", "grant", "acme", text]),
            amount(text)
        );
    }
    for text in [
        "0",
        "-0",
        "-9223372036854775808",
        "99999999999999999999",
        "1e3",
    ] {
        let said = place.refused(2, ["credits", "adjust", "acme", text]);
        assert!(
            said.contains(&format!("`{text}` is not a whole number")),
            "{said}"
        );
    }
    for (args, told) in [
        (
            ["credits", "adjust", "acme", "-4"],
            "cannot take 4 credits from `acme`: the wallet has 3 credits to take back",
        ),
        (
            ["credits", "grant", "acme", most],
            "cannot grant 9223372036854775807 credits to `acme`: the grant would overflow the \
             wallet",
        ),
        (
            ["credits", "grant", "beta", "1"],
            "there is no organization `beta`",
        ),
        (
            ["credits", "adjust", "beta", "-1"],
            "there is no organization `beta`",
        ),
    ] {
        assert_eq!(place.refused(1, args), told);
    }
    for command in ["balance", "entries"] {
        let said = place.refused(1, ["credits", command, "beta"]);
        assert_eq!(said, "there is no organization `beta`");
    }
    assert_eq!(place.json(["credits", "balance", "acme"])["granted"], 3);
}
