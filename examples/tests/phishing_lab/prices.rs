//! What each request costs.

use serde_json::json;
use tollgate_testkit::app::Consumed;

use super::{api, good, lab};

const FIXED: [(&str, u64); 15] = [
    ("/phishing/analyze", 1),
    ("/phishing/analyze/ai", 10),
    ("/phishing/enrich", 2),
    ("/phishing/dns", 1),
    ("/phishing/blacklist", 1),
    ("/phishing/geoip", 1),
    ("/phishing/safe-browsing", 2),
    ("/phishing/checkphish", 2),
    ("/phishing/urlscan", 3),
    ("/phishing/url-expand", 1),
    ("/exposure/scan", 10),
    ("/ai/triage", 10),
    ("/ai/analysis", 15),
    ("/ai/threat-profile", 20),
    ("/ai/detect", 15),
];

fn credits(credits: u64) -> Consumed {
    Consumed::NOTHING.credits(credits)
}

#[tokio::test]
async fn each_endpoint_costs_its_credits_and_not_one_less() {
    let (kit, app) = lab().await;
    for (number, (path, price)) in FIXED.into_iter().enumerate() {
        let organization = format!("o{number}");
        let new = kit.organization(&organization).credits(2 * price - 1);
        new.make().await;
        let key = kit.key(&organization).scopes(["api:full"]).make().await;
        let call = || good(app.post(path), path).key(&key).send();
        let paid = call().await;
        paid.assert_success().assert_consumed(credits(price));
        // One credit is lacking for another.
        let refused = call().await;
        refused
            .assert_status(402)
            .assert_denied("insufficient_credits");
        refused.assert_consumed(Consumed::NOTHING);
        assert_eq!(kit.balance(&organization).available(), price - 1);
    }
}

#[tokio::test]
async fn a_lookup_costs_three_credits_for_each_indicator() {
    let (kit, app) = lab().await;
    kit.organization("acme").credits(300).make().await;
    let key = kit.key("acme").scopes(["enrichment:read"]).make().await;
    let lookup = |count: usize| {
        let indicators = vec!["evil.example"; count];
        let body = json!({ "indicators": indicators });
        app.post("/enrichment/lookup").key(&key).json(body).send()
    };
    for count in [1, 2, 7] {
        let answer = lookup(count).await;
        let price = 3 * u64::try_from(count).unwrap();
        answer.assert_success().assert_consumed(credits(price));
        let found = answer.json()["indicators"].as_array().unwrap().len();
        assert_eq!(found, count);
    }
    // 270 are left: enough for 90.
    let refused = lookup(91).await;
    refused
        .assert_denied("insufficient_credits")
        .assert_consumed(Consumed::NOTHING);
    lookup(90).await.assert_consumed(credits(270));
    for count in [0, 101] {
        lookup(count).await.assert_status(402);
    }
    kit.organization("rich").credits(1000).make().await;
    let rich = kit.key("rich").scopes(["enrichment:read"]).make().await;
    for count in [0, 101] {
        let body = json!({ "indicators": vec!["evil.example"; count] });
        let refused = app
            .post("/enrichment/lookup")
            .key(&rich)
            .json(body)
            .send()
            .await;
        refused
            .assert_status(422)
            .assert_consumed(Consumed::NOTHING);
    }
}

#[tokio::test]
async fn a_chat_costs_what_it_took_and_at_least_one_credit() {
    let (kit, app) = lab().await;
    let (least, most) = api::CHAT_CREDITS;
    assert_eq!(least, 1);
    kit.organization("acme").credits(100).make().await;
    let key = kit.key("acme").scopes(["ai:chat"]).make().await;
    let chat = |words: usize| {
        let message = "a ".repeat(words);
        let body = json!({ "message": message });
        app.post("/ai/chat").key(&key).json(body).send()
    };
    let short = chat(1).await;
    short.assert_success().assert_consumed(credits(1));
    let long = chat(1000).await;
    let (tokens, price) = (
        long.json()["tokens"].as_u64().unwrap(),
        long.json()["credits"].as_u64().unwrap(),
    );
    assert!(
        tokens > 1000 && price == tokens.div_ceil(50),
        "{tokens}, {price}"
    );
    long.assert_success().assert_consumed(credits(price));
    let longest = chat(2000).await;
    longest.assert_success();
    assert!(longest.consumed().credits <= most);
}

#[tokio::test]
async fn a_chat_that_the_wallet_cannot_pay_costs_nothing() {
    let (kit, app) = lab().await;
    kit.organization("poor").credits(1).make().await;
    let key = kit.key("poor").scopes(["ai:chat"]).make().await;
    let chat = |words: usize| {
        let body = json!({ "message": "a ".repeat(words) });
        app.post("/ai/chat").key(&key).json(body).send()
    };
    let refused = chat(500).await;
    refused
        .assert_denied("insufficient_credits")
        .assert_consumed(Consumed::NOTHING);
    chat(1).await.assert_consumed(credits(1));
    chat(1).await.assert_denied("insufficient_credits");
}

#[tokio::test]
async fn what_cannot_be_read_costs_nothing() {
    let (kit, app) = lab().await;
    kit.organization("acme").credits(100).make().await;
    let key = kit.key("acme").scopes(["api:full"]).make().await;
    let paths = FIXED.map(|(path, _)| path);
    for path in paths.into_iter().chain(["/enrichment/lookup", "/ai/chat"]) {
        let answer = app.post(path).key(&key).json(json!({})).send().await;
        answer.assert_status(422).assert_consumed(Consumed::NOTHING);
        assert_eq!(answer.json()["error"]["code"], "unprocessable_content");
    }
    assert_eq!(kit.balance("acme").available(), 100);
}
