//! abuse.ch ThreatFox: indicators of malware, as JSON export, as answer of its API, or as CSV.
//!
//! Bytes come in; addresses, domains and URLs go out with the confidence of who reported them. Hashes are of no use
//! here and counted. A host that was broken into, and belongs to somebody else, has half of the score.

use std::borrow::Cow;

use serde_json::Value;

use super::banner::Banner;
use super::collect::{Collector, Facts, Place, given, kept};
use super::table::Table;
use super::target::{self, Target};
use super::{Format, Parsed, Reading, RejectReason, abuse, category, document};
use crate::feeds::About;

/// The columns of the CSV, as of today and as before `is_compromised` came in.
const COLUMNS: &[&str] = &[
    "first_seen_utc",
    "ioc_id",
    "ioc_value",
    "ioc_type",
    "threat_type",
    "fk_malware",
    "malware_alias",
    "malware_printable",
    "last_seen_utc",
    "confidence_level",
    "is_compromised",
    "reference",
    "tags",
    "anonymous",
    "reporter",
];

/// Reads a list.
pub(super) fn parse(reading: &Reading, bytes: &[u8]) -> Parsed {
    let mut collector = Collector::new(Format::Threatfox, reading);
    if bytes.trim_ascii_start().starts_with(b"{") {
        return json(collector, bytes);
    }
    let table = Table::named(bytes, b',', &["ioc_value", "ioc_type"], COLUMNS);
    let found =
        table.rows(&mut collector, |collector, row| add(collector, row.place, None, |name| row.get(name)));
    Banner::of(bytes, b"#").remark(found, &mut collector);
    collector.finish()
}

fn json(collector: Collector, bytes: &[u8]) -> Parsed {
    abuse::json(Format::Threatfox, collector, "no_result", bytes, |collector, line, number, record| {
        let get = |name: &str| found(record, name).map(Cow::Owned);
        let text = [get("ioc_type"), get("ioc_value")].map(Option::unwrap_or_default).join(" ");
        add(collector, Place { line, text: &text }, number, get);
    })
}

/// A member by the name that the CSV has for it; the API has shorter ones than the export.
fn found(record: &Value, name: &str) -> Option<String> {
    let shorter = match name {
        "ioc_value" => "ioc",
        "ioc_id" => "id",
        "first_seen_utc" => "first_seen",
        "last_seen_utc" => "last_seen",
        _ => name,
    };
    document::member(record, name).or_else(|| document::member(record, shorter))
}

fn add<'t>(
    collector: &mut Collector,
    place: Place<'_>,
    number: Option<&str>,
    get: impl Fn(&'static str) -> Option<Cow<'t, str>>,
) {
    let (value, kind) = (get("ioc_value"), get("ioc_type"));
    let (Some(value), Some(kind)) = (given(value.as_deref()), kind) else {
        return collector.reject(place, RejectReason::NoValue);
    };
    let target = match (&*kind, target::read(value)) {
        (kind, _) if kind.ends_with("_hash") => Err(RejectReason::Hash),
        ("ip:port", Ok(target @ Target::Network { .. })) | ("domain", Ok(target @ Target::Domain { .. })) => {
            Ok(target)
        }
        ("url", Ok(target @ (Target::Network { .. } | Target::Domain { .. }))) => Ok(target),
        ("ip:port" | "domain" | "url", Ok(_)) => Err(RejectReason::Kind),
        ("ip:port" | "domain" | "url", Err(reason)) => Err(reason),
        _ => Err(RejectReason::OtherKind),
    };
    let target = match target {
        Ok(target) => target,
        Err(reason) => return collector.reject(place, reason),
    };
    let is_compromised = get("is_compromised").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let score = collector.score(place.line, get("confidence_level").as_deref());
    let id = get("ioc_id");
    let id = given(id.as_deref()).or(number);
    let category = get("threat_type");
    let about = About {
        category: given(category.as_deref()).map(category::of),
        first_seen: collector.time("first_seen", place.line, get("first_seen_utc").as_deref()),
        last_seen: collector.time("last_seen", place.line, get("last_seen_utc").as_deref()),
        expires: None,
        reference: id.map(|id| format!("https://threatfox.abuse.ch/ioc/{id}/").into_boxed_str()),
        label: kept(get("malware_printable").or_else(|| get("malware")).as_deref()),
    };
    let score = score.map(|score| if is_compromised { score / 2 } else { score });
    collector.target(place, target, Facts { port: None, score, about });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feeds::Category;

    fn read(text: &str) -> Parsed {
        parse(&Reading::default(), text.as_bytes())
    }

    fn check(parsed: &Parsed) {
        let entry = &parsed.entries[0];
        assert_eq!((entry.network.to_string().as_str(), entry.port), ("192.0.2.27/32", Some(7802)));
        assert_eq!(entry.score, Some(75));
        let about = entry.about.as_ref().unwrap();
        assert_eq!((about.category, about.label.as_deref()), (Some(Category::C2), Some("Remus")));
        assert_eq!(about.reference.as_deref(), Some("https://threatfox.abuse.ch/ioc/1836307/"));
        assert_eq!(about.first_seen.map(|at| at.to_string()).as_deref(), Some("2026-07-04T21:46:30Z"));
    }

    #[test]
    fn the_export_is_read() {
        let parsed = read(
            r#"{"1836307":[{"ioc_value":"192.0.2.27:7802","ioc_type":"ip:port","threat_type":"botnet_cc","malware":"win.remus","malware_printable":"Remus","first_seen_utc":"2026-07-04 21:46:30","last_seen_utc":null,"confidence_level":75,"is_compromised":false}],
            "2":[{"ioc_value":"[2001:db8::1]:443","ioc_type":"ip:port","threat_type":"payload_delivery","confidence_level":100,"is_compromised":true}],
            "3":[{"ioc_value":"evil.example","ioc_type":"domain"}],
            "4":[{"ioc_value":"d41d8cd98f00b204e9800998ecf8427e","ioc_type":"md5_hash"}],
            "5":[{"ioc_value":"evil.example","ioc_type":"ip:port"}]}"#,
        );
        check(&parsed);
        assert_eq!((parsed.entries[1].port, parsed.entries[1].score), (Some(443), Some(50)));
        assert_eq!(&*parsed.domains[0].name, "evil.example");
        let reasons: Vec<_> = parsed.rejects.iter().map(|reject| (reject.line, reject.reason)).collect();
        assert_eq!(reasons, [(4, RejectReason::Hash), (5, RejectReason::Kind)]);
    }

    #[test]
    fn the_answer_of_the_api_is_read() {
        let parsed = read(
            r#"{"query_status":"ok","data":[{"id":"1836307","ioc":"192.0.2.27:7802","threat_type":"botnet_cc","ioc_type":"ip:port","malware":"win.remus","malware_printable":"Remus","confidence_level":75,"first_seen":"2026-07-04 21:46:30 UTC","last_seen":null,"tags":["a"]}]}"#,
        );
        check(&parsed);
        let nothing = read(r#"{"query_status":"no_result","data":"Your search did not yield any results"}"#);
        assert_eq!((nothing.entries.len(), nothing.rejects.len()), (0, 0));
        for wrong in [r#"{"query_status":"unknown_auth_key"}"#, r#"{"error":"none"}"#] {
            assert_eq!(read(wrong).rejects[0].reason, RejectReason::Answer);
        }
    }

    #[test]
    fn its_csv_with_spaces_is_read_with_and_without_a_column() {
        let row = "\"2026-07-04 21:46:30\", \"1836307\", \"192.0.2.27:7802\", \"ip:port\", \"botnet_cc\", \"win.remus\", \"None\", \"Remus\", \"\", \"75\", \"False\", \"None\", \"a,b\", \"0\", \"abuse_ch\"";
        let header = "# \"first_seen_utc\",\"ioc_id\",\"ioc_value\",\"ioc_type\",\"threat_type\",\"fk_malware\",\"malware_alias\",\"malware_printable\",\"last_seen_utc\",\"confidence_level\",\"is_compromised\",\"reference\",\"tags\",\"anonymous\",\"reporter\"";
        let parsed = read(&format!("####\r\n{header}\r\n{row}\r\n# Number of entries: 1\r\n"));
        check(&parsed);
        assert_eq!((parsed.entries[0].line, parsed.remarks.len(), parsed.rejects.len()), (3, 0, 0));
        check(&read(row));
        let older = |text: &str| text.replace(",\"is_compromised\"", "").replace(" \"False\",", "");
        check(&read(&format!("{}\n{}\n", older(header), older(row))));
    }
}
