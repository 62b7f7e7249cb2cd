//! What was imported of devices' makers: kept in the state folder, a file each, in a folder for each device, pattern or
//! profile that it was imported for.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::auditing::Auditing;
use super::core::chain;
use super::store::{self, StoreError};
use super::{Agent, Errors};
use crate::api::messages::{SbomImported, SbomQuery, SbomRemoval, SbomRemoved, Sboms};
use crate::audit::{Author, Entry};
use crate::hex::hexadecimal;
use crate::intent::last_good::file_name;
use crate::nearest::did_you_mean;
use crate::privileges::as_owner_of;
use crate::rows::Rows;
use crate::sbom::{self, Imported, Kept, Whose};

/// The folder, in the state folder.
const FOLDER: &str = "sbom";
/// Letters of the name of a file that are kept at most.
const LONGEST_NAME: usize = 200;

/// A file that is to be imported.
#[derive(Clone, Copy, Debug)]
pub struct Import<'i> {
    /// Whom it is for, and what it is called.
    pub query: &'i SbomQuery,
    /// What it says.
    pub bytes: &'i [u8],
    /// Who imports it.
    pub by: &'i Author,
}

/// A file that was read, and may be kept.
#[derive(Clone, Debug)]
pub struct Importing {
    kept: Kept,
    is_added: bool,
    entry: Entry,
}

impl Importing {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(import: Import<'_>) -> Result<Self, Errors> {
        let Import { query, bytes, by } = import;
        let bill = sbom::read(bytes).map_err(|error| vec![format!("`{}`: {}", query.file, chain(&error))])?;
        let imported = Imported {
            device: Whose(query.device.clone()),
            file: query.file.chars().take(LONGEST_NAME).collect(),
            digest: hexadecimal(&Sha256::digest(bytes)),
            imported: Timestamp::now(),
            by: by.name.clone(),
            note: query.note.clone(),
            ..Imported::default()
        };
        let about = imported.of(&bill);
        let entry = Entry {
            about: Some(query.device.clone()),
            after: json!(about),
            note: query.note.clone(),
            ..Entry::by(by, "sbom import")
        };
        Ok(Self { kept: Kept { about, bill }, is_added: query.add, entry })
    }

    /// Keeps it, with an entry in the audit log before, in place of what it replaces.
    fn keep(self, state: &Path, rows: &Rows, auditing: &Auditing) -> Result<SbomImported, Errors> {
        let Self { kept, is_added, entry } = self;
        let devices = devices_of(&kept.about.device, rows)?;
        // Where it cannot be made, nothing can be written, and that says why.
        let _ = as_owner_of(state, || fs::create_dir_all(state.join(FOLDER)));
        let _alone = alone(state);
        let (others, mut warnings) = read(state);
        let replaced: Vec<(PathBuf, Kept)> =
            others.into_iter().filter(|(_, other)| other.is_replaced_by(&kept, is_added)).collect();
        let replaces: Vec<Imported> = replaced.iter().map(|(_, other)| other.about.clone()).collect();
        let before = if replaces.is_empty() { serde_json::Value::Null } else { json!(replaces) };
        let path = path_of(&kept);
        auditing.change(Entry { before, ..entry }, || {
            place(state, &path, &kept).map_err(|error| vec![chain(&error)])?;
            // It is there: what it replaces counts no more.
            let old = replaced.iter().map(|(old, _)| old).filter(|old| **old != path);
            for old in old.collect::<BTreeSet<_>>() {
                remove(state, old).map_err(|error| vec![chain(&error)])?;
            }
            Ok(())
        })?;
        if kept.about.vulnerabilities == 0 {
            warnings.push(format!(
                "`{}` names no vulnerability: `risk` has nothing to say of it until its maker's or a scanner's word on them is imported too (VEX)",
                kept.about.file
            ));
        }
        Ok(SbomImported { imported: kept.about, devices, replaces, warnings })
    }
}

/// Imports without an agent.
///
/// # Errors
/// When no device is meant, or it cannot be kept.
pub fn import_into(state: &Path, rows: &Rows, importing: Importing) -> Result<SbomImported, Errors> {
    importing.keep(state, rows, &Auditing::begin(state))
}

/// Removes without an agent.
///
/// # Errors
/// When nothing was imported so, or it cannot be removed.
pub fn remove_from(state: &Path, request: &SbomRemoval, by: &Author) -> Result<SbomRemoved, Errors> {
    let entry = Entry { about: Some(request.device.clone()), ..Entry::by(by, "sbom remove") };
    removed(state, request, entry, &Auditing::begin(state))
}

/// What was imported.
#[must_use]
pub fn sboms_of(state: &Path) -> Sboms {
    let (kept, warnings) = kept(state);
    Sboms { imported: kept.into_iter().map(|kept| kept.about).collect(), warnings }
}

/// All that was imported, by whom it was imported for; and what cannot be read any more.
pub(super) fn kept(state: &Path) -> (Vec<Kept>, Vec<String>) {
    let (kept, warnings) = read(state);
    (kept.into_iter().map(|(_, kept)| kept).collect(), warnings)
}

impl Agent {
    /// What was imported.
    pub fn sboms(&self) -> Sboms {
        sboms_of(self.state())
    }

    /// Imports a file.
    ///
    /// # Errors
    /// When it cannot be read, no device is meant, or it cannot be kept.
    pub fn import_sbom(&self, query: &SbomQuery, bytes: &[u8], by: &Author) -> Result<SbomImported, Errors> {
        // A large one keeps no change waiting.
        let importing = Importing::read(Import { query, bytes, by })?;
        self.change(|core| importing.keep(&core.config.paths.state, &core.intent.rows, &core.auditing))
    }

    /// Removes what was imported.
    ///
    /// # Errors
    /// When nothing was imported so, or it cannot be removed.
    pub fn remove_sbom(&self, request: &SbomRemoval, by: &Author) -> Result<SbomRemoved, Errors> {
        let entry = Entry { about: Some(request.device.clone()), ..Entry::by(by, "sbom remove") };
        self.change(|core| removed(&core.config.paths.state, request, entry, &core.auditing))
    }
}

/// How many devices are meant.
fn devices_of(whose: &Whose, rows: &Rows) -> Result<usize, Errors> {
    let names = &rows.names;
    let device = |(number, name): (&u32, &String)| {
        let profile = names.profiles.get(&rows.devices.get(number)?.profile)?;
        Some(whose.has(name, profile))
    };
    let count = names.devices.iter().filter_map(device).filter(|is_meant| *is_meant).count();
    if count > 0 {
        return Ok(count);
    }
    Err(vec![match whose.profile() {
        Some(profile) => {
            let known = names.profiles.values().map(String::as_str).collect::<BTreeSet<_>>();
            format!("no device has the profile `{profile}`; {}", did_you_mean(profile, known))
        }
        None => {
            let known = names.devices.values().map(String::as_str).collect::<BTreeSet<_>>();
            format!("no device is called `{whose}`; {}", did_you_mean(&whose.0, known))
        }
    }])
}

fn removed(
    state: &Path,
    request: &SbomRemoval,
    entry: Entry,
    auditing: &Auditing,
) -> Result<SbomRemoved, Errors> {
    let _alone = alone(state);
    let (all, _) = read(state);
    let is_meant = |kept: &Kept| {
        kept.about.device.0 == request.device
            && request.file.as_ref().is_none_or(|file| *file == kept.about.file)
    };
    let (meant, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, kept)| is_meant(kept));
    if meant.is_empty() {
        let known = others.iter().map(|(_, kept)| kept.about.device.0.as_str()).collect::<BTreeSet<_>>();
        let of_file = request.file.as_ref().map(|file| format!(" of the name `{file}`")).unwrap_or_default();
        let help = did_you_mean(&request.device, known);
        return Err(vec![format!("nothing{of_file} was imported for `{}`; {help}", request.device)]);
    }
    let removed: Vec<Imported> = meant.iter().map(|(_, kept)| kept.about.clone()).collect();
    let entry = Entry { before: json!(removed), note: request.note.clone(), ..entry };
    auditing.change(entry, || {
        for (path, _) in &meant {
            remove(state, path).map_err(|error| vec![chain(&error)])?;
        }
        Ok(())
    })?;
    Ok(SbomRemoved { removed })
}

/// Keeps other processes from changing anything here meanwhile; nothing where there is nothing.
fn alone(state: &Path) -> Option<File> {
    let folder = File::open(state.join(FOLDER)).ok()?;
    folder.lock().ok()?;
    Some(folder)
}

/// The path of a file in the state folder.
fn path_of(kept: &Kept) -> PathBuf {
    let name = hexadecimal(&Sha256::digest(kept.identity().as_bytes()));
    let name = name.get(..16).unwrap_or(&name);
    [FOLDER, &file_name(&kept.about.device.0), &format!("{name}.json")].iter().collect()
}

fn place(state: &Path, path: &Path, kept: &Kept) -> Result<(), StoreError> {
    let folder = state.join(path.parent().unwrap_or(Path::new("")));
    let made = as_owner_of(state, || fs::create_dir_all(&folder));
    made.map_err(|error| StoreError::Write(folder.clone(), error))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bytes = serde_json::to_vec(kept).map_err(io::Error::from);
    let bytes = bytes.map_err(|error| StoreError::Write(folder.join(&name), error))?;
    store::put(&folder, &name, &bytes)
}

fn remove(state: &Path, path: &Path) -> Result<(), StoreError> {
    let whole = state.join(path);
    let folder = whole.parent().unwrap_or(Path::new("")).to_owned();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    as_owner_of(&folder, || store::remove(&folder, &name))?;
    // Where others are left in it, it stays.
    let _ = as_owner_of(state, || fs::remove_dir(&folder));
    Ok(())
}

/// All files by their path in the state folder.
fn read(state: &Path) -> (Vec<(PathBuf, Kept)>, Vec<String>) {
    let (mut kept, mut warnings) = (Vec::new(), Vec::new());
    let folders = fs::read_dir(state.join(FOLDER)).into_iter().flatten().flatten();
    for folder in folders {
        let inner = match fs::read_dir(folder.path()) {
            Ok(inner) => inner,
            Err(error) => {
                warnings.push(format!("failed to read `{}`: {error}", folder.path().display()));
                continue;
            }
        };
        for file in inner.flatten().filter(|file| file.path().extension().is_some_and(|end| end == "json")) {
            let name = file.file_name().to_string_lossy().into_owned();
            let read: Result<Option<Kept>, _> = match store::read(&folder.path(), &name) {
                Ok(Some(bytes)) => store::understand(&folder.path(), &name, &bytes).map(Some),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            };
            let path = Path::new(FOLDER).join(folder.file_name()).join(file.file_name());
            match read {
                Ok(found) => kept.extend(found.map(|found| (path, found))),
                Err(error) => warnings.push(format!("{}; import it anew", chain(&error))),
            }
        }
    }
    let order = |kept: &Kept| (kept.about.device.clone(), !kept.about.is_sbom, kept.about.imported);
    kept.sort_by_key(|(_, kept): &(PathBuf, Kept)| order(kept));
    (kept, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOM: &str = r#"{"bomFormat": "CycloneDX", "specVersion": "1.5", "serialNumber": "urn:uuid:1", "components": [{"name": "a", "bom-ref": "a"}]}"#;
    const VEX: &str =
        r#"{"bomFormat": "CycloneDX", "specVersion": "1.5", "vulnerabilities": [{"id": "CVE-2017-0144"}]}"#;

    fn rows() -> Rows {
        use iomt_filter_common::device::Device;
        let mut rows = Rows::default();
        for (number, name) in [(1, "ct-1"), (2, "ct-2")] {
            rows.devices.insert(number, Device { profile: 1, ..Device::default() });
            rows.names.devices.insert(number, name.to_owned());
        }
        rows.names.profiles.insert(1, "ct".to_owned());
        rows
    }

    fn import(state: &Path, device: &str, file: &str, text: &str, add: bool) -> Result<SbomImported, Errors> {
        let query = SbomQuery { device: device.into(), file: file.into(), add, note: None };
        let by = Author::default();
        let importing = Importing::read(Import { query: &query, bytes: text.as_bytes(), by: &by })?;
        import_into(state, &rows(), importing)
    }

    fn files(state: &Path) -> Vec<String> {
        sboms_of(state).imported.into_iter().map(|it| format!("{} {}", it.device, it.file)).collect()
    }

    #[test]
    fn an_sbom_takes_the_place_of_the_one_before_and_vex_stays_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        let done = import(state, "ct-*", "bom.json", BOM, false).unwrap();
        assert_eq!((done.devices, done.replaces.len(), done.warnings.len()), (2, 0, 1));
        assert_eq!(done.imported.digest.len(), 64);
        import(state, "ct-*", "vex.json", VEX, false).unwrap();
        import(state, "profile:ct", "bom.json", BOM, false).unwrap();
        let other = BOM.replace("uuid:1", "uuid:2");
        let done = import(state, "ct-*", "new.json", &other, false).unwrap();
        assert_eq!(done.replaces.len(), 1);
        assert_eq!(files(state), ["ct-* new.json", "ct-* vex.json", "profile:ct bom.json"]);
        import(state, "ct-*", "bom.json", BOM, true).unwrap();
        import(state, "ct-*", "vex.json", VEX, false).unwrap();
        assert_eq!(files(state).len(), 4);
        let removal = |device: &str, file: Option<&str>| SbomRemoval {
            device: device.into(),
            file: file.map(str::to_owned),
            note: None,
        };
        let by = Author::default();
        remove_from(state, &removal("ct-*", Some("vex.json")), &by).unwrap();
        assert_eq!(remove_from(state, &removal("ct-*", None), &by).unwrap().removed.len(), 2);
        assert_eq!(files(state), ["profile:ct bom.json"]);
        let refused = remove_from(state, &removal("profile:cd", None), &by).unwrap_err();
        assert!(refused[0].contains("did you mean `profile:ct`?"), "{refused:?}");
        let log = fs::read_to_string(state.join(crate::audit::FILE)).unwrap();
        assert_eq!(log.lines().count(), 8, "{log}");
    }

    #[test]
    fn devices_that_there_are_not_and_files_that_are_none_are_refused_and_nothing_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        for (device, text, said) in [
            ("ct-11", BOM, "no device is called `ct-11`; did you mean `ct-1`?"),
            ("mr-*", BOM, "no device is called `mr-*`"),
            ("profile:cd", BOM, "did you mean `ct`?"),
            ("../ct-1", BOM, "no device is called"),
            ("ct-1", "{}", "`x.json`: it is no SBOM"),
            ("ct-1", "{\n", "line 2 column 0"),
        ] {
            let refused = import(folder.path(), device, "x.json", text, false).unwrap_err();
            assert!(refused[0].contains(said), "{refused:?}");
        }
        assert!(!folder.path().join(FOLDER).exists());
    }

    #[test]
    fn what_is_damaged_is_said_and_the_others_count() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        import(state, "ct-1", "bom.json", BOM, false).unwrap();
        import(state, "ct-2", "bom.json", BOM, false).unwrap();
        let (all, _) = read(state);
        fs::write(state.join(&all[0].0), "{").unwrap();
        let found = sboms_of(state);
        assert_eq!(found.imported.len(), 1);
        assert!(
            found.warnings[0].contains("is damaged") && found.warnings[0].ends_with("import it anew"),
            "{found:?}"
        );
        import(state, "ct-1", "bom.json", BOM, false).unwrap();
        assert_eq!(sboms_of(state).imported.len(), 2);
        // What cannot be written leaves what was there.
        fs::remove_dir_all(state.join(FOLDER)).unwrap();
        fs::write(state.join(FOLDER), "in the way").unwrap();
        assert!(import(state, "ct-1", "bom.json", BOM, false).unwrap_err()[0].contains("failed to write"));
        let log = fs::read_to_string(state.join(crate::audit::FILE)).unwrap();
        assert!(log.lines().last().unwrap().contains("sbom import failed"));
    }
}
