//! devices.csv: a header, then a device a line; `#` begins a comment line.

use std::collections::BTreeMap;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::{Device, Fields, MAX_VLAN};
use crate::diagnostic::{Diagnostic, Place, SourceFile};
use crate::document::Located;
use crate::nearest::did_you_mean;

const COLUMNS: [&str; 5] = ["name", "mac", "ip", "vlan", "profile"];
const REQUIRED: [&str; 3] = ["name", "ip", "profile"];
const HEADER: &str = "the first line names the columns: `name,mac,ip,vlan,profile`";

/// Reads the devices, and what keeps others from being read.
pub(super) fn parse(file: &SourceFile) -> (Vec<Device>, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let mut devices = Vec::new();
    let mut header: Option<Header> = None;
    let text = file.text().strip_prefix('\u{feff}').unwrap_or(file.text());
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = file.line(number);
        let Some(record) = record(line, &place, &mut found) else { continue };
        match &header {
            Some(header) => devices.extend(device(&record, header, place, &mut found)),
            None => {
                let columns = columns(&record, &place, &mut found);
                header = Some(Header { columns, width: record.len() });
            }
        }
    }
    if header.is_none() {
        found.push(Diagnostic::error(&file.whole(), "the header is missing").help(HEADER));
    }
    (devices, found)
}

/// Where each column stands.
struct Header {
    columns: BTreeMap<&'static str, usize>,
    width: usize,
}

/// The fields of one line. Read by itself, so that a stray quote spoils no other line.
fn record(line: &str, place: &Place, found: &mut Vec<Diagnostic>) -> Option<StringRecord> {
    let mut reader = ReaderBuilder::new().has_headers(false).trim(Trim::All).from_reader(line.as_bytes());
    match reader.records().next()? {
        Ok(record) => Some(record),
        Err(error) => {
            found.push(Diagnostic::error(place, format!("this line cannot be read: {error}")));
            None
        }
    }
}

fn columns(
    header: &StringRecord,
    place: &Place,
    found: &mut Vec<Diagnostic>,
) -> BTreeMap<&'static str, usize> {
    let mut columns = BTreeMap::new();
    let mut unknown = Vec::new();
    for (index, title) in header.iter().enumerate() {
        let Some(column) = COLUMNS.into_iter().find(|column| title.eq_ignore_ascii_case(column)) else {
            let message = format!("unknown column `{title}`");
            unknown.push(Diagnostic::error(place, message).help(did_you_mean(title, COLUMNS)));
            continue;
        };
        if columns.insert(column, index).is_some() {
            found.push(Diagnostic::error(place, format!("column `{column}` stands here twice")));
        }
    }
    if columns.is_empty() {
        found.push(Diagnostic::error(place, "the header is missing").help(HEADER));
        return columns;
    }
    found.append(&mut unknown);
    for column in REQUIRED.into_iter().filter(|column| !columns.contains_key(column)) {
        found.push(Diagnostic::error(place, format!("column `{column}` is missing")).help(HEADER));
    }
    columns
}

fn device(
    record: &StringRecord,
    header: &Header,
    place: Place,
    found: &mut Vec<Diagnostic>,
) -> Option<Device> {
    let Header { columns, width } = header;
    if REQUIRED.iter().any(|column| !columns.contains_key(column)) {
        return None; // said once, at the header
    }
    if record.len() > *width {
        let message = format!("this line has {} columns, the header has {width}", record.len());
        found.push(Diagnostic::error(&place, message).help("several addresses are separated by a space"));
        return None;
    }
    let field = |column: &str| {
        let text = record.get(*columns.get(column)?)?;
        let located = Located { value: text.to_owned(), place: within(&place, text) };
        Some(located).filter(|located| !located.value.is_empty())
    };
    let addresses = field("ip").map(|field| field.value).unwrap_or_default();
    let addresses = addresses.split_ascii_whitespace();
    let fields = Fields {
        name: field("name"),
        mac: field("mac"),
        addresses: addresses
            .map(|text| Located { value: text.to_owned(), place: within(&place, text) })
            .collect(),
        vlan: field("vlan").and_then(|text| vlan(&text, found)),
        profile: field("profile"),
        mode: None,
        place: place.clone(),
    };
    fields.device(found)
}

fn vlan(text: &Located<String>, found: &mut Vec<Diagnostic>) -> Option<u16> {
    let number = text.value.parse().ok().filter(|&number: &u16| u32::from(number) <= MAX_VLAN);
    if number.is_none() {
        let message = format!("`{}` is no VLAN", text.value);
        found.push(
            Diagnostic::error(&text.place, message).help("VLANs are numbers from 1 to 4094; empty for any"),
        );
    }
    number
}

/// The place of a field inside its line.
fn within(line: &Place, text: &str) -> Place {
    match line.snippet.find(text).filter(|_| !text.is_empty()) {
        Some(at) => Place {
            column: line.snippet[..at].chars().count() as u32 + 1,
            width: text.chars().count() as u32,
            ..line.clone()
        },
        None => line.clone(),
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::{Diagnostic, SourceFile};
    use crate::inventory::Inventory;

    fn read(text: &str) -> Result<Inventory, Vec<String>> {
        let file = SourceFile::new("devices.csv", text);
        let shown = |found: Vec<Diagnostic>| found.iter().map(ToString::to_string).collect();
        Inventory::parse(&file).map(|(inventory, _)| inventory).map_err(shown)
    }

    #[test]
    fn any_column_order_comments_mark_and_line_ends() {
        let text = "\u{feff}# devices\r\nprofile,ip,NAME\r\n# one\r\nct-scanner, 10.0.0.1 fd00::1 ,ct-1\r\n\r\npump,10.0.0.2,pump-1\r\n";
        let devices = read(text).unwrap().devices;
        assert_eq!(devices.len(), 2);
        assert_eq!((devices[0].name.as_str(), devices[0].addresses.len()), ("ct-1", 2));
        assert_eq!((devices[0].place.line, devices[1].place.line), (4, 6));
        assert_eq!(devices[0].mac, None);
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        let text = "name,mac,ip,vlan,profile\nct-1,00:1b:21:00:00:01,10.0.0.1,,ct\nct-1,001b.2100.0001,10.0.0.1,,ct\n,zz,10.0.0,9999,\npump-1,,,,pump\nx,,10.0.0.9,,p,q\n";
        let errors = read(text).unwrap_err();
        let all = errors.join("\n");
        for expected in [
            "device name `ct-1` is taken\n --> devices.csv:3:1",
            "hardware address `00:1b:21:00:00:01` is taken",
            "address `10.0.0.1` is taken",
            "device `ct-1` at devices.csv:2:1 has it too",
            "`zz` is no hardware address",
            "`10.0.0` is no address",
            "`9999` is no VLAN\n --> devices.csv:4:12",
            "this device has no `profile`",
            "this device has no `ip`\n --> devices.csv:5:1",
            "this line has 6 columns",
        ] {
            assert!(all.contains(expected), "{expected}\n---\n{all}");
        }
    }

    #[test]
    fn a_header_is_needed() {
        assert!(
            read("ct-1,00:1b:21:00:00:01,10.0.0.1,,ct\n").unwrap_err()[0].contains("the header is missing")
        );
        assert!(read("").unwrap_err()[0].contains("the header is missing"));
        assert!(
            read("name,mac,adress,vlan,profile\n")
                .unwrap_err()
                .join("\n")
                .contains("unknown column `adress`")
        );
    }
}
