//! A file as lines with named cells: whatever a spreadsheet makes of a table.

use std::collections::BTreeMap;
use std::ops::Range;

use csv::{ReaderBuilder, StringRecord, Trim};
use thiserror::Error;

use super::column::{Column, plain};
use crate::foreign::shown;

/// Octets of a file at most.
pub const LARGEST: usize = 1 << 20;
/// Lines of a table at most.
const MOST_LINES: usize = 2_000;
/// Records that may stand above the titles: the maker's name, the date, the device.
const ABOVE: usize = 30;
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// What the columns are called, for whoever has to rename some.
const COLUMNS: &str = "name the columns: `port`, `protocol`, `direction`, `peer`, `purpose`";

/// Why a file cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It is too large.
    #[error("it has more than {LARGEST} bytes: no table of ports is that large")]
    TooLarge,
    /// It is something that a spreadsheet opens.
    #[error("it is {0}, no CSV: save the sheet with the ports as `CSV UTF-8`")]
    NotCsv(&'static str),
    /// It is of some other character set.
    #[error("it is neither UTF-8 nor UTF-16: save it as `CSV UTF-8`")]
    NotText,
    /// It is the form, which has no table.
    #[error("it is the MDS2 form with its questions, not a table of ports: {COLUMNS}")]
    Form,
    /// No line has titles.
    #[error("none of its first {ABOVE} lines has the titles of a table of ports: {COLUMNS}")]
    NoTitles,
    /// Two columns hold the same.
    #[error("line {line}: the columns `{first}` and `{second}` mean the same: keep one of them")]
    TwoColumns {
        /// Line of the titles.
        line: usize,
        /// A title.
        first: String,
        /// The other one.
        second: String,
    },
    /// Everything behind it may be inside of a cell.
    #[error("line {0}: a quote is opened and not closed; one that is meant stands twice in a quoted cell")]
    Quote(usize),
    /// It has too many lines.
    #[error("it has more than {MOST_LINES} lines below the titles: no device needs that many ports")]
    TooMany,
}

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: BTreeMap<Column, usize>,
    width: usize,
    /// Titles that mean nothing here.
    pub(super) ignored: Vec<String>,
    /// Lines above the titles that say something.
    pub(super) above: usize,
    pub(super) rows: Vec<Row>,
}

/// A line.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// From 1, as an editor shows it.
    pub(super) line: usize,
    cells: StringRecord,
}

impl Table {
    /// What stands in a column of a line; nothing where it is empty, or says that it is.
    pub(super) fn cell<'r>(&self, row: &'r Row, column: Column) -> Option<&'r str> {
        let text = row.cells.get(*self.columns.get(&column)?)?;
        let is_empty = matches!(text.to_lowercase().as_str(), "" | "-" | "–" | "—" | "n/a" | "na" | "none");
        (!is_empty).then_some(text)
    }

    pub(super) fn has(&self, column: Column) -> bool {
        self.columns.contains_key(&column)
    }

    /// Columns of the titles, and those of a line where it has more.
    pub(super) fn excess(&self, row: &Row) -> Option<(usize, usize)> {
        let has_more = row.cells.iter().skip(self.width).any(|cell| !cell.is_empty());
        has_more.then_some((self.width, row.cells.len()))
    }
}

/// Reads a file.
///
/// # Errors
/// When it is no table of ports, or not all of it can be read.
pub fn read(bytes: &[u8]) -> Result<Table, ReadError> {
    if bytes.len() > LARGEST {
        return Err(ReadError::TooLarge);
    }
    let text = decoded(bytes)?;
    let candidates: Vec<Found> = DELIMITERS.iter().filter_map(|&delimiter| found(&text, delimiter)).collect();
    let Some(best) =
        candidates.into_iter().reduce(|best, next| if next.known > best.known { next } else { best })
    else {
        let is_form = DELIMITERS.iter().any(|&delimiter| {
            let is_question = |cell: &str| plain(cell) == "question id";
            records(&text, delimiter).take(ABOVE).any(|(_, _, record)| record.iter().any(is_question))
        });
        return Err(if is_form { ReadError::Form } else { ReadError::NoTitles });
    };
    let mut table = Table { width: best.titles.len(), above: best.index, ..Table::default() };
    for (index, title) in best.titles.iter().enumerate() {
        match Column::of(title) {
            None if title.is_empty() => {}
            None => table.ignored.push(shown(title)),
            Some(column) => {
                if let Some(first) = table.columns.insert(column, index) {
                    let first = shown(best.titles.get(first).unwrap_or_default());
                    return Err(ReadError::TwoColumns { line: best.line, first, second: shown(title) });
                }
            }
        }
    }
    for (line, raw, cells) in records(&text, best.delimiter).skip(best.index) {
        if raw.bytes().filter(|&byte| byte == b'"').count() % 2 == 1 {
            return Err(ReadError::Quote(line));
        }
        if line > best.line && cells.iter().any(|cell| !cell.is_empty()) {
            if table.rows.len() == MOST_LINES {
                return Err(ReadError::TooMany);
            }
            table.rows.push(Row { line, cells });
        }
    }
    Ok(table)
}

/// Titles, as one delimiter finds them.
struct Found {
    delimiter: u8,
    index: usize,
    line: usize,
    titles: StringRecord,
    known: usize,
}

/// The first record with the most columns that are known, ports among them.
fn found(text: &str, delimiter: u8) -> Option<Found> {
    let mut best: Option<Found> = None;
    for (index, (line, _, titles)) in records(text, delimiter).take(ABOVE).enumerate() {
        let columns: Vec<Column> = titles.iter().filter_map(Column::of).collect();
        let known = columns.len();
        let is_better = best.as_ref().is_none_or(|best| known > best.known);
        if known >= 2 && is_better && columns.iter().any(|column| column.has_ports()) {
            best = Some(Found { delimiter, index, line, titles, known });
        }
    }
    best
}

/// Records with the line on which they begin and their text.
fn records(text: &str, delimiter: u8) -> impl Iterator<Item = (usize, &str, StringRecord)> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let (mut end, mut line) = (0, 1);
    std::iter::from_fn(move || {
        let mut record = StringRecord::new();
        // Text in memory, of any width: there is nothing to fail on.
        if !reader.read_record(&mut record).unwrap_or(false) {
            return None;
        }
        let rest = text.get(end..).unwrap_or_default();
        let skipped = rest.len() - rest.trim_start_matches(['\r', '\n']).len();
        let start = end + skipped;
        line += lines(text, end..start);
        end = usize::try_from(reader.position().byte()).unwrap_or(text.len());
        let raw = text.get(start..end).unwrap_or_default();
        let at = line;
        line += lines(text, start..end);
        Some((at, raw, record))
    })
}

/// Lines that end within a part of a text.
fn lines(text: &str, part: Range<usize>) -> usize {
    let byte = |index: usize| text.as_bytes().get(index);
    part.filter(|&at| byte(at) == Some(&b'\n') || (byte(at) == Some(&b'\r') && byte(at + 1) != Some(&b'\n')))
        .count()
}

fn decoded(bytes: &[u8]) -> Result<String, ReadError> {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16(&units).map_err(|_| ReadError::NotText)
    };
    match bytes {
        [b'P', b'K', 3, 4, ..] => Err(ReadError::NotCsv("a workbook (xlsx)")),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => Err(ReadError::NotCsv("a workbook (xls)")),
        [b'%', b'P', b'D', b'F', ..] => Err(ReadError::NotCsv("a PDF")),
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => {
            let text = str::from_utf8(rest).map_err(|_| ReadError::NotText)?;
            if text.contains('\0') { Err(ReadError::NotText) } else { Ok(text.to_owned()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bytes: &[u8]) -> Vec<(usize, String, String)> {
        let table = read(bytes).unwrap();
        let cell = |row, column| table.cell(row, column).unwrap_or_default().to_owned();
        table
            .rows
            .iter()
            .map(|row| (row.line, cell(row, Column::Port), cell(row, Column::Protocol)))
            .collect()
    }

    #[test]
    fn every_form_says_the_same() {
        let expected = vec![(2, "104".to_owned(), "TCP".to_owned()), (4, "161".to_owned(), "UDP".to_owned())];
        let plain = "Protocol,Port\nTCP,104\n\nUDP,161\n";
        let wide: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = plain.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [
            plain.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", plain.as_bytes()].concat(),
            plain.replace('\n', "\r\n").into_bytes(),
            plain.replace('\n', "\r").into_bytes(),
            plain.replace(',', ";").into_bytes(),
            plain.replace(',', "\t").into_bytes(),
            plain.replace(',', " | ").into_bytes(),
            plain.replace("104", "\"104\"").into_bytes(),
            [b"\xff\xfe", &*wide].concat(),
            [b"\xfe\xff", &*big].concat(),
        ] {
            assert_eq!(rows(&bytes), expected, "{}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn titles_may_stand_further_down_and_cells_have_lines() {
        let text =
            "sep=;\nAcme CT;;\n\"as of\n2024\";;\n\nPort;Protocol;Purpose\n\"104\n11112\";TCP;x\n22;TCP;y\n";
        let lines: Vec<_> = rows(text.as_bytes()).into_iter().map(|(line, port, _)| (line, port)).collect();
        assert_eq!(lines, [(7, "104\n11112".to_owned()), (9, "22".to_owned())]);
    }

    #[test]
    fn every_refusal() {
        let refusal = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        for (bytes, said) in [
            (&b"PK\x03\x04"[..], "it is a workbook (xlsx), no CSV"),
            (b"%PDF-1.7", "it is a PDF"),
            (b"\xd0\xcf\x11\xe0", "it is a workbook (xls)"),
            (b"port,protocol\n104,\xe4\n", "neither UTF-8 nor UTF-16"),
            (b"port,protocol\n\0", "neither UTF-8 nor UTF-16"),
            (b"\xff\xfe\x00\xd8", "neither UTF-8 nor UTF-16"),
            (b"Question ID,Question,Answer\nCONN-1,x,Yes\n", "it is the MDS2 form"),
            (b"", "none of its first 30 lines"),
            (b"name,colour\nx,y\n", "none of its first 30 lines"),
            (b"port,protocol,ports\n", "line 1: the columns `port` and `ports` mean the same"),
            (b"port,protocol\n104,\"TCP\n161,UDP\n", "line 2: a quote is opened and not closed"),
        ] {
            assert!(refusal(bytes).contains(said), "{}", refusal(bytes));
        }
        let many = format!("port,protocol\n{}", "1,tcp\n".repeat(MOST_LINES + 1));
        assert!(refusal(many.as_bytes()).contains("more than 2000 lines"));
        assert!(refusal(&vec![b' '; LARGEST + 1]).contains("more than 1048576 bytes"));
    }
}
