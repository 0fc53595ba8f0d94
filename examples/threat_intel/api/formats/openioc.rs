//! An `OpenIOC` 1.1 document.

use std::fmt::Write as _;

use tollgate::core::clock::Timestamp;
use uuid::Uuid;

use super::super::feed::NOTICE;
use super::super::ioc::{Ioc, IocType};

pub(crate) fn document(iocs: &[&Ioc], now: Timestamp) -> String {
    let mut items = String::new();
    for ioc in iocs {
        let (document, search, content) = context(ioc);
        let (id, value) = (ioc.id, escaped(&ioc.value));
        // Writing to a string cannot fail.
        let _ = writeln!(
            items,
            r#"      <IndicatorItem id="{id}" condition="is" preserve-case="false" negate="false">
        <Context document="{document}" search="{search}" type="mir"/>
        <Content type="{content}">{value}</Content>
      </IndicatorItem>"#
        );
    }
    let (id, all) = (Uuid::new_v4(), Uuid::new_v4());
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<OpenIOC xmlns="http://openioc.org/schemas/OpenIOC_1.1" id="{id}" last-modified="{now}" published-date="{now}">
  <metadata>
    <short_description>SOC Defenders IOC export</short_description>
    <description>{NOTICE}</description>
    <authored_by>SOC Defenders</authored_by>
    <authored_date>{now}</authored_date>
    <links/>
  </metadata>
  <criteria>
    <Indicator id="{all}" operator="OR">
{items}    </Indicator>
  </criteria>
  <parameters/>
</OpenIOC>
"#
    )
}

/// What an item is compared with, and the type of its content.
const fn context(ioc: &Ioc) -> (&'static str, &'static str, &'static str) {
    match ioc.kind {
        IocType::Ip => ("PortItem", "PortItem/remoteIP", "IP"),
        IocType::Domain => ("DnsEntryItem", "DnsEntryItem/Host", "string"),
        IocType::Url => ("UrlHistoryItem", "UrlHistoryItem/URL", "string"),
        IocType::Md5 => ("FileItem", "FileItem/Md5sum", "md5"),
        IocType::Sha1 => ("FileItem", "FileItem/Sha1sum", "sha1"),
        IocType::Sha256 => ("FileItem", "FileItem/Sha256sum", "sha256"),
        IocType::Email => ("Email", "Email/From", "string"),
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    let text = text.replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}
