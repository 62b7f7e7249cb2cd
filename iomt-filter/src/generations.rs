//! What operators have made hold, kept on disk: configuration, policy and inventory of each change, who made it and
//! why, and whether it was confirmed.
//!
//! [`Sources`] go in and come out again, byte by byte. Texts lie under the hash of what they say, and are checked
//! against it when they are read. A generation is a record that never changes; that it was confirmed, or taken back,
//! is a file of its own beside it. Everything is written beside, synced and renamed, texts before their record and the
//! record before what was decided: a power cut at any moment leaves the generation that was confirmed last. What holds
//! in the kernel is not known here.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use self::disk::Disk;
use crate::clock::BootTime;
use crate::hex::hexadecimal;

mod disk;

/// The folder, in the state folder.
pub const FOLDER: &str = "generations";
/// Generations that are kept, beside the one that is confirmed.
pub const KEPT: usize = 20;
const OBJECTS: &str = "objects";
/// A text that is longer is none that this program would load.
const LARGEST: u64 = 64 << 20;

/// Why generations cannot be read or kept.
#[derive(Debug, Error)]
pub enum GenerationError {
    /// Reading.
    #[error("failed to read `{0}`")]
    Read(PathBuf, #[source] io::Error),
    /// Writing.
    #[error("failed to write `{0}`; is the disk full?")]
    Write(PathBuf, #[source] io::Error),
    /// There is none of that number.
    #[error("there is no generation {0}; `iomt-filter generations` lists those that are kept")]
    Unknown(u32),
    /// No number is left for another one.
    #[error(
        "no generation can follow on `{0}`, which has the last number that there is: move that file away"
    )]
    Last(PathBuf),
    /// It is not what was written.
    #[error("generation {number} is damaged: {what}")]
    Damaged {
        /// Its number.
        number: u32,
        /// What is wrong.
        what: String,
    },
}

/// A text, and the path that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The path; what reads the text may go by its ending.
    pub path: PathBuf,
    /// What it says.
    pub content: String,
}

/// What a generation is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// config.toml.
    pub config: Text,
    /// policy.toml.
    pub policy: Text,
    /// devices.toml or devices.csv.
    pub devices: Text,
}

impl Sources {
    fn texts(&self) -> [(&'static str, &Text); 3] {
        [("config", &self.config), ("policy", &self.policy), ("devices", &self.devices)]
    }

    /// What tells them from others.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for (what, text) in self.texts() {
            digest.update(what);
            digest.update(hash(text.content.as_bytes()));
        }
        hexadecimal(&digest.finalize())
    }
}

/// A file of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// `config`, `policy` or `devices`.
    pub what: String,
    /// Where it was read from.
    pub path: PathBuf,
    /// SHA-256 of the text, hexadecimal: its name.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// A generation as it was written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Counted up from 1.
    pub number: u32,
    /// When it was made.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The generation that it goes back to, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<u32>,
    /// Devices in it.
    pub devices: usize,
    /// Allow rules in it.
    pub rules: usize,
    /// What tells it from others, see [`Sources::digest`].
    pub digest: String,
    /// Its files.
    pub files: Vec<Object>,
    /// When it ends unless it is confirmed; nothing where it was to hold at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_by: Option<Timestamp>,
    /// The same by the clock that nobody sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deadline: Option<BootTime>,
}

/// What became of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was, or is still, to be confirmed.
    Pending,
    /// It was confirmed, or was to hold at once.
    Confirmed,
    /// Somebody took it back, or its deadline passed.
    Reverted,
}

impl Outcome {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Reverted => "reverted",
        }
    }
}

/// That something was decided of a generation, by whom and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Decision {
    /// SHA-256 of the record that it is about.
    record: String,
    at: Timestamp,
    by: String,
}

/// A generation, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The generation.
    pub record: Record,
    /// What became of it.
    pub outcome: Outcome,
    /// When that was decided, and by whom.
    pub decided: Option<(Timestamp, String)>,
}

/// What a new generation is to say of itself.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) at: Timestamp,
    pub(crate) by: String,
    pub(crate) note: Option<String>,
    pub(crate) restores: Option<u32>,
    pub(crate) devices: usize,
    pub(crate) rules: usize,
    pub(crate) confirm_by: Option<(Timestamp, BootTime)>,
}

/// The generations in a state folder.
#[derive(Clone, Debug)]
pub struct Generations {
    folder: PathBuf,
    disk: Disk,
}

impl Generations {
    /// Those in a state folder, where there may be none yet.
    #[must_use]
    pub fn of(state: &Path) -> Self {
        Self { folder: state.join(FOLDER), disk: Disk::default() }
    }

    /// All that are kept, the oldest first. What cannot be read comes as an error each, with its number: others can be.
    #[must_use]
    pub fn list(&self) -> (Vec<Known>, Vec<(u32, GenerationError)>) {
        let (mut known, mut errors) = (Vec::new(), Vec::new());
        for number in self.numbers() {
            match self.known(number) {
                Ok(generation) => known.push(generation),
                Err(error) => errors.push((number, error)),
            }
        }
        (known, errors)
    }

    /// The one that was confirmed last and is whole, with its texts, and what is wrong with those that came after it.
    #[must_use]
    pub fn confirmed(&self) -> (Option<(Known, Sources)>, Vec<GenerationError>) {
        let mut errors = Vec::new();
        for number in self.numbers().into_iter().rev() {
            let known = match self.known(number) {
                Ok(known) if known.outcome == Outcome::Confirmed => known,
                Ok(_) => continue,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            match self.sources(&known.record) {
                Ok(sources) => return (Some((known, sources)), errors),
                Err(error) => errors.push(error),
            }
        }
        (None, errors)
    }

    /// The generation with a number.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn known(&self, number: u32) -> Result<Known, GenerationError> {
        let damaged = |what: String| GenerationError::Damaged { number, what };
        let bytes = read(&self.record(number))?.ok_or(GenerationError::Unknown(number))?;
        let record: Record = understand(&bytes).map_err(damaged)?;
        if record.number != number {
            return Err(damaged(format!("it says that it is generation {}", record.number)));
        }
        let hash = hash(&bytes);
        let decided = |name| -> Result<Option<(Timestamp, String)>, GenerationError> {
            let Some(bytes) = read(&self.decision(number, name))? else { return Ok(None) };
            let decision: Decision = understand(&bytes).map_err(damaged)?;
            if decision.record != hash {
                return Err(damaged("it is not the one that was decided about".to_owned()));
            }
            Ok(Some((decision.at, decision.by)))
        };
        // Who takes back what was confirmed makes a new generation: both together are a confirmation that came too late.
        let (outcome, decided) = match (decided("reverted")?, decided("confirmed")?) {
            (Some(decided), _) => (Outcome::Reverted, Some(decided)),
            (None, Some(decided)) => (Outcome::Confirmed, Some(decided)),
            (None, None) => (Outcome::Pending, None),
        };
        Ok(Known { record, outcome, decided })
    }

    /// The texts of a generation, each as it was written.
    ///
    /// # Errors
    /// When one cannot be read, or is not what was written.
    pub fn sources(&self, record: &Record) -> Result<Sources, GenerationError> {
        let damaged = |what: String| GenerationError::Damaged { number: record.number, what };
        let text = |what: &str| {
            let file = record.files.iter().find(|file| file.what == what);
            let file = file.ok_or_else(|| damaged(format!("it has no {what}")))?;
            let bytes = read(&self.object(&file.sha256))?;
            let bytes = bytes.ok_or_else(|| damaged(format!("its {what} is gone")))?;
            if hash(&bytes) != file.sha256 {
                return Err(damaged(format!("its {what} is not what was written")));
            }
            let content = String::from_utf8(bytes).map_err(|_| damaged(format!("its {what} is no text")))?;
            Ok(Text { path: file.path.clone(), content })
        };
        Ok(Sources { config: text("config")?, policy: text("policy")?, devices: text("devices")? })
    }

    /// Writes a generation down, pending. Old ones are let go, but for the one that is confirmed.
    ///
    /// # Errors
    /// When it cannot be written: then it is none.
    pub(crate) fn add(&self, sources: &Sources, about: About) -> Result<Record, GenerationError> {
        let last = self.numbers().last().copied().unwrap_or(0);
        let number = last.checked_add(1).ok_or_else(|| GenerationError::Last(self.record(last)))?;
        let (folder, objects) = (self.folder.clone(), self.folder.join(OBJECTS));
        fs::create_dir_all(&objects).map_err(|error| GenerationError::Write(objects.clone(), error))?;
        let mut files = Vec::new();
        for (what, text) in sources.texts() {
            let bytes = text.content.as_bytes();
            let file = Object {
                what: what.to_owned(),
                path: text.path.clone(),
                sha256: hash(bytes),
                bytes: bytes.len() as u64,
            };
            let path = self.object(&file.sha256);
            // One that was damaged is written anew.
            if read(&path)?.is_none_or(|found| hash(&found) != file.sha256) {
                self.write(&path, bytes)?;
            }
            files.push(file);
        }
        let About { at, by, note, restores, devices, rules, confirm_by } = about;
        let (confirm_by, deadline) = confirm_by.unzip();
        let digest = sources.digest();
        let record =
            Record { number, at, by, note, restores, devices, rules, digest, files, confirm_by, deadline };
        self.write(&self.record(number), &bytes(&record))?;
        if let Err(error) = self.let_go() {
            tracing::warn!(folder = %folder.display(), %error, "old generations cannot be let go");
        }
        Ok(record)
    }

    /// Notes that a generation is confirmed, or was taken back.
    ///
    /// # Errors
    /// When it cannot be written: then it is as it was.
    pub(crate) fn decide(
        &self,
        number: u32,
        outcome: Outcome,
        by: &str,
        at: Timestamp,
    ) -> Result<(), GenerationError> {
        let bytes_of_record = read(&self.record(number))?.ok_or(GenerationError::Unknown(number))?;
        let decision = Decision { record: hash(&bytes_of_record), at, by: by.to_owned() };
        self.write(&self.decision(number, outcome.name()), &bytes(&decision))
    }

    /// Lets go what is older than the last [`KEPT`], and texts that no generation has.
    fn let_go(&self) -> io::Result<()> {
        let numbers = self.numbers();
        let confirmed = self.confirmed().0.map(|(known, _)| known.record.number);
        let old = numbers.iter().rev().skip(KEPT).filter(|&&number| Some(number) != confirmed);
        for &number in old {
            // The record first: what was decided about none says nothing.
            self.disk.remove(&self.record(number))?;
            for name in [Outcome::Confirmed, Outcome::Reverted].map(Outcome::name) {
                self.disk.remove(&self.decision(number, name))?;
            }
        }
        let (known, errors) = self.list();
        if !errors.is_empty() {
            // One that cannot be read now may name texts.
            return Ok(());
        }
        let named: BTreeSet<_> =
            known.iter().flat_map(|known| &known.record.files).map(|file| file.sha256.as_str()).collect();
        for entry in fs::read_dir(self.folder.join(OBJECTS))? {
            let name = entry?.file_name();
            if !name.to_str().is_some_and(|name| named.contains(name)) {
                self.disk.remove(&self.folder.join(OBJECTS).join(name))?;
            }
        }
        Ok(())
    }

    /// Numbers of records, in order.
    fn numbers(&self) -> Vec<u32> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let number = |entry: fs::DirEntry| {
            let name = entry.file_name();
            name.to_str()?.strip_suffix(".json")?.parse().ok()
        };
        let mut numbers: Vec<u32> = entries.filter_map(number).collect();
        numbers.sort_unstable();
        numbers
    }

    fn record(&self, number: u32) -> PathBuf {
        self.folder.join(format!("{number:06}.json"))
    }

    fn decision(&self, number: u32, name: &str) -> PathBuf {
        self.folder.join(format!("{number:06}.{name}"))
    }

    fn object(&self, sha256: &str) -> PathBuf {
        // Nothing that a damaged record says leads out of the folder.
        let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.folder.join(OBJECTS).join(if is_hash { sha256 } else { "none" })
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), GenerationError> {
        self.disk.replace(path, bytes).map_err(|error| GenerationError::Write(path.to_owned(), error))
    }
}

fn hash(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn bytes(value: &impl Serialize) -> Vec<u8> {
    // Of plain structures of numbers and texts; what could fail is a map with keys that are none.
    serde_json::to_vec_pretty(value).unwrap_or_default()
}

fn understand<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

/// A file; nothing where there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, GenerationError> {
    let failed = |error| GenerationError::Read(path.to_owned(), error);
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(found) if found.len() > LARGEST => {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "it is too large")));
        }
        Ok(_) => {}
    }
    fs::read(path).map(Some).map_err(failed)
}

#[cfg(test)]
mod tests;
