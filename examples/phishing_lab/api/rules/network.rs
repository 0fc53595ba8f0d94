//! Snort and Suricata: what goes over the network.

use super::super::input::{Domain, Indicator};

/// The first id that is free for rules of one's own.
const FIRST_SID: u32 = 1_000_001;

/// One rule for each indicator, in the language of Snort 2.
pub(super) fn snort(name: &str, indicators: &[&Indicator]) -> String {
    all(name, indicators, |indicator| match indicator {
        Indicator::Address(address) => {
            Some((format!("ip $HOME_NET any -> {address} any"), String::new()))
        }
        Indicator::Domain(domain) => {
            let query = format!("content:\"{}\"; nocase; ", dns_labels(domain));
            Some(("udp $HOME_NET any -> any 53".to_owned(), query))
        }
        Indicator::Url(url) if url.is_encrypted() => {
            let name = format!(
                "flow:to_server,established; content:\"{}\"; nocase; ",
                content(&url.host().to_string())
            );
            Some(("tcp $HOME_NET any -> $EXTERNAL_NET 443".to_owned(), name))
        }
        Indicator::Url(url) => {
            let request = format!(
                "flow:to_server,established; content:\"{}\"; http_header; nocase; \
                 content:\"{}\"; http_uri; ",
                content(&url.host().to_string()),
                content(&url.path()),
            );
            Some((
                "tcp $HOME_NET any -> $EXTERNAL_NET $HTTP_PORTS".to_owned(),
                request,
            ))
        }
        Indicator::Hash(_) => None,
    })
}

/// One rule for each indicator, in the language of Suricata.
pub(super) fn suricata(name: &str, indicators: &[&Indicator]) -> String {
    all(name, indicators, |indicator| match indicator {
        Indicator::Address(address) => {
            Some((format!("ip $HOME_NET any -> {address} any"), String::new()))
        }
        Indicator::Domain(domain) => {
            let query = format!(
                "dns.query; content:\"{}\"; nocase; endswith; ",
                content(domain.as_str())
            );
            Some(("dns $HOME_NET any -> any any".to_owned(), query))
        }
        Indicator::Url(url) if url.is_encrypted() => {
            let name = format!(
                "tls.sni; content:\"{}\"; nocase; ",
                content(&url.host().to_string())
            );
            Some(("tls $HOME_NET any -> $EXTERNAL_NET any".to_owned(), name))
        }
        Indicator::Url(url) => {
            let request = format!(
                "flow:to_server,established; http.host; content:\"{}\"; http.uri; content:\"{}\"; ",
                content(&url.host().to_string()),
                content(&url.path()),
            );
            Some((
                "http $HOME_NET any -> $EXTERNAL_NET any".to_owned(),
                request,
            ))
        }
        Indicator::Hash(_) => None,
    })
}

/// A line for each indicator that has a header and options.
fn all(
    name: &str,
    indicators: &[&Indicator],
    parts: impl Fn(&Indicator) -> Option<(String, String)>,
) -> String {
    let rules = indicators
        .iter()
        .filter_map(|indicator| parts(indicator).map(|parts| (indicator, parts)));
    let lines = rules
        .zip(FIRST_SID..)
        .map(|((indicator, (header, options)), sid)| {
            let kind = indicator.kind();
            format!("alert {header} (msg:\"{name} {kind}\"; {options}sid:{sid}; rev:1;)\n")
        });
    lines.collect()
}

/// A name as it is in a DNS query: each label after its length.
fn dns_labels(domain: &Domain) -> String {
    let labels = domain.as_str().split('.');
    let labels: Vec<String> = labels
        .map(|label| format!("|{:02x}|{label}", label.len()))
        .collect();
    format!("{}|00|", labels.concat())
}

/// Text as the value of a `content`, with bytes that mean something there in hexadecimal digits.
fn content(text: &str) -> String {
    let written = text.bytes().map(|byte| match byte {
        b'"' | b';' | b':' | b'\\' | b'|' => format!("|{byte:02x}|"),
        byte if byte.is_ascii_graphic() => char::from(byte).to_string(),
        byte => format!("|{byte:02x}|"),
    });
    written.collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::indicators;
    use super::*;

    #[test]
    fn snort_gets_a_rule_for_each_indicator() {
        let all = indicators(&["198.51.100.23", "evil.example"]);
        let expected = "\
alert ip $HOME_NET any -> 198.51.100.23 any (msg:\"lab_x ip\"; sid:1000001; rev:1;)
alert udp $HOME_NET any -> any 53 (msg:\"lab_x domain\"; content:\"|04|evil|07|example|00|\"; nocase; sid:1000002; rev:1;)
";
        assert_eq!(snort("lab_x", &all.iter().collect::<Vec<_>>()), expected);
    }

    #[test]
    fn suricata_gets_a_rule_for_each_indicator() {
        let all = indicators(&[
            "evil.example",
            "http://evil.example/a;b",
            "https://evil.example/login",
        ]);
        let expected = "\
alert dns $HOME_NET any -> any any (msg:\"lab_x domain\"; dns.query; content:\"evil.example\"; nocase; endswith; sid:1000001; rev:1;)
alert http $HOME_NET any -> $EXTERNAL_NET any (msg:\"lab_x url\"; flow:to_server,established; http.host; content:\"evil.example\"; http.uri; content:\"/a|3b|b\"; sid:1000002; rev:1;)
alert tls $HOME_NET any -> $EXTERNAL_NET any (msg:\"lab_x url\"; tls.sni; content:\"evil.example\"; nocase; sid:1000003; rev:1;)
";
        assert_eq!(suricata("lab_x", &all.iter().collect::<Vec<_>>()), expected);
    }
}
