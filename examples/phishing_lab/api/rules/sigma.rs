//! Sigma: what hosts log, one document for each source of logs.

use super::super::input::Indicator;

/// A source of logs, the field to look at, and which indicators are found there.
struct Source {
    about: &'static str,
    category: &'static str,
    field: &'static str,
    value: fn(&Indicator) -> Option<String>,
}

const SOURCES: [Source; 4] = [
    Source {
        about: "domains",
        category: "dns_query",
        field: "QueryName|endswith",
        value: |indicator| match indicator {
            Indicator::Domain(domain) => Some(domain.to_string()),
            _ => None,
        },
    },
    Source {
        about: "addresses",
        category: "network_connection",
        field: "DestinationIp",
        value: |indicator| match indicator {
            Indicator::Address(address) => Some(address.to_string()),
            _ => None,
        },
    },
    Source {
        about: "URLs",
        category: "proxy",
        field: "c-uri|contains",
        value: |indicator| match indicator {
            Indicator::Url(url) => Some(url.to_string()),
            _ => None,
        },
    },
    Source {
        about: "hashes",
        category: "process_creation",
        field: "Hashes|contains",
        value: |indicator| match indicator {
            Indicator::Hash(hash) => {
                let algorithm = hash.algorithm.as_str().to_uppercase();
                Some(format!("{algorithm}={}", hash.digits))
            }
            _ => None,
        },
    },
];

/// A YAML stream with a document for each source that has something to look for.
pub(super) fn rules(name: &str, indicators: &[&Indicator]) -> String {
    let documents = SOURCES.iter().filter_map(|source| {
        let values = indicators.iter().filter_map(|of| (source.value)(of));
        let values: Vec<String> = values.map(|value| listed(&value)).collect();
        let Source {
            about,
            category,
            field,
            ..
        } = source;
        (!values.is_empty()).then(|| {
            format!(
                "title: {name} {about}\nstatus: experimental\nlogsource:\n    category: {category}\n\
                 detection:\n    selection:\n        {field}:\n{}    condition: selection\n\
                 level: high\n",
                values.concat(),
            )
        })
    });
    documents.collect::<Vec<_>>().join("---\n")
}

/// One line of a list, in single quotes, in which a quote is written twice. What Sigma reads as a
/// wildcard is escaped.
fn listed(value: &str) -> String {
    let value = value
        .replace('\\', "\\\\")
        .replace('*', "\\*")
        .replace('?', "\\?");
    format!("            - '{}'\n", value.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::indicators;
    use super::*;

    #[test]
    fn each_source_of_logs_has_a_document() {
        let all = indicators(&[
            "evil.example",
            "198.51.100.23",
            "https://evil.example/it's?a=*",
            "44d88612fea8a8f36de82e1278abb02f",
        ]);
        let rules = rules("lab_x", &all.iter().collect::<Vec<_>>());
        let documents: Vec<&str> = rules.split("---\n").collect();
        assert_eq!(documents.len(), 4, "{rules}");
        let expected = "title: lab_x domains\nstatus: experimental\nlogsource:\n    category: \
                        dns_query\ndetection:\n    selection:\n        QueryName|endswith:\n            \
                        - 'evil.example'\n    condition: selection\nlevel: high\n";
        assert_eq!(documents[0], expected);
        assert!(documents[1].contains("DestinationIp:\n            - '198.51.100.23'\n"));
        assert!(
            documents[2].contains(r"- 'https://evil.example/it''s\?a=\*'"),
            "{rules}"
        );
        assert!(documents[3].contains("'MD5=44d88612fea8a8f36de82e1278abb02f'"));
    }
}
