//! Configuration, policy, inventory, feeds and country database, read as `check` reads them.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::diagnostic::Diagnostic;
use crate::host::HostNetworks;
use crate::intent::{self, Intent, Overrides};
use crate::numbers::Numbers;
use crate::policy::model::GeoStale;

/// What the files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The configuration.
    pub config: PathBuf,
    /// What is wrong with them.
    pub errors: Vec<String>,
    /// What deserves a look.
    pub warnings: Vec<String>,
    /// Devices.
    pub devices: usize,
    /// Whether a device is told by its VLAN.
    pub have_vlans: bool,
    /// The country database, where one is configured.
    pub country: Option<Country>,
}

/// The country database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Country {
    /// The file.
    pub path: PathBuf,
    /// Its age in days, where it says when it was made.
    pub age: Option<i64>,
    /// The age in days from which on it is too old.
    pub most: u64,
    /// Whether it is too old.
    pub is_stale: bool,
    /// Whether the policy refuses every public address then.
    pub refuses: bool,
    /// Why the last good copy is used in its place.
    pub kept: Option<String>,
}

impl Sources {
    /// The configuration as far as it can be read, and what all files come to.
    pub(super) fn read(path: &Path) -> (Config, Self) {
        let config = match Config::load(path) {
            Ok(config) => config,
            Err(found) => return (Config::load_what_can_be_read(path).0, Self::invalid(path, &found)),
        };
        let read = HostNetworks::read()
            .map_err(|error| vec![format!("failed to read the addresses of this host: {error}")]);
        let sources = match read.map(|host| {
            intent::read(&config, &Overrides::default(), &host, &mut Numbers::default(), &[], Vec::new())
        }) {
            Ok(Ok(intent)) => Self::valid(path, &intent),
            Ok(Err(found)) => Self::invalid(path, &found),
            Err(errors) => Self { config: path.to_owned(), errors, ..Self::default() },
        };
        (config, sources)
    }

    fn valid(path: &Path, intent: &Intent) -> Self {
        let geo = intent.geo.as_ref();
        // That is a finding of its own.
        let old = geo.and_then(|geo| geo.warning());
        let others = intent.warnings.iter().filter(|warning| Some(*warning) != old.as_ref());
        Self {
            config: path.to_owned(),
            errors: Vec::new(),
            warnings: others.map(said).collect(),
            devices: intent.devices,
            have_vlans: have_vlans(intent),
            country: geo.map(|geo| Country {
                path: geo.path.clone(),
                age: geo.age_days,
                most: geo.max_age_days,
                is_stale: geo.stale,
                refuses: geo.on_stale == GeoStale::Deny,
                kept: geo.kept.clone(),
            }),
        }
    }

    fn invalid(path: &Path, found: &[Diagnostic]) -> Self {
        let all = |is_error| found.iter().filter(move |one| one.is_error() == is_error).map(said).collect();
        Self { config: path.to_owned(), errors: all(true), warnings: all(false), ..Self::default() }
    }
}

/// Whether a device of the inventory is told by its VLAN.
pub(in crate::doctor) fn have_vlans(intent: &Intent) -> bool {
    intent.rows.devices.values().any(|device| device.vlan != 0)
}

/// On one line, with its place.
fn said(found: &Diagnostic) -> String {
    match (found.file.as_str(), found.line) {
        ("", _) => found.message.clone(),
        (file, 0) => format!("{file}: {}", found.message),
        (file, line) => format!("{file}:{line}: {}", found.message),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let (_, sources) = Sources::read(&path);
        assert!(sources.errors[0].contains("failed to read the configuration"), "{sources:?}");
        fs::write(&path, "[interfaces]\ndevice = [\"eth1\"]\nmode = \"fast\"\n").unwrap();
        let (config, sources) = Sources::read(&path);
        assert!(sources.errors[0].contains("config.toml:3: "), "{sources:?}");
        assert_eq!(config.interfaces.device.len(), 1, "the rest is still to be looked at");
    }

    #[test]
    fn files_that_are_valid_tell_of_devices_and_vlans() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("config.toml", "[interfaces]\ndevice = [\"eth1\"]\nsegments = [\"10.10.0.0/24\"]\n");
        write("policy.toml", "version = 1\n[profiles.ct]\nallow = []\n");
        let device = "[[device]]\nname = \"ct-1\"\nmac = \"00:1b:21:00:00:11\"\nip = \"10.10.0.11\"\n";
        write("devices.toml", &format!("{device}profile = \"ct\"\n"));
        let (_, sources) = Sources::read(&path);
        assert_eq!((sources.errors.len(), sources.devices, sources.have_vlans), (0, 1, false), "{sources:?}");
        write("devices.toml", &format!("{device}profile = \"ct\"\nvlan = 110\n"));
        assert!(Sources::read(&path).1.have_vlans);
    }
}
