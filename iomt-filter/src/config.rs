//! The configuration of the agent: config.toml, with defaults filled in and paths resolved.
//!
//! A file comes in, [`Config`] or every mistake in it goes out. Nothing here reads what the
//! configuration names.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::diagnostic::{Diagnostic, Place, SourceFile, unless_errors};
use crate::policy::model::Management;

mod duration;
mod events;
mod feed;
mod location;
mod read;
mod risk;
mod size;

pub use duration::{DurationError, parse_duration};
pub use events::{Events, FileTarget, Sink, SyslogTarget, Target, Transport};
pub use feed::{Feed, GateConfig};
pub use location::Location;
pub use risk::RiskConfig;

/// Where the configuration is looked for.
pub const PATH: &str = "/etc/iomt-filter/config.toml";

/// Where the control socket is, where nothing else is configured.
pub const SOCKET: &str = "/run/iomt-filter/control.sock";

/// Where the profiles are that ship, where nothing else is configured.
pub const PROFILES: &str = "/usr/share/iomt-filter/profiles";

/// The group whose members may change things, where nothing else is configured.
pub const GROUP: &str = "iomt-filter";

/// The configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[interfaces]`.
    pub interfaces: Interfaces,
    /// `[paths]`.
    pub paths: Paths,
    /// `[management].allow`.
    pub management: Vec<Management>,
    /// `[geo]`.
    pub geo: GeoConfig,
    /// `[[feed]]`, in the order of the file.
    pub feeds: Vec<Feed>,
    /// `[gate]`.
    pub gate: GateConfig,
    /// `[bundle]`.
    pub bundle: BundleConfig,
    /// `[risk]`.
    pub risk: RiskConfig,
    /// `[events]`.
    pub events: Events,
    /// `[learn]`.
    pub learn: LearnConfig,
    /// `[metrics]`.
    pub metrics: Metrics,
    /// `[agent]`.
    pub agent: AgentConfig,
    /// `[access]`.
    pub access: AccessConfig,
    /// What deserves a look.
    pub warnings: Vec<Diagnostic>,
    /// What the file says.
    pub text: Arc<str>,
}

/// How the program is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachMode {
    /// By the driver where it can, otherwise by the kernel's generic path.
    #[default]
    Auto,
    /// By the driver only.
    Native,
    /// By the kernel's generic path.
    Generic,
}

/// The interfaces to filter on.
#[derive(Clone, Debug, Default)]
pub struct Interfaces {
    /// Those that face medical devices.
    pub device: Vec<Location>,
    /// Those that face the hospital network and the internet.
    pub uplink: Vec<Location>,
    /// How the program is attached.
    pub mode: AttachMode,
    /// Addresses that live behind device ports; where it is not set, the networks connected to them.
    pub segments: Option<Vec<IpNet>>,
}

/// Where things are; all paths absolute, or as resolved against the folder of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The configuration itself.
    pub config: PathBuf,
    /// policy.toml.
    pub policy: PathBuf,
    /// devices.toml or devices.csv.
    pub devices: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// The state folder.
    pub state: PathBuf,
    /// The folder of the pins.
    pub pins: PathBuf,
    /// The folder of the profiles that ship.
    pub profiles: PathBuf,
}

/// `[geo]`.
#[derive(Clone, Debug)]
pub struct GeoConfig {
    /// The country database.
    pub database: Option<PathBuf>,
    /// The age from which on it is too old: it is warned about, and `geo_stale` of the policy counts.
    pub max_age: Duration,
}

/// `[bundle]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleConfig {
    /// The public key of minisign that bundles must be signed with; without one none is applied.
    pub key: Option<PathBuf>,
}

/// `[agent]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    /// The user that an agent becomes that is started as root.
    pub user: Option<String>,
    /// How long the agent may be missing before `on_agent_loss` counts, in seconds.
    pub loss_after: u16,
}

/// `[access]`: who may do what over the control socket, beside root and the agent's own user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessConfig {
    /// Groups whose members may read, by name or number.
    pub read: Vec<String>,
    /// Groups whose members may change things too; [`GROUP`] where nothing is said.
    pub write: Option<Vec<String>>,
}

/// `[learn]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnConfig {
    /// For how long a device is watched before it is told what is new of it.
    pub baseline_after: Duration,
}

/// `[metrics]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Where metrics are served.
    pub listen: Option<SocketAddr>,
}

impl Interfaces {
    /// The interfaces that face medical devices as the host may call them: one of a VLAN is `eth0.110`.
    pub fn device_names(&self) -> Vec<String> {
        let name = |place: &Location| match place.vlan {
            None => place.interface.clone(),
            Some(vlan) => format!("{}.{vlan}", place.interface),
        };
        self.device.iter().map(name).collect()
    }
}

impl Config {
    /// Reads a configuration. Warnings are kept in it; where there is an error, everything comes back.
    pub fn load(path: &Path) -> Result<Self, Vec<Diagnostic>> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let place = Place::file(&shown);
            let diagnostic =
                Diagnostic::error(&place, format!("failed to read the configuration `{shown}`: {error}"));
            vec![diagnostic.help("name another one with `--config FILE`")]
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let has_toml = folder.join("devices.toml").exists();
        Self::parse(&SourceFile::new(&shown, text), path, has_toml)
    }

    /// Reads the text of a configuration that stands at `path`. `has_devices_toml` says whether there is
    /// a devices.toml beside it.
    pub fn parse(file: &SourceFile, path: &Path, has_devices_toml: bool) -> Result<Self, Vec<Diagnostic>> {
        let (mut config, found) = read::config(file, path, has_devices_toml);
        config.warnings = unless_errors(found)?;
        Ok(config)
    }

    /// Reads a configuration as far as it can be read, and what is wrong with it: for the verb that must
    /// work whatever state the file is in.
    pub fn load_what_can_be_read(path: &Path) -> (Self, Vec<Diagnostic>) {
        let shown = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => read::config(&SourceFile::new(&shown, text), path, false),
            Err(error) => {
                let message = format!("failed to read the configuration `{shown}`: {error}");
                (Self::defaults(path), vec![Diagnostic::error(&Place::file(&shown), message)])
            }
        }
    }

    /// What holds without a configuration at `path`, for verbs that need no interface.
    pub fn defaults(path: &Path) -> Self {
        read::config(&SourceFile::new(&path.display().to_string(), ""), path, false).0
    }
}
