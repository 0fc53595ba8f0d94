//! What each check finds.

use super::*;

const BENIGN: &str = "\
Authentication-Results: mx.soc.example;
 spf=pass smtp.mailfrom=acmebank.example; dkim=pass; dmarc=pass
Return-Path: <bounce@mail.acmebank.example>
From: Acme Bank <service@acmebank.example>
Reply-To: help@acmebank.example
Subject: Your statement
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/html

<a href=\"https://www.acmebank.example/in\">acmebank.example</a>
--b
Content-Type: application/pdf
Content-Disposition: attachment; filename=\"statement.pdf\"

%PDF
--b--
";

fn codes(raw: &str) -> Vec<&'static str> {
    let email = Email::read(raw.as_bytes()).unwrap();
    findings(&email)
        .iter()
        .map(|finding| finding.code)
        .collect()
}

#[test]
fn each_check_finds_what_it_is_for_and_nothing_else() {
    assert!(codes(BENIGN).is_empty());
    for (from, to, code) in [
        ("spf=pass", "spf=softfail", "spf"),
        ("dkim=pass", "DKIM=fail (bad)", "dkim"),
        ("dmarc=pass", "dmarc=fail", "dmarc"),
        ("help@acmebank.example", "help@evil.example", "reply_to"),
        (
            "bounce@mail.acmebank.example",
            "b@evil.example",
            "return_path",
        ),
        (
            "From: Acme Bank",
            "From: \"boss@evil.example\"",
            "display_name",
        ),
        ("www.acmebank.example/in", "evil.example/in", "link_text"),
        (
            "https://www.acmebank.example/in\">acmebank.example",
            "http://198.51.100.23/\">here",
            "link_address",
        ),
        (
            "https://www.acmebank.example/in\">acmebank.example",
            "https://xn--cmebank-5ve.example/\">here",
            "link_hidden",
        ),
        (
            "https://www.acmebank.example/in\">acmebank.example",
            "https://short.example/a1\">here",
            "link_hidden",
        ),
        ("Your statement", "LAST WARNING", "pressure"),
        ("statement.pdf", "statement.pdf.EXE", "attachment"),
    ] {
        let raw = BENIGN.replace(from, to);
        assert_eq!(codes(&raw), [code], "{from} → {to}");
    }
}

#[test]
fn a_brand_is_recognised_in_the_name_and_in_a_lookalike() {
    for from in ["Acme Bank <a@evil.example>", "Ann <a@acm3-b4nk.example>"] {
        let raw = format!("From: {from}\r\n\r\nHello");
        assert_eq!(codes(&raw), ["brand"], "{from}");
    }
}

#[test]
fn only_the_topmost_results_are_believed() {
    let made_up = "Authentication-Results: evil; spf=pass; dmarc=pass\n";
    let raw =
        format!("Authentication-Results: mx; spf=fail\n{made_up}From: a@evil.example\n\nHello");
    assert_eq!(codes(&raw), ["spf"]);
}

#[test]
fn points_add_up_to_a_verdict() {
    let finding = |points| Finding::new("x", points, "");
    for (points, expected) in [
        (&[][..], (0, Verdict::Clean)),
        (&[10], (10, Verdict::Clean)),
        (&[10, 10], (20, Verdict::Suspicious)),
        (&[25, 25], (50, Verdict::Phishing)),
        (&[60, 60], (100, Verdict::Phishing)),
    ] {
        let findings: Vec<_> = points.iter().copied().map(finding).collect();
        assert_eq!(verdict(&findings), expected);
    }
}

#[test]
fn what_has_no_sender_is_no_email() {
    for raw in ["", "Subject: x\n\nHello", "{}", "From: nobody\n\n"] {
        assert!(Email::read(raw.as_bytes()).is_err(), "{raw}");
    }
}
