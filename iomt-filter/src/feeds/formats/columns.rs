//! Generic CSV: a column each for what is known, named by the reader or found by its usual name.
//!
//! Bytes and [`Columns`] come in, entries go out. Delimiters are `,`, `;`, tab and `|`; fields may be quoted; a
//! header may be missing, or stand in a comment.

use super::banner::Banner;
use super::collect::{Collector, refused};
use super::table::{self, Table};
use super::usual::{self, FIELDS, Field};
use super::{Columns, Format, Parsed, Reading, RejectReason, detect, target};

/// Delimiters, in the order in which they are tried.
const DELIMITERS: &[u8] = b",\t;|";
/// Rows in which the column of the addresses is looked for.
const LOOKED_AT: usize = 20;

/// Lines above the first row in which a header is looked for.
const HEADER_ABOVE: usize = 64;

/// How the rows of a table are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    delimiter: u8,
    header: Vec<String>,
    header_line: Option<u32>,
    /// The column of each of [`FIELDS`], from 0.
    places: Vec<Option<usize>>,
}

/// Reads a list.
pub(super) fn parse(reading: &Reading, bytes: &[u8]) -> Parsed {
    if let Some(reason) = detect::json(bytes) {
        return refused(Format::Csv, bytes, 1, reason);
    }
    let mut collector = Collector::new(Format::Csv, reading);
    let banner = Banner::of(bytes, b"#");
    let layout = match layout(&reading.columns, bytes) {
        Ok(Some(layout)) => layout,
        Ok(None) if !has_rows(bytes) => {
            banner.remark(0, &mut collector);
            return collector.finish();
        }
        // Every row is accounted for one by one, as none has an address.
        Ok(None) => Layout {
            delimiter: b',',
            header: Vec::new(),
            header_line: None,
            places: vec![None; FIELDS.len()],
        },
        Err(line) => return refused(Format::Csv, bytes, line, RejectReason::NoColumn),
    };
    let table = Table::with_names(bytes, layout.delimiter, layout.header, layout.header_line);
    let places = layout.places;
    let found = table.rows(&mut collector, |collector, row| {
        let get = |field: Field| {
            let index = FIELDS.iter().position(|(known, _)| *known == field)?;
            row.at((*places.get(index)?)?)
        };
        usual::add(collector, row.place, get);
    });
    banner.remark(found, &mut collector);
    collector.finish()
}

/// Whether a text with unknown columns is a table with addresses in one of them.
pub(super) fn is_table(bytes: &[u8]) -> bool {
    matches!(layout(&Columns::default(), bytes), Ok(Some(_)))
}

/// Whether the first row of a text names more columns than one, and usual ones among them.
pub(super) fn has_header(bytes: &[u8]) -> bool {
    let layout = layout(&Columns::default(), bytes).ok().flatten();
    layout.is_some_and(|layout| layout.header_line.is_some() && layout.header.len() > 1)
}

/// Lines that are neither blank nor comments, with their numbers.
fn rows(bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    (1..)
        .zip(bytes.split(|&byte| byte == b'\n'))
        .map(|(line, text)| (line, text.trim_ascii()))
        .filter(|(_, text)| !text.is_empty() && !text.starts_with(b"#"))
}

fn has_rows(bytes: &[u8]) -> bool {
    rows(bytes).next().is_some()
}

/// How the rows are to be read; nothing where no column has addresses. The error is the line that was taken for
/// the header and lacks a column that was asked for.
fn layout(columns: &Columns, bytes: &[u8]) -> Result<Option<Layout>, u32> {
    let Some((first_line, first)) = rows(bytes).next() else { return Ok(None) };
    let asked = columns.delimiter.and_then(|delimiter| u8::try_from(delimiter).ok());
    let settings = settings(columns);
    let mut missing = None;
    for delimiter in asked.map_or(DELIMITERS.to_vec(), |delimiter| vec![delimiter]) {
        let sample: Vec<Vec<String>> =
            rows(bytes).take(LOOKED_AT).map(|(_, row)| table::fields_of(row, delimiter)).collect();
        let width = sample.iter().map(Vec::len).max().unwrap_or_default();
        if width < 2 && asked.is_none() && !first.starts_with(b"\"") && settings.iter().all(Option::is_none) {
            continue;
        }
        let (header, header_line) = header(bytes, delimiter, &settings, (first_line, first));
        match places(&settings, &header, &sample, header_line == Some(first_line)) {
            Ok(Some(places)) => return Ok(Some(Layout { delimiter, header, header_line, places })),
            Ok(None) => {}
            Err(()) => missing = missing.or(Some(header_line.unwrap_or(first_line))),
        }
    }
    missing.map_or(Ok(None), Err)
}

/// What the reader asked for, in the order of [`FIELDS`].
fn settings(columns: &Columns) -> Vec<Option<&str>> {
    let of = |field: &Field| match field {
        Field::Value => &columns.value,
        Field::Port => &columns.port,
        Field::Score => &columns.score,
        Field::Category => &columns.category,
        Field::FirstSeen => &columns.first_seen,
        Field::LastSeen => &columns.last_seen,
        Field::Expires => &columns.expires,
        Field::Reference => &columns.reference,
        Field::Label => &columns.label,
    };
    FIELDS.iter().map(|(field, _)| of(field).as_deref()).collect()
}

/// The header: the first row where nothing in it is an address, or a comment above it.
fn header(
    bytes: &[u8],
    delimiter: u8,
    settings: &[Option<&str>],
    (first_line, first): (u32, &[u8]),
) -> (Vec<String>, Option<u32>) {
    let is_header = |names: &[String]| {
        let is_asked = |name: &String| {
            settings.iter().flatten().any(|asked| number(asked).is_none() && table::name(asked) == *name)
        };
        let is_usual = |name: &String| usual::named(Field::Value, |usual| usual == name).is_some();
        names.iter().any(|name| is_asked(name) || is_usual(name))
    };
    let fields = table::fields_of(first, delimiter);
    let names = table::names_of(first, delimiter);
    if is_header(&names) && fields.iter().all(|field| target::read(field).is_err()) {
        return (names, Some(first_line));
    }
    let above = first_line.saturating_sub(1) as usize;
    let far = above.saturating_sub(HEADER_ABOVE);
    let above = bytes.split(|&byte| byte == b'\n').take(above).skip(far);
    let comments = above.map(<[u8]>::trim_ascii).filter(|line| line.starts_with(b"#"));
    let header = comments
        .map(|line| table::names_of(line, delimiter))
        .filter(|names| is_header(names) && names.len() == fields.len());
    (header.last().unwrap_or_default(), None)
}

/// The column of each field; an error where one that was asked for is not there, and nothing where none has
/// addresses.
fn places(
    settings: &[Option<&str>],
    header: &[String],
    sample: &[Vec<String>],
    has_header_row: bool,
) -> Result<Option<Vec<Option<usize>>>, ()> {
    let width = sample.iter().map(Vec::len).max().unwrap_or_default();
    let column = |name: &str| header.iter().position(|known| known == name);
    let mut places = Vec::with_capacity(FIELDS.len());
    for ((field, _), asked) in FIELDS.iter().zip(settings) {
        places.push(match asked {
            Some(asked) => {
                let place = number(asked).or_else(|| column(&table::name(asked)));
                Some(place.filter(|&place| place < width).ok_or(())?)
            }
            None => usual::named(*field, |name| column(name).is_some()).and_then(column),
        });
    }
    if let Some(value @ None) = places.first_mut() {
        let rows = sample.iter().skip(usize::from(has_header_row));
        let is_target = |row: &Vec<String>, column: usize| {
            row.get(column).is_some_and(|field| target::read(field).is_ok())
        };
        let rows: Vec<_> = rows.collect();
        *value = (0..width).find(|&column| rows.iter().any(|row| is_target(row, column)));
    }
    Ok(places.first().copied().flatten().map(|_| places))
}

/// A number of a column, from 1 as it is written, from 0 as it is used.
fn number(text: &str) -> Option<usize> {
    text.parse::<usize>().ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::feeds::Category;
    use crate::feeds::formats::Remark;

    fn read(columns: Columns, text: &str) -> Parsed {
        parse(&Reading { format: Format::Csv, columns, ..Reading::default() }, text.as_bytes())
    }

    fn networks(parsed: &Parsed) -> Vec<String> {
        parsed.entries.iter().map(|entry| format!("{} {:?}", entry.network, entry.score)).collect()
    }

    #[test]
    fn usual_names_are_found_by_themselves() {
        let text = "Indicator;Port;Confidence;Threat Type;Last Seen;Comment\n192.0.2.1;443;80;c2;2026-07-04;\"a;b\"\n\nevil.example;;101;;;x\n";
        let parsed = read(Columns::default(), text);
        let entry = &parsed.entries[0];
        assert_eq!((entry.port, entry.score, entry.line), (Some(443), Some(80), 2));
        let about = entry.about.as_ref().unwrap();
        assert_eq!((about.category, about.label.as_deref()), (Some(Category::C2), Some("a;b")));
        assert_eq!(parsed.domains[0].score, None);
        assert_eq!(parsed.remarks, [Remark::Unread { field: "score", line: 4, count: 1 }]);
    }

    #[test]
    fn columns_are_taken_by_name_or_number() {
        let text = "when,where,how bad\n2026-07-04,192.0.2.1,60\n2026-07-05,,60\n";
        let columns =
            Columns { value: Some("where".into()), score: Some("How Bad".into()), ..Columns::default() };
        let parsed = read(columns, text);
        assert_eq!(networks(&parsed), ["192.0.2.1/32 Some(60)"]);
        assert_eq!((parsed.rejects[0].line, parsed.rejects[0].reason), (3, RejectReason::NoValue));
        let columns = Columns { value: Some("2".into()), score: Some("3".into()), ..Columns::default() };
        let parsed = read(columns, "x|192.0.2.1|60\nx|192.0.2.2|70\n");
        assert_eq!(networks(&parsed), ["192.0.2.1/32 Some(60)", "192.0.2.2/32 Some(70)"]);
    }

    #[test]
    fn a_column_that_is_not_there_is_said_once() {
        for missing in ["nowhere", "9", "0"] {
            let columns = Columns { value: Some(missing.into()), ..Columns::default() };
            let parsed = read(columns, "ip,port\n192.0.2.1,2\n");
            let reasons: Vec<_> = parsed.rejects.iter().map(|reject| (reject.line, reject.reason)).collect();
            assert_eq!((reasons, parsed.entries.len()), (vec![(1, RejectReason::NoColumn)], 0), "{missing}");
        }
    }

    #[test]
    fn without_a_header_the_first_column_with_addresses_is_taken() {
        let parsed = read(Columns::default(), "2026,x y,192.0.2.1\n2026,\"z, z\",2001:db8::/32\n");
        assert_eq!(networks(&parsed), ["192.0.2.1/32 None", "2001:db8::/32 None"]);
        let parsed = read(Columns::default(), "# date,name,address\n2026,x y,192.0.2.1\n");
        assert_eq!(networks(&parsed), ["192.0.2.1/32 None"]);
        assert_eq!(parsed.entries[0].about.as_ref().unwrap().label.as_deref(), Some("x y"));
    }

    #[test]
    fn a_table_without_addresses_is_rejected_row_by_row() {
        let parsed = read(Columns::default(), "a,b\nc,d\n");
        assert_eq!(parsed.rejects.len(), 2);
        assert!(read(Columns::default(), "# nothing today\n").rejects.is_empty());
    }

    proptest! {
        #[test]
        fn any_table_is_read_or_accounted_for(text in "[0-9a-c.,;|\t\"# \n]{0,80}", value in "[1-4]|ip|") {
            let value = (!value.is_empty()).then_some(value);
            let parsed = read(Columns { value, ..Columns::default() }, &text);
            for entry in &parsed.entries {
                prop_assert_eq!(entry.network.trunc(), entry.network);
            }
            let is_nothing = rows(text.as_bytes()).next().is_none();
            let found = parsed.entries.len() + parsed.domains.len() + parsed.rejects.len();
            prop_assert!(found > 0 || is_nothing || text.contains('"'), "{:?}", text);
        }
    }
}
