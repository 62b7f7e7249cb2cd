//! Tables of text with a delimiter and a header, which may stand in a comment.
//!
//! Bytes come in, rows with line numbers go out. A quoted field that runs on over lines is refused line by line:
//! no source writes any, and one quote too many would hide the rest of a list.

use std::borrow::Cow;

use csv::{ByteRecord, ReaderBuilder, Terminator};

use super::RejectReason;
use super::collect::{Collector, Place, given};

/// Lines within which a header must stand.
const HEADER_WITHIN: u32 = 1000;

/// A table with the names of its columns.
pub(super) struct Table<'b> {
    bytes: Cow<'b, [u8]>,
    delimiter: u8,
    names: Vec<String>,
    header_line: Option<u32>,
}

/// A row of it.
pub(super) struct Row<'r> {
    /// Where it stands.
    pub(super) place: Place<'r>,
    record: &'r ByteRecord,
    names: &'r [String],
}

impl Row<'_> {
    /// What stands in the column of that name, where it says anything.
    pub(super) fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.at(self.names.iter().position(|known| known == name)?)
    }

    /// What stands in a column, counted from 0, where it says anything.
    pub(super) fn at(&self, column: usize) -> Option<Cow<'_, str>> {
        match String::from_utf8_lossy(self.record.get(column)?) {
            Cow::Borrowed(text) => given(Some(text)).map(Cow::Borrowed),
            Cow::Owned(text) => given(Some(&text)).map(|text| Cow::Owned(text.to_owned())),
        }
    }
}

impl<'b> Table<'b> {
    /// A table whose header has all the names of `wanted`, in a comment or in its first row; without one, its
    /// columns are `usual`. Names are in lower case with `_` for what is no letter or digit.
    pub(super) fn named(bytes: &'b [u8], delimiter: u8, wanted: &[&str], usual: &[&str]) -> Self {
        let bytes = tightened(bytes);
        let mut names: Vec<String> = usual.iter().map(|&name| name.to_owned()).collect();
        let mut header_line = None;
        for (line, text) in (1..HEADER_WITHIN).zip(bytes.split(|&byte| byte == b'\n')) {
            let text = text.trim_ascii();
            let is_comment = text.starts_with(b"#");
            let header = names_of(text.trim_ascii_start(), delimiter);
            if wanted.iter().all(|name| header.iter().any(|known| known == name)) {
                names = header;
                header_line = Some(line);
                break;
            }
            if !text.is_empty() && !is_comment {
                break;
            }
        }
        Self { bytes, delimiter, names, header_line }
    }

    /// A table with these columns. Its header, where it has one, is on the line `header_line`.
    pub(super) fn with_names(
        bytes: &'b [u8],
        delimiter: u8,
        names: Vec<String>,
        header_line: Option<u32>,
    ) -> Self {
        Self { bytes: tightened(bytes), delimiter, names, header_line }
    }

    /// Hands out the rows in order, and says how many there were.
    pub(super) fn rows(
        &self,
        collector: &mut Collector,
        mut each: impl FnMut(&mut Collector, &Row<'_>),
    ) -> u64 {
        let bytes = &*self.bytes;
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .terminator(Terminator::Any(b'\n'))
            .comment(Some(b'#'))
            .from_reader(bytes);
        let mut record = ByteRecord::new();
        let (mut line, mut from, mut found) = (1, 0, 0);
        while let Ok(true) = reader.read_byte_record(&mut record) {
            let to = usize::try_from(reader.position().byte()).unwrap_or(bytes.len()).min(bytes.len());
            // What the reader skipped stands in front of the record, the end of its last line too.
            let mut raw = bytes.get(from..to).unwrap_or_default();
            while let Some(end) = raw.iter().position(|&byte| byte == b'\n') {
                let (first, rest) = raw.split_at(end + 1);
                let is_skipped = first.trim_ascii().is_empty() || first.starts_with(b"#");
                if !is_skipped {
                    break;
                }
                raw = rest;
                line += 1;
            }
            from = to;
            let mut lines = raw.split(|&byte| byte == b'\n');
            let first = lines.next().unwrap_or_default();
            let text = String::from_utf8_lossy(first.trim_ascii_end());
            let place = Place { line, text: &text };
            if raw.trim_ascii_end().contains(&b'\n') {
                collector.reject(place, RejectReason::Quote);
                for (line, text) in (line + 1..).zip(lines).filter(|(_, text)| !text.trim_ascii().is_empty())
                {
                    let text = String::from_utf8_lossy(text);
                    collector.reject(Place { line, text: &text }, RejectReason::Quote);
                }
                found += 1;
            } else if self.header_line != Some(line) && !text.trim().is_empty() {
                each(collector, &Row { place, record: &record, names: &self.names });
                found += 1;
            }
            line += u32::try_from(raw.iter().filter(|&&byte| byte == b'\n').count()).unwrap_or(u32::MAX);
            if collector.is_full() {
                break;
            }
        }
        found
    }
}

/// The fields of a header line, perhaps a comment, as names.
pub(super) fn names_of(line: &[u8], delimiter: u8) -> Vec<String> {
    let start = line.iter().position(|byte| !matches!(byte, b'#' | b' ')).unwrap_or(line.len());
    let line = tightened(line.get(start..).unwrap_or_default());
    fields_of(&line, delimiter).iter().map(|field| name(field)).collect()
}

/// The fields of one line.
pub(super) fn fields_of(line: &[u8], delimiter: u8) -> Vec<String> {
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(line);
    let mut record = ByteRecord::new();
    match reader.read_byte_record(&mut record) {
        Ok(true) => {
            record.iter().map(|field| String::from_utf8_lossy(field.trim_ascii()).into_owned()).collect()
        }
        _ => Vec::new(),
    }
}

/// The same of a line with spaces between its quoted fields.
pub(super) fn fields_of_spaced(line: &[u8], delimiter: u8) -> Vec<String> {
    fields_of(&tightened(line), delimiter)
}

/// A name of a column as it is compared: `First Seen (UTC)` is `first_seen_utc`.
pub(super) fn name(text: &str) -> String {
    let plain: String =
        text.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    plain.split('_').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_")
}

/// The same without the spaces that some sources write between quoted fields: `"a", "b"` is no CSV (RFC 4180).
fn tightened(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_gap = |at: usize| bytes.get(at..at + 4) == Some(b"\", \"");
    let Some(first) = bytes.windows(4).position(|window| window == b"\", \"") else {
        return Cow::Borrowed(bytes);
    };
    let mut tight = Vec::with_capacity(bytes.len());
    let mut at = first;
    tight.extend(bytes.get(..first).unwrap_or_default());
    while let Some(&byte) = bytes.get(at) {
        if is_gap(at) {
            tight.extend(b"\",");
            at += 3;
        } else {
            tight.push(byte);
            at += 1;
        }
    }
    Cow::Owned(tight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::feeds::formats::{Format, Reading};

    fn rows(table: &Table<'_>) -> (Vec<(u32, String)>, Vec<u32>) {
        let mut collector = Collector::new(Format::Csv, &Reading::default());
        let mut found = Vec::new();
        table.rows(&mut collector, |_, row| {
            found.push((row.place.line, row.get("ip").unwrap_or_default().into_owned()));
        });
        (found, collector.finish().rejects.iter().map(|reject| reject.line).collect())
    }

    #[test]
    fn rows_have_the_numbers_of_their_lines() {
        let text =
            b"# banner\r\n\r\n\"ip\",\"port\"\r\n\"192.0.2.1\", \"2\"\r\n# between\r\n\r\n192.0.2.2,3\r\n";
        let table = Table::named(text, b',', &["ip"], &[]);
        let (found, rejects) = rows(&table);
        assert_eq!(found, [(4, "192.0.2.1".into()), (7, "192.0.2.2".into())]);
        assert!(rejects.is_empty());
    }

    #[test]
    fn a_header_may_stand_in_a_comment_or_be_missing() {
        let table = Table::named(b"#\n# First Seen, IP\n2026-01-01,192.0.2.1\n", b',', &["ip"], &["ip"]);
        assert_eq!(rows(&table).0, [(3, "192.0.2.1".into())]);
        let table = Table::named(b"192.0.2.1,2\n", b',', &["ip", "port"], &["ip", "port"]);
        assert_eq!(rows(&table).0, [(1, "192.0.2.1".into())]);
    }

    #[test]
    fn a_quote_that_does_not_end_hides_nothing() {
        let table = Table::named(b"ip\n192.0.2.1\n\"192.0.2.2\n192.0.2.3\n\n192.0.2.4", b',', &["ip"], &[]);
        let (found, rejects) = rows(&table);
        assert_eq!(found, [(2, "192.0.2.1".into())]);
        assert_eq!(rejects, [3, 4, 6]);
    }

    #[test]
    fn quotes_and_comments_without_end_take_no_time() {
        let table = Table::named(b"", b',', &["ip"], &["ip"]);
        assert_eq!(rows(&table).0, []);
        let text = "\"a\n".repeat(50_001) + &"#,\n".repeat(50_000);
        let (found, rejects) = rows(&Table::named(text.as_bytes(), b',', &["ip"], &["ip"]));
        assert_eq!(found.len() + rejects.len(), 100_001);
    }

    proptest! {
        #[test]
        fn every_line_is_a_row_a_comment_or_a_reject(text in "[ab,\"# \r\n]{0,60}") {
            let table = Table::named(text.as_bytes(), b',', &["no"], &["ip"]);
            let (found, rejects) = rows(&table);
            let mut lines: Vec<u32> = found.iter().map(|(line, _)| *line).chain(rejects).collect();
            lines.sort_unstable();
            lines.dedup();
            let tight = tightened(text.as_bytes());
            for (line, text) in (1..).zip(tight.split(|&byte| byte == b'\n')) {
                let is_nothing = text.trim_ascii().is_empty() || text.starts_with(b"#");
                prop_assert!(is_nothing || lines.contains(&line), "line {} of {:?}: {:?}", line, tight, lines);
            }
        }
    }
}
