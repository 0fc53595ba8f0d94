//! Finds a secret in whatever form it was written down.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Secrets that nobody may read, each in two pieces and in many forms.
///
/// The first four random characters of a key are shown in listings and the checksum tells
/// nothing; neither is searched for. Either half of the rest is a finding.
#[derive(Default)]
pub(super) struct Search {
    /// In any case, and without blanks, which `{:#?}` puts between numbers.
    loose: Index,
    /// As they are.
    exact: Index,
}

#[derive(Default)]
struct Index {
    needles: Vec<(String, Vec<u8>)>,
    /// Which needles begin with two bytes.
    by_start: Vec<Vec<usize>>,
}

impl Search {
    pub(super) fn key(&mut self, whose: &str, secret: &str) {
        let random = secret.rsplit('_').next().unwrap();
        self.text(whose, &random[4..30]);
    }

    pub(super) fn text(&mut self, whose: &str, text: &str) {
        let (left, right) = text.as_bytes().split_at(text.len() / 2);
        for half in [left, right] {
            for (form, written) in loose_forms(half) {
                let needle = written.to_ascii_lowercase().into_bytes();
                self.loose.add(format!("{whose}, {form}"), needle);
            }
            for offset in 0..3 {
                for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                    // Only whole groups of three bytes look the same whatever is behind them.
                    let groups = half[offset..].chunks_exact(3).flatten().copied();
                    let written = engine.encode(groups.collect::<Vec<u8>>());
                    self.exact
                        .add(format!("{whose}, in base64"), written.into_bytes());
                }
            }
        }
    }

    /// Every finding: whose secret, in what form, and what is around it.
    pub(super) fn found(&self, text: &[u8]) -> Vec<String> {
        let tight = text.iter().filter(|byte| !byte.is_ascii_whitespace());
        let lower: Vec<u8> = tight.map(u8::to_ascii_lowercase).collect();
        let mut found = self.loose.found(&lower);
        found.extend(self.exact.found(text));
        found
    }

    #[track_caller]
    pub(super) fn assert_none(&self, sink: &str, text: &[u8]) {
        let found = self.found(text);
        let shown = &found[..found.len().min(8)];
        assert!(found.is_empty(), "{} in {sink}: {shown:#?}", found.len());
    }
}

fn loose_forms(text: &[u8]) -> [(&'static str, String); 5] {
    [
        ("as it is", String::from_utf8(text.to_vec()).unwrap()),
        (
            "in hexadecimal",
            each_byte(text, "", |byte| format!("{byte:02x}")),
        ),
        (
            "as a URL has it",
            each_byte(text, "", |byte| format!("%{byte:02x}")),
        ),
        ("as numbers", each_byte(text, ",", |byte| byte.to_string())),
        (
            "as hexadecimal numbers",
            each_byte(text, ",", |byte| format!("0x{byte:02x}")),
        ),
    ]
}

/// Writes each byte in the same way.
pub(super) fn each_byte(text: &[u8], between: &str, write: impl Fn(u8) -> String) -> String {
    let written: Vec<String> = text.iter().map(|byte| write(*byte)).collect();
    written.join(between)
}

impl Index {
    fn add(&mut self, what: String, needle: Vec<u8>) {
        self.by_start.resize(1 << 16, Vec::new());
        self.by_start[start(&needle)].push(self.needles.len());
        self.needles.push((what, needle));
    }

    fn found(&self, text: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for at in 0..text.len().saturating_sub(1) {
            for (what, needle) in self.by_start[start(&text[at..])]
                .iter()
                .map(|n| &self.needles[*n])
            {
                if text[at..].starts_with(needle) {
                    let around = &text[at.saturating_sub(160)..text.len().min(at + 80)];
                    found.push(format!("{what}: …{}…", around.escape_ascii()));
                }
            }
        }
        found
    }
}

fn start(text: &[u8]) -> usize {
    usize::from(text[0]) << 8 | usize::from(text[1])
}

#[test]
fn a_secret_is_found_in_every_form_and_at_every_offset() {
    let secret = "sk_live_0000abcdefghiJKLMNOPQRSTUV98765XYZxyz";
    let mut search = Search::default();
    search.key("a key", secret);
    let upper = each_byte(secret.as_bytes(), "", |byte| format!("%{byte:02X}"));
    for before in 0..4 {
        let text = format!("{}{secret}, and more", "-".repeat(before));
        for written in [
            text.clone(),
            STANDARD_NO_PAD.encode(&text),
            URL_SAFE_NO_PAD.encode(&text),
            each_byte(text.as_bytes(), "", |byte| format!("{byte:02x}")),
            format!("{:?}", text.as_bytes()),
            format!("{:#?}", text.as_bytes()),
            format!("{:#x?}", text.as_bytes()),
            format!("{}{upper}", "-".repeat(before)),
            text.to_ascii_uppercase(),
        ] {
            assert!(!search.found(written.as_bytes()).is_empty(), "{written}");
        }
    }
    for shown in ["sk_live_0000", "sk_live_0000…xyz", "abcdefghi JKL"] {
        assert!(search.found(shown.as_bytes()).is_empty(), "{shown}");
    }
}
