//! The JSON that the exports and the APIs of abuse.ch share.
//!
//! Bytes come in, records go out: an object of arrays by number, or `{"query_status": "ok", "…": [...]}`.

use serde_json::Value;

use super::collect::{Collector, refused};
use super::document::{self, Step};
use super::{Format, Parsed, RejectReason};

/// Hands each record to `add`, with its number from 1 and the key it stands under where that is a number too.
/// `nothing` is the `query_status` of an answer without records.
pub(super) fn json(
    format: Format,
    mut collector: Collector,
    nothing: &str,
    bytes: &[u8],
    mut add: impl FnMut(&mut Collector, u32, Option<&str>, &Value),
) -> Parsed {
    let mut line = 0;
    let mut status = None;
    let walked = document::take(bytes, &[&["query_status"], &["*", "*"]], &mut |path, record| {
        if let [Step::Key(key)] = path {
            if key == "query_status" {
                status = document::text(&record);
            }
            return;
        }
        line += 1;
        let number = match path {
            [Step::Key(key), _] if key.bytes().all(|byte| byte.is_ascii_digit()) => Some(key.as_str()),
            _ => None,
        };
        add(&mut collector, line, number, &record);
    });
    let is_answer = status.is_none_or(|status| status == "ok" || status == nothing);
    let is_quiet = || bytes.trim_ascii() == b"{}" || document::is_empty_list(bytes, &["query_status"]);
    match walked {
        Ok(()) if !is_answer || (line == 0 && !is_quiet()) => refused(format, bytes, 1, RejectReason::Answer),
        Ok(()) => collector.finish(),
        Err(broken) => refused(format, bytes, broken.line, RejectReason::BrokenJson),
    }
}
