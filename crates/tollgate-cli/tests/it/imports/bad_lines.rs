//! Lines of a file that are no keys.

use serde_json::{Value, json};

use super::{HEADER, digest, import, is_untouched, keys, place, told};

/// Rows of CSV, and why each is refused; `G` and `D` are digests, `X` is very long.
const ROWS: [(&str, &str); 21] = [
    ("acme,good,G,,,,,", ""),
    ("acme,zz,zz,,,,,", "digest: `zz…` is not 64"),
    ("acme,none,,,,,,", "digest: there is none"),
    ("acme,,D,,,,,", "name: there is none"),
    (",a,D,,,,,", "organization: there is none"),
    ("a b,a,D,,,,,", "`a b`"),
    ("nobody,a,D,,,,,", "there is no organization `nobody`"),
    ("acme,a,D,iocs:fly,,,,", "`iocs:fly`"),
    ("acme,a,D,,red-only,,,", "`red-only`"),
    (
        "acme,a,D,iocs:read,read-only,,,",
        "preset: a key follows a preset or",
    ),
    (
        "acme,a,D,,,tomorrow,,",
        "expires_at: `tomorrow` is not like",
    ),
    (
        "acme,a,D,,,,moon,",
        "key environment: `moon` is not declared",
    ),
    ("acme,a,D,,,,,é", "display prefix: `é`"),
    ("acme,a\0b,D,,,,,", "key name: `a\\0b`"),
    ("acme,again,G,,,,,", "a key of this digest exists already"),
    ("acme,a,D", "it has 3 fields, and the first line 8"),
    ("acme,a,D,,,,,,", "it has 9 fields"),
    ("acme,X,D,,,,,", "it is longer than 16384 bytes"),
    (
        "acme,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,",
        "or 32 fields",
    ),
    ("acme,\"a\nb\",D,,,,,", "key name: `a\\nb`"),
    (
        "acme,left open,D,\"iocs:read,,,,",
        "fields, and the first line 8",
    ),
];

#[tokio::test]
async fn each_bad_line_of_csv_is_told_and_nothing_is_imported() {
    let place = place().await;
    let (good, other, huge) = (digest("good"), digest("other"), "x".repeat(20_000));
    let mut file = format!("{HEADER}\n");
    let mut expected = Vec::new();
    let mut line = 2;
    for (row, why) in &ROWS {
        let row = row.replace('X', &huge);
        let row = row.replace('G', &good).replace('D', &other);
        if !why.is_empty() {
            expected.push((line, why));
        }
        line += 1 + row.matches('\n').count();
        file.push_str(&row);
        file.push('\n');
    }
    for end in ["\n", "\r\n"] {
        let file = file.replace('\n', end).replace("\"a\r\nb\"", "\"a\nb\"");
        let done = import(&place, "keys.csv", file, &["--json"]);
        let (lines, last) = told(&done);
        assert_eq!(lines.len(), expected.len(), "{}", done.stderr);
        for (told, (line, why)) in lines.iter().zip(&expected) {
            assert!(
                told.starts_with(&format!("line {line}: ")),
                "{told}, {line}"
            );
            assert!(told.contains(*why), "{told}, {why}");
            assert!(told.len() < 600, "{told}");
        }
        assert_eq!(
            last,
            "error: 20 of 21 records were refused; nothing was imported: mend them, or leave them \
             out with `--keep-going`"
        );
        assert_eq!(done.code, 1);
        let report: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(
            (&report["imported"], &report["refused"]),
            (&json!(0), &json!(20))
        );
        assert_eq!(report["refusals"].as_array().unwrap().len(), 20);
        assert_eq!(report["refusals"][0]["line"], 3);
        is_untouched(&place).await;
    }
    let done = import(&place, "keys.csv", &file, &["--keep-going"]);
    assert_eq!(done.code, 1);
    assert_eq!(
        told(&done).1,
        "error: 20 of 21 records were refused; the others were imported"
    );
    let keys = keys(&place);
    assert_eq!((keys.len(), &keys[0]["name"]), (1, &json!("good")));
}

#[tokio::test]
async fn each_bad_line_of_json_is_told_without_what_may_be_a_secret() {
    let place = place().await;
    let good = digest("good");
    let rows: Vec<(Vec<u8>, &str)> = vec![
        (json!({"name": "a", "digest": good}).to_string().into(), ""),
        ("\"oldco_secret\"".into(), "it is not a JSON object"),
        ("[]".into(), "it is not a JSON object"),
        ("{".into(), "column 1: EOF"),
        ("{} {}".into(), "column 4: trailing"),
        (
            r#"{"secret":"oldco_secret"}"#.into(),
            "unknown field `secret`, expected one of",
        ),
        (
            r#"{"name":"a","name":"b"}"#.into(),
            "duplicate field `name`",
        ),
        (
            r#"{"name":"a","digest":5}"#.into(),
            "integer `5`, expected a string",
        ),
        (r#"{"name":"a","scopes":[1]}"#.into(), "`scopes` is neither"),
        (
            r#"{"name":"a\u0000","digest":""}"#.into(),
            "digest: there is none",
        ),
        (
            r#"{"organization":"acme","name":"a"}"#.into(),
            "`--org` names one for all",
        ),
        (b"{\"name\":\"\xff\"}".to_vec(), "it is not UTF-8 text"),
        (b"{\"name\":\"\0\"}".to_vec(), "control character"),
        (
            format!("{{\"name\":\"{}\"}}", "x".repeat(99_999)).into(),
            "longer than 16384 bytes",
        ),
    ];
    let file = rows
        .iter()
        .map(|(row, _)| &**row)
        .collect::<Vec<_>>()
        .join(&b'\n');
    let done = import(&place, "keys.jsonl", file, &["--org", "acme"]);
    let (lines, last) = told(&done);
    for (told, (n, (_, why))) in lines.iter().zip(rows.iter().enumerate().skip(1)) {
        assert!(told.starts_with(&format!("line {}: ", n + 1)), "{told}");
        assert!(told.contains(why), "{told}, {why}");
        assert!(!told.contains("at line"), "{told}");
    }
    assert_eq!(lines.len(), rows.len() - 1);
    assert!(
        last.starts_with("error: 13 of 14 records were refused; nothing"),
        "{last}"
    );
    assert!(!done.stderr.contains("oldco_secret"), "{}", done.stderr);
    is_untouched(&place).await;
}
