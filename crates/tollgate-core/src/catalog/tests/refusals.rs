use std::time::Duration;

use crate::catalog::{Catalog, CatalogBuilder, KeyFormatSpec, Preset};
use crate::invalid::Invalid;
use crate::plan::{Limits, Plan};
use crate::rate::RateLimit;
use crate::scope::Scope;

const NAME: &str = "a name is 1 to 64 of A-Z a-z 0-9 . _ - :";

fn base() -> CatalogBuilder {
    Catalog::builder().scopes(["iocs:read", "iocs:write"])
}

fn check<const N: usize>(cases: [(CatalogBuilder, String); N]) {
    for (builder, expected) in cases {
        let error = builder.build().unwrap_err();
        let told: Vec<_> = error.problems().iter().map(Invalid::to_string).collect();
        assert_eq!(told, [expected]);
    }
}

#[test]
fn what_scopes_may_not_say_is_told_in_one_sentence() {
    let scope = Scope::new;
    let ill = "a name is 1 to 128 visible ASCII characters without space, quote or backslash, \
               such as `iocs:read`";
    let wild = "a `*` is no wildcard here; give it another name and say what it implies";
    check([
        (
            base().scope("iocs:read"),
            "scope `iocs:read`: it is declared twice; remove one".to_owned(),
        ),
        (base().scope(""), format!("scope ``: {ill}")),
        (base().scope("a b"), format!("scope `a b`: {ill}")),
        (base().scope("a\\b"), format!(r"scope `a\\b`: {ill}")),
        (base().scope("a\"b"), format!("scope `a\\\"b`: {ill}")),
        (base().scope("é"), format!("scope `é`: {ill}")),
        (base().scope("*"), format!("scope `*`: {wild}")),
        (base().scope("iocs:*"), format!("scope `iocs:*`: {wild}")),
        (
            base().scope("a".repeat(129)),
            format!("scope `{}…`: {ill}", "a".repeat(128)),
        ),
        (
            base().scope(scope("x").implies("iocs:raed")),
            "scope `x`: it implies `iocs:raed`, which is not declared; did you mean `iocs:read`?"
                .to_owned(),
        ),
        (
            base().scope(scope("x").implies("webhooks:delete")),
            "scope `x`: it implies `webhooks:delete`, which is not declared; \
             declare it or do not imply it"
                .to_owned(),
        ),
        (
            base()
                .scope(scope("x").requires_plan("prro"))
                .plan(Plan::new("pro")),
            "scope `x`: it demands the plan `prro`, which is not declared; did you mean `pro`?"
                .to_owned(),
        ),
        (
            base().scope(scope("x").requires_plan("pro")),
            "scope `x`: it demands the plan `pro`, which is not declared; \
             declare it or demand no plan"
                .to_owned(),
        ),
        (
            base()
                .scope(scope("a").implies("b"))
                .scope(scope("b").implies("a")),
            "scopes: `a → b → a` imply each other in a circle; remove one of these implications"
                .to_owned(),
        ),
        (
            base().scope(scope("a").implies("a")),
            "scopes: `a → a` imply each other in a circle; remove one of these implications"
                .to_owned(),
        ),
        (
            Catalog::builder().scopes((0..4097).map(|n: u32| n.to_string())),
            "scopes: there are 4097, and at most 4096 are allowed; remove some".to_owned(),
        ),
    ]);
}

#[test]
fn what_presets_may_not_say_is_told_in_one_sentence() {
    let scope = Scope::new;
    check([
        (
            base().preset(Preset::new("a/b")),
            format!("preset `a/b`: {NAME}"),
        ),
        (
            base().preset(Preset::new("a")).preset(Preset::new("a")),
            "preset `a`: it is declared twice; remove one".to_owned(),
        ),
        (
            base().preset(Preset::new("a").scopes(["iocs:red"])),
            "preset `a`: it holds `iocs:red`, which is not declared; did you mean `iocs:read`?"
                .to_owned(),
        ),
        (
            base().preset(Preset::new("a").scopes(["zzz"])),
            "preset `a`: it holds `zzz`, which is not declared; declare it or remove it".to_owned(),
        ),
        (
            base()
                .scope(scope("lab").legacy())
                .preset(Preset::new("a").scopes(["lab"])),
            "preset `a`: it holds `lab`, which is legacy; \
             list the scopes that are meant instead"
                .to_owned(),
        ),
    ]);
}

#[test]
fn what_plans_may_not_say_is_told_in_one_sentence() {
    let second = |units| RateLimit::smooth(units, Duration::from_secs(1)).unwrap();
    let twice = "there are two of this name; name one of them differently or remove it";
    check([
        (base().plan(Plan::new("")), format!("plan ``: {NAME}")),
        (
            base().plan(Plan::new("a")).plan(Plan::new("a").rank(1)),
            "plan `a`: it is declared twice; remove one".to_owned(),
        ),
        (
            base().plan(Plan::new("a")).plan(Plan::new("b")),
            "plan `b`: it has rank 0, as the plan `a` has; give each plan its own rank".to_owned(),
        ),
        (
            base().plan((1..=5).fold(Plan::new("a"), |plan, units| plan.rate(second(units)))),
            "plan `a`: rates: there are 5, and at most 4 are counted; remove some".to_owned(),
        ),
        (
            base().plan(
                Plan::new("a")
                    .rate(second(1).named("x"))
                    .rate(second(2).named("x")),
            ),
            format!("plan `a`: limit `x`: {twice}"),
        ),
        (
            base().plan(Plan::new("a").in_flight(0)),
            "plan `a`: in_flight: 0 lets no request pass; leave it out for no cap".to_owned(),
        ),
        (
            base().plan(Plan::new("a").class("slow", Limits::new().with_in_flight(0))),
            "plan `a`: class `slow`: in_flight: 0 lets no request pass; leave it out for no cap"
                .to_owned(),
        ),
        (
            base().plan(Plan::new("a").class("a b", Limits::new())),
            format!("plan `a`: class `a b`: {NAME}"),
        ),
        (
            base().plan(Plan::new("a").feature("")),
            format!("plan `a`: feature ``: {NAME}"),
        ),
        (
            base().plan(Plan::new("a").number("é", 1)),
            format!("plan `a`: number `é`: {NAME}"),
        ),
    ]);
}

#[test]
fn what_keys_may_not_say_is_told_in_one_sentence() {
    let format = KeyFormatSpec::new;
    let day = Duration::from_hours(24);
    check([
        (
            base().key_format(format("SK").environment("live")),
            "key prefix: `SK` is not 1 to 12 of a-z 0-9".to_owned(),
        ),
        (
            base().key_format(format("sk")),
            "key environments: there is none; declare one, such as `live`".to_owned(),
        ),
        (
            base().key_format(format("sk").environment("li_ve")),
            "key environment: `li_ve` is not 1 to 12 of a-z 0-9".to_owned(),
        ),
        (
            base().key_format(format("sk").environment("live").free_environment("live")),
            "key environment: `live` is declared twice; remove one".to_owned(),
        ),
        (
            base().key_format(KeyFormatSpec::default().shown(9)),
            "shown characters of a key: 9 is more than 8".to_owned(),
        ),
        (
            base().rotation_age(Duration::ZERO),
            "key rotation age: it is not a whole, positive number of microseconds; \
             leave it out for none"
                .to_owned(),
        ),
        (
            base().default_key_lifetime(day * 2).max_key_lifetime(day),
            "default key lifetime: it is longer than the longest; shorten it".to_owned(),
        ),
    ]);
}

#[test]
fn every_problem_is_told_at_once() {
    let error = Catalog::builder()
        .scope(Scope::new("a").implies("b").requires_plan("c"))
        .preset(Preset::new("p").scopes(["d"]))
        .build()
        .unwrap_err()
        .within("file tollgate.toml");
    assert_eq!(error.problems().len(), 3);
    let text = error.to_string();
    assert!(text.starts_with("the catalog cannot be used\n- file tollgate.toml: scope `a`: "));
}

#[test]
fn what_a_file_cannot_say_is_told_with_its_place() {
    let cases = [
        (
            "[scopes]\n\"a\" = ",
            "line 2, column 7: string values must be quoted",
        ),
        (
            "[scopes]\na = { plans = 1 }",
            "line 2, column 7: unknown field `plans`",
        ),
        (
            "[scopes]\na = { implies = \"all\" }",
            "line 2, column 17: implies: give a list",
        ),
        (
            "[scopes]\na = [\"b\"]",
            "line 2, column 5: scope `a`: give a description",
        ),
        (
            "[scopes]\na = 1",
            "line 2, column 5: invalid type: integer `1`, expected a text",
        ),
        (
            "[scopes]\na = \"\"\na = \"\"",
            "line 3, column 1: duplicate key",
        ),
        (
            "[presets]\na = \"b\"",
            "line 2, column 5: preset `a`: give a list",
        ),
        ("[plans]\na = {}", "line 2, column 5: missing field `rank`"),
        (
            "[plans]\na = \"x\"",
            "line 2, column 5: plan `a`: give a table",
        ),
        (
            "[plans.a]\nrank = 0\nrates = [\"1/day\"]",
            "line 3, column 9: rate: `1/day` is not like",
        ),
        (
            "[plans.a]\nrank = 0\nrates = [{ limit = \"1/second\", kind = \"exakt\" }]",
            "line 3, column 39: unknown variant `exakt`",
        ),
        (
            "[keys]\nmax_lifetime = \"1y\"",
            "line 2, column 16: `1y` is not a duration",
        ),
        (
            "[keys]\nprefx = \"op\"",
            "line 2, column 1: unknown field `prefx`",
        ),
        ("[kes]", "line 1, column 2: unknown field `kes`"),
    ];
    for (text, expected) in cases {
        let error = Catalog::from_toml(text).unwrap_err();
        let told = error.problems()[0].to_string();
        assert!(told.starts_with(expected), "{text}\n{told}");
        assert!(!told.contains('\n'), "{told}");
    }
    assert!(Catalog::from_json("{\"scopes\":{\"a\":{\"x\":1}}}").is_err());
    let twice = Catalog::from_json(r#"{"scopes":{"a":"one","a":"two"}}"#).unwrap_err();
    assert!(twice.to_string().contains("`a`: it is declared twice"));
}

#[test]
fn what_a_file_says_cannot_write_on_a_terminal_nor_fill_it() {
    let long = format!("\"{}\" = 1", "é".repeat(100_000));
    for text in ["\"a\\eb\" = 1", "scopes.a.\"\\u009b\" = 1", &long] {
        let told = Catalog::from_toml(text).unwrap_err().problems()[0].to_string();
        assert!(!told.chars().any(char::is_control), "{told:?}");
        assert!(told.len() < 2048, "{} bytes", told.len());
    }
    let error = Catalog::from_json("{\"a\\u001bb\": 1}").unwrap_err();
    let told = error.problems()[0].to_string();
    assert!(told.contains(r"unknown field `a\u{1b}b`"), "{told:?}");
}
