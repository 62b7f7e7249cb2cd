//! Real captures: what the kernel program read of every frame, against what tshark says of it.
//!
//! The captures are the `pcap/` of the folder that `IOMT_FILTER_CORPUS` names: `.pcap` and `.pcapng` as
//! they are, `.dat` as one frame in hexadecimal. Tunnels are read by their outermost headers, fragments
//! one by one. A difference fails unless [`known`] has a reason for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use iomt_filter::events::Record;
use tempfile::TempDir;

use crate::program::{self, Answer};

mod expected;
mod known;
mod tshark;

use expected::Expected;

/// Everything passes, so that nothing but reading is compared.
const POLICY: &str = r#"
version = 1
[defaults]
mode = "monitor"
unknown_device = "pass"
unparsed = "pass"
midstream = "pass"
[profiles.any]
allow = [{ to = "any", service = "any" }, { from = "any", service = "any" }]
"#;
const DEVICES: &str = "name,mac,ip,vlan,profile\nnobody,02:00:00:00:00:fe,198.18.255.254,,any\n";

#[test]
fn every_frame_of_the_corpus_is_read_as_tshark_reads_it() {
    let Some(folder) = std::env::var_os("IOMT_FILTER_CORPUS") else {
        return eprintln!("skipped: IOMT_FILTER_CORPUS names no folder with captures");
    };
    let scratch = TempDir::new().unwrap();
    fs::write(scratch.path().join("policy.toml"), POLICY).unwrap();
    fs::write(scratch.path().join("devices.csv"), DEVICES).unwrap();
    let mut captures = Vec::new();
    find(&Path::new(&folder).join("pcap"), &mut captures);
    assert!(!captures.is_empty(), "IOMT_FILTER_CORPUS has no captures in `pcap/`");
    captures.sort();
    let dumps = from_dumps(&mut captures, scratch.path());
    captures.extend(dumps);

    let mut tally = Tally::default();
    for capture in &captures {
        tally.compare(capture, scratch.path());
    }
    eprintln!("{tally}");
    assert!(tally.unknown.is_empty(), "{} differences:\n{}", tally.unknown.len(), tally.unknown.join("\n"));
}

fn find(folder: &Path, captures: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, captures);
        } else if path
            .extension()
            .is_some_and(|extension| ["pcap", "pcapng", "dat"].iter().any(|e| extension == *e))
        {
            captures.push(path);
        }
    }
}

/// Takes the hexadecimal dumps out of `captures` and makes one capture of them all.
fn from_dumps(captures: &mut Vec<PathBuf>, scratch: &Path) -> Option<PathBuf> {
    let dumps: Vec<_> =
        captures.extract_if(.., |path| path.extension().is_some_and(|e| e == "dat")).collect();
    let mut file: Vec<u8> =
        [0xa1b2_c3d4u32, 0x0002_0004, 0, 0, 262_144, 1].iter().flat_map(|word| word.to_le_bytes()).collect();
    for (second, dump) in dumps.iter().enumerate() {
        let text = fs::read_to_string(dump).unwrap();
        let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
        let frame: Vec<u8> = digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect();
        let header = [second as u32, 0, frame.len() as u32, frame.len() as u32];
        file.extend(header.iter().flat_map(|word| word.to_le_bytes()));
        file.extend(frame);
    }
    let path = scratch.join("dumps.pcap");
    fs::write(&path, file).unwrap();
    (!dumps.is_empty()).then_some(path)
}

/// What came of the comparison.
#[derive(Default)]
struct Tally {
    captures: usize,
    refused: BTreeMap<String, usize>,
    frames: usize,
    fields: usize,
    known: BTreeMap<&'static str, usize>,
    unknown: Vec<String>,
}

impl Tally {
    fn compare(&mut self, capture: &Path, scratch: &Path) {
        self.captures += 1;
        let name = capture.file_name().unwrap().to_string_lossy().into_owned();
        let Answer { code, stdout, stderr } = replay(capture, scratch);
        let records: Vec<Record> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected = tshark::read(capture);
        if code != 0 {
            let last = stderr.lines().last().unwrap_or_default();
            match known::refusal(last) {
                Some(kind) => *self.refused.entry(kind.to_owned()).or_default() += 1,
                None => self.unknown.push(format!("{name}: exit {code}: {stderr}")),
            }
        } else if records.len() != expected.len() {
            self.unknown.push(format!("{name}: {} records, {} frames", records.len(), expected.len()));
        }
        for (record, row) in records.iter().zip(&expected) {
            self.frames += 1;
            let mut differences = Expected::of(row).compare(record, &mut self.fields);
            if ["malformed", "unsupported"].contains(&record.reason.as_ref())
                && known::contradiction(row).is_none()
            {
                differences.push("tshark finds nothing wrong with it".to_owned());
            }
            for difference in differences {
                match known::reason(record, row, &difference) {
                    Some(reason) => *self.known.entry(reason).or_default() += 1,
                    None => {
                        let frame = record.frame.unwrap_or_default();
                        let protocols = row.text("frame.protocols");
                        self.unknown.push(format!(
                            "{name} frame {frame} ({}, {protocols}): {difference}",
                            record.reason
                        ));
                    }
                }
            }
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} captures, {} frames, {} fields compared", self.captures, self.frames, self.fields)?;
        for (kind, count) in &self.refused {
            write!(f, "\n{count:>6} captures refused: {kind}")?;
        }
        for (kind, count) in &self.known {
            write!(f, "\n{count:>6} known differences: {kind}")?;
        }
        write!(f, "\n{:>6} unknown differences", self.unknown.len())
    }
}

fn replay(capture: &Path, scratch: &Path) -> Answer {
    let option = |name: &str, file: &str| [name.into(), scratch.join(file).into_os_string()];
    let mut arguments = vec!["replay".into(), "--output".into(), "json".into()];
    arguments.extend(option("--config", "absent.toml"));
    arguments.extend(option("--policy", "policy.toml"));
    arguments.extend(option("--devices", "devices.csv"));
    arguments.push(capture.as_os_str().to_owned());
    program::run(arguments)
}
