//! YARA: what files contain, and what they hash to.

use super::super::input::Indicator;

/// One rule that matches files with any of the indicators.
pub(super) fn rule(name: &str, indicators: &[&Indicator]) -> String {
    let mut strings = Vec::new();
    let mut conditions = Vec::new();
    for indicator in indicators {
        match indicator {
            Indicator::Hash(hash) => {
                let (algorithm, digits) = (hash.algorithm.as_str(), &hash.digits);
                conditions.push(format!("hash.{algorithm}(0, filesize) == \"{digits}\""));
            }
            text => {
                let (text, number) = (quoted(&text.to_string()), strings.len());
                strings.push(format!("        $i{number} = {text} ascii wide nocase\n"));
            }
        }
    }
    let import = if conditions.is_empty() {
        ""
    } else {
        "import \"hash\"\n\n"
    };
    let mut section = String::new();
    if !strings.is_empty() {
        section = format!("    strings:\n{}", strings.concat());
        conditions.insert(0, "any of ($i*)".to_owned());
    }
    let (count, condition) = (indicators.len(), conditions.join(" or\n        "));
    format!(
        "{import}rule {name}\n{{\n    meta:\n        description = \"Any of {count} indicators\"\n\
         {section}    condition:\n        {condition}\n}}\n"
    )
}

/// As a text string of YARA, in which quotes and backslashes are escaped.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::super::tests::indicators;
    use super::*;

    fn rule_for(texts: &[&str]) -> String {
        let all = indicators(texts);
        rule("lab_x", &all.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_rule_looks_for_strings_and_hashes() {
        let rule = rule_for(&["evil.example", "44d88612fea8a8f36de82e1278abb02f"]);
        let expected = r#"import "hash"

rule lab_x
{
    meta:
        description = "Any of 2 indicators"
    strings:
        $i0 = "evil.example" ascii wide nocase
    condition:
        any of ($i*) or
        hash.md5(0, filesize) == "44d88612fea8a8f36de82e1278abb02f"
}
"#;
        assert_eq!(rule, expected);
    }

    #[test]
    fn a_section_that_would_be_empty_is_left_out() {
        assert!(!rule_for(&["evil.example"]).contains("import"));
        assert!(!rule_for(&["44d88612fea8a8f36de82e1278abb02f"]).contains("strings:"));
    }
}
