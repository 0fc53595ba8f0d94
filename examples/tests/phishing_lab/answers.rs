//! What each endpoint does.

use serde_json::{Value, json};
use tollgate_testkit::app::{TestApp, TestGate, TestKey};

use super::{EMAIL, lab};

struct Lab {
    app: TestApp,
    key: TestKey,
    _kit: TestGate,
}

impl Lab {
    async fn new() -> Self {
        let (kit, app) = lab().await;
        kit.organization("acme").credits(10_000).make().await;
        let key = kit.key("acme").scopes(["api:full"]).make().await;
        Self {
            app,
            key,
            _kit: kit,
        }
    }

    async fn ask(&self, path: &str, body: Value) -> Value {
        let answer = self.app.post(path).key(&self.key).json(body).send().await;
        answer.assert_success().json()
    }

    async fn analyze(&self, path: &str, raw: &str) -> Value {
        let call = self.app.post(path).key(&self.key);
        let answer = call.body("message/rfc822", raw.to_owned()).send().await;
        answer.assert_success().json()
    }
}

#[tokio::test]
async fn a_raw_eml_is_read_and_judged() {
    let lab = Lab::new().await;
    let told = lab.analyze("/phishing/analyze", EMAIL).await;
    assert_eq!(told["subject"], "Your account was limited");
    assert_eq!(told["from"]["address"], "service@acmebank-login.example");
    assert_eq!(told["links"][0]["url"], "https://evil.example/login");
    let findings = told["findings"].as_array().unwrap();
    let codes: Vec<_> = findings
        .iter()
        .map(|of| of["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["reply_to", "brand", "link_text"]);
    assert_eq!(
        (&told["score"], &told["verdict"]),
        (&json!(75), &json!("phishing"))
    );
    let harmless = "From: ann@acme.example\r\nSubject: Lunch\r\n\r\nAt one?\r\n";
    let told = lab.analyze("/phishing/analyze", harmless).await;
    assert_eq!(
        (&told["score"], &told["verdict"]),
        (&json!(0), &json!("clean"))
    );
}

#[tokio::test]
async fn a_verdict_in_words_gives_its_reasons_and_says_who_wrote_it() {
    let lab = Lab::new().await;
    let told = lab.analyze("/phishing/analyze/ai", EMAIL).await;
    let reasoning = told["reasoning"].as_str().unwrap();
    assert!(
        reasoning.contains("replies go to evil.example"),
        "{reasoning}"
    );
    assert_eq!(told["verdict"], "phishing");
    assert!(
        told["generated_by"]
            .as_str()
            .unwrap()
            .contains("no language model")
    );
}

#[tokio::test]
async fn lookups_answer_from_samples_and_say_so() {
    let lab = Lab::new().await;
    let url = json!({"url": "https://evil.example/login"});
    for (path, body, known) in [
        (
            "/phishing/dns",
            json!({"domain": "EVIL.example."}),
            "v=spf1 +all",
        ),
        (
            "/phishing/blacklist",
            json!({"ip": "198.51.100.23"}),
            "zen.dnsbl.example",
        ),
        (
            "/phishing/geoip",
            json!({"ip": "198.51.100.23"}),
            "Amsterdam",
        ),
        ("/phishing/safe-browsing", url.clone(), "SOCIAL_ENGINEERING"),
        ("/phishing/checkphish", url.clone(), "Acme Bank"),
        ("/phishing/urlscan", url.clone(), "collect.php"),
        (
            "/phishing/url-expand",
            json!({"url": "https://short.example/a1"}),
            "tracker.example",
        ),
        (
            "/phishing/enrich",
            json!({"indicator": "evil.example"}),
            "credential-theft",
        ),
    ] {
        let told = lab.ask(path, body).await;
        assert!(told["result"].to_string().contains(known), "{path}: {told}");
        assert!(
            told["source"]
                .as_str()
                .unwrap()
                .starts_with("bundled sample data")
        );
    }
    let unknown = lab.ask("/phishing/geoip", json!({"ip": "192.0.2.1"})).await;
    assert_eq!(unknown["result"], Value::Null);
}

#[tokio::test]
async fn an_exposure_scan_tells_services_subdomains_and_certificates() {
    let lab = Lab::new().await;
    for target in ["acme.example", "203.0.113.10"] {
        let told = lab.ask("/exposure/scan", json!({"target": target})).await;
        assert!(told["result"]["services"][0]["port"].is_number(), "{told}");
        assert!(told["result"]["subdomains"].is_array());
        assert!(told["result"]["certificates"][0]["expires"].is_string());
        assert!(
            told["source"]
                .as_str()
                .unwrap()
                .starts_with("bundled sample data")
        );
    }
}

#[tokio::test]
async fn indicators_of_every_kind_are_enriched() {
    let lab = Lab::new().await;
    let indicators = [
        "198.51.100.23",
        "evil.example",
        "https://evil.example/login",
        "44d88612fea8a8f36de82e1278abb02f",
    ];
    let told = lab
        .ask("/enrichment/lookup", json!({"indicators": indicators}))
        .await;
    let found = told["indicators"].as_array().unwrap();
    let kinds: Vec<_> = found
        .iter()
        .map(|of| of["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["ip", "domain", "url", "md5"]);
    assert!(found.iter().all(|of| of["result"]["providers"].is_array()));
}

#[tokio::test]
async fn an_alert_gets_a_severity_and_an_incident_a_timeline() {
    let lab = Lab::new().await;
    for (title, severity, class) in [
        ("Ransom note found", "critical", "ransomware"),
        ("lsass was read", "high", "credential theft"),
        ("a phishing e-mail", "medium", "phishing"),
        ("a port scan", "low", "reconnaissance"),
        ("hm", "low", "unclassified"),
    ] {
        let told = lab.ask("/ai/triage", json!({"title": title})).await;
        assert_eq!(
            (&told["severity"], &told["classification"]),
            (&json!(severity), &json!(class))
        );
    }
    let events = json!([
        {"at": "2026-03-01T09:30:00Z", "what": "powershell started"},
        {"at": "2026-03-01T10:12:00+01:00", "what": "a phishing link was clicked"},
    ]);
    let told = lab.ask("/ai/analysis", json!({"events": events})).await;
    let phases = [&told["timeline"][0]["phase"], &told["timeline"][1]["phase"]];
    assert_eq!(phases, ["initial access", "execution"]);
    assert_eq!(told["lasted_seconds"], 18 * 60);
    assert!(
        told["generated_by"]
            .as_str()
            .unwrap()
            .contains("no language model")
    );
}

#[tokio::test]
async fn techniques_are_compared_with_known_actors() {
    let lab = Lab::new().await;
    let body = json!({"techniques": ["t1566.002", "T1078", "T1486", "T1078"]});
    let told = lab.ask("/ai/threat-profile", body).await;
    let candidates = told["candidates"].as_array().unwrap();
    let told: Vec<_> = candidates
        .iter()
        .map(|of| (&of["name"], &of["match_percent"]))
        .collect();
    let expected = [
        (json!("SAMPLE HERON"), json!(66)),
        (json!("SAMPLE BADGER"), json!(33)),
    ];
    assert_eq!(
        told,
        expected
            .iter()
            .map(|(name, of)| (name, of))
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn detection_rules_come_in_four_formats() {
    let lab = Lab::new().await;
    let mut body = json!({"name": "acme bank", "indicators": ["evil.example", "198.51.100.23"]});
    let told = lab.ask("/ai/detect", body.clone()).await;
    for (place, format, part) in [
        (0, "yara", "rule lab_acme_bank\n"),
        (
            1,
            "sigma",
            "QueryName|endswith:\n            - 'evil.example'",
        ),
        (2, "snort", "content:\"|04|evil|07|example|00|\""),
        (3, "suricata", "dns.query; content:\"evil.example\""),
    ] {
        let rules = &told["rules"][place];
        assert_eq!(rules["format"], format);
        assert!(rules["text"].as_str().unwrap().contains(part), "{rules}");
    }
    body["formats"] = json!(["sigma"]);
    let told = lab.ask("/ai/detect", body).await;
    assert_eq!(told["rules"].as_array().unwrap().len(), 1);
}
