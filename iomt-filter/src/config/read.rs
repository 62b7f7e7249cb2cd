//! config.toml, section by section.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::location::locations;
use super::parse_duration;
use super::{
    AccessConfig, AgentConfig, AttachMode, BundleConfig, Config, GeoConfig, Interfaces, LearnConfig, Metrics,
    Paths, events, feed, risk,
};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::document::{Located, Reader, Section};
use crate::policy::model::Management;
use crate::policy::peer::{self, Peers};
use crate::policy::service::{Named, Services};

const MODES: &[(&str, AttachMode)] =
    &[("auto", AttachMode::Auto), ("native", AttachMode::Native), ("generic", AttachMode::Generic)];
const SECTIONS: [&str; 13] = [
    "interfaces",
    "paths",
    "management",
    "access",
    "geo",
    "feed",
    "gate",
    "bundle",
    "risk",
    "events",
    "learn",
    "metrics",
    "agent",
];
/// The agent beats twice a second: on a busy host some of ten beats come late, and never all of them.
const SHORTEST_LOSS: Duration = Duration::from_secs(5);
/// The tables count the seconds of `loss_after` in 16 bits.
const LONGEST_LOSS: Duration = Duration::from_secs(18 * 3_600);
/// A week holds every weekday, and what is done on it.
const BASELINE: Duration = Duration::from_secs(7 * 86_400);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// Reads a configuration, as far as it can be read, and what is wrong with it.
pub(super) fn config(file: &SourceFile, path: &Path, has_devices_toml: bool) -> (Config, Vec<Diagnostic>) {
    let mut reader = Reader::new(file);
    let document = reader.parse();
    let root = reader.section(document.get_ref(), 0..0, "", &SECTIONS);
    let folder = path.parent().unwrap_or(Path::new(""));
    let config = Config {
        interfaces: interfaces(&root, file, &mut reader),
        paths: paths(&root, path, has_devices_toml, &mut reader),
        management: management(&root, &mut reader),
        geo: geo(&root, folder, &mut reader),
        feeds: feed::feeds(&root, folder, &mut reader),
        gate: feed::gate(&root, &mut reader),
        bundle: bundle(&root, folder, &mut reader),
        risk: risk::risk(&root, folder, &mut reader),
        events: events::events(&root, folder, &mut reader),
        learn: learn(&root, &mut reader),
        metrics: metrics(&root, &mut reader),
        agent: agent(&root, &mut reader),
        access: access(&root, &mut reader),
        warnings: Vec::new(),
        text: file.text().into(),
    };
    (config, reader.found)
}

fn interfaces<'s>(root: &Section<'_, 's>, file: &SourceFile, reader: &mut Reader<'s>) -> Interfaces {
    let known = ["device", "uplink", "mode", "segments"];
    let Some(section) = root.section("interfaces", &known, reader) else {
        if root.get("interfaces").is_none() {
            let help = "write `[interfaces]` with `device = [\"eth1\"]` and `uplink = [\"eth0\"]`";
            reader.error(&file.whole(), "the configuration has no `[interfaces]`", help);
        }
        return Interfaces::default();
    };
    let device = locations("device", &section, reader);
    let uplink = locations("uplink", &section, reader);
    if device.is_empty() && section.get("device").is_none_or(|value| value.get_ref().is_array()) {
        let help = "name the ports that face medical devices: `device = [\"eth1\"]`";
        reader.error(&section.place, "`interfaces` names no `device` port", help);
    }
    for name in uplink.iter().filter(|name| device.iter().any(|device| device.value == name.value)) {
        let message = format!("`{}` cannot be both a device port and an uplink", name.text);
        let help = "keep it in one of the two; VLANs on one interface may differ: `eth0:110`";
        reader.error(&name.place, message, help);
    }
    let segments = section.get("segments").map(|value| {
        let texts = reader.as_strings(value, "segments");
        texts.iter().filter_map(|text| network(text, reader)).collect()
    });
    Interfaces {
        device: device.into_iter().map(|written| written.value).collect(),
        uplink: uplink.into_iter().map(|written| written.value).collect(),
        mode: section.word("mode", MODES, reader).unwrap_or_default(),
        segments,
    }
}

fn paths<'s>(
    root: &Section<'_, 's>,
    config: &Path,
    has_devices_toml: bool,
    reader: &mut Reader<'s>,
) -> Paths {
    let folder = config.parent().unwrap_or(Path::new(""));
    let known = ["policy", "devices", "socket", "state", "pins", "profiles"];
    let section = root.section("paths", &known, reader);
    let mut path = |key: &str, default: PathBuf| {
        let given = section.as_ref().and_then(|section| section.string(key, reader));
        given.map_or(default, |text| folder.join(text.value))
    };
    let devices = if has_devices_toml { "devices.toml" } else { "devices.csv" };
    Paths {
        config: config.to_owned(),
        policy: path("policy", folder.join("policy.toml")),
        devices: path("devices", folder.join(devices)),
        socket: path("socket", super::SOCKET.into()),
        state: path("state", "/var/lib/iomt-filter".into()),
        pins: path("pins", "/sys/fs/bpf/iomt-filter".into()),
        profiles: path("profiles", super::PROFILES.into()),
    }
}

fn management<'s>(root: &Section<'_, 's>, reader: &mut Reader<'s>) -> Vec<Management> {
    let Some(section) = root.section("management", &["allow"], reader) else { return Vec::new() };
    let mut pairs = Vec::new();
    for pair in section.sections("allow", &["ip", "ports"], reader) {
        let (ips, ports) = (pair.strings("ip", reader), pair.strings("ports", reader));
        if pair.get("ip").is_none() || pair.get("ports").is_none() {
            let help = "write `{ ip = \"10.0.0.5\", ports = [\"22/tcp\"] }`; everything is `ports = \"any\"`";
            reader.error(&pair.place, "a management pair needs `ip` and `ports`", help);
        }
        let networks: Vec<IpNet> = ips.iter().filter_map(|text| network(text, reader)).collect();
        let mut services = Services::default();
        for port in &ports {
            match Services::parse(&port.value, &Named::new()) {
                Ok(service) => services = services.and(service),
                Err(error) => reader.error(&port.place, error.to_string(), error.help(&Named::new())),
            }
        }
        let name = format!(
            "management[{}] from {} service {}",
            pairs.len() + 1,
            values(ips).join(","),
            values(ports).join(",")
        );
        pairs.push(Management { peers: Peers::of(networks), services, name });
    }
    pairs
}

fn geo<'s>(root: &Section<'_, 's>, folder: &Path, reader: &mut Reader<'s>) -> GeoConfig {
    let section = root.section("geo", &["database", "max_age"], reader);
    let database = section.as_ref().and_then(|section| section.string("database", reader));
    GeoConfig {
        database: database.map(|text| folder.join(text.value)),
        max_age: duration("max_age", section.as_ref(), 90 * DAY, reader),
    }
}

fn bundle<'s>(root: &Section<'_, 's>, folder: &Path, reader: &mut Reader<'s>) -> BundleConfig {
    let section = root.section("bundle", &["key"], reader);
    let key = section.and_then(|section| section.string("key", reader));
    BundleConfig { key: key.map(|text| folder.join(text.value)) }
}

fn agent<'s>(root: &Section<'_, 's>, reader: &mut Reader<'s>) -> AgentConfig {
    let section = root.section("agent", &["user", "loss_after"], reader);
    let user = section.as_ref().and_then(|section| section.string("user", reader)).map(|user| user.value);
    let minute = Duration::from_secs(60);
    let loss_after = duration("loss_after", section.as_ref(), minute, reader);
    let wrong = if loss_after < SHORTEST_LOSS {
        Some((
            "`loss_after` must be at least `5s`: in less, an agent that a busy host keeps waiting counts as lost",
            "write `5s` or more; `60s` holds where nothing is written",
        ))
    } else if loss_after > LONGEST_LOSS {
        let help = "what is to hold without an agent is `on_agent_loss` of a profile";
        Some(("`loss_after` must be at most `18h`", help))
    } else {
        None
    };
    if let Some((message, help)) = wrong {
        let place = section.and_then(|section| Some(reader.place(section.get("loss_after")?.span())));
        reader.error(&place.unwrap_or_default(), message, help);
    }
    AgentConfig { user, loss_after: loss_after.as_secs() as u16 }
}

fn access<'s>(root: &Section<'_, 's>, reader: &mut Reader<'s>) -> AccessConfig {
    let Some(section) = root.section("access", &["read", "write"], reader) else {
        return AccessConfig::default();
    };
    let mut groups = |key: &str| {
        let groups = section.strings(key, reader);
        for group in groups.iter().filter(|group| group.value.is_empty()) {
            reader.error(&group.place, "a group has a name", "`getent group` lists those there are");
        }
        section.get(key).map(|_| values(groups))
    };
    AccessConfig { read: groups("read").unwrap_or_default(), write: groups("write") }
}

fn learn<'s>(root: &Section<'_, 's>, reader: &mut Reader<'s>) -> LearnConfig {
    let section = root.section("learn", &["baseline_after"], reader);
    LearnConfig { baseline_after: duration("baseline_after", section.as_ref(), BASELINE, reader) }
}

fn metrics<'s>(root: &Section<'_, 's>, reader: &mut Reader<'s>) -> Metrics {
    let section = root.section("metrics", &["listen"], reader);
    let Some(text) = section.and_then(|section| section.string("listen", reader)) else {
        return Metrics::default();
    };
    let listen = text.value.parse().ok();
    if listen.is_none() {
        let message = format!("`{}` is no address with a port", text.value);
        reader.error(&text.place, message, "write it as in `127.0.0.1:9464` or `[::1]:9464`");
    }
    if let Some(listen) = listen.filter(|listen: &SocketAddr| !listen.ip().is_loopback()) {
        let message = format!("who reaches {listen} reads names and numbers of all devices there, unasked");
        let help = "listen on `127.0.0.1:9464`, or let a firewall name who may connect";
        reader.found.push(Diagnostic::warning(&text.place, message).help(help));
    }
    Metrics { listen }
}

pub(super) fn duration<'s>(
    key: &str,
    section: Option<&Section<'_, 's>>,
    default: Duration,
    reader: &mut Reader<'s>,
) -> Duration {
    let Some(text) = section.and_then(|section| section.string(key, reader)) else { return default };
    parse_duration(&text.value).unwrap_or_else(|error| {
        reader.error(&text.place, error.to_string(), error.help());
        default
    })
}

pub(super) fn network(text: &Located<String>, reader: &mut Reader<'_>) -> Option<IpNet> {
    match peer::network(&text.value) {
        Ok(network) => Some(network),
        Err(error) => {
            reader.error(&text.place, error.to_string(), error.help());
            None
        }
    }
}

fn values(texts: Vec<Located<String>>) -> Vec<String> {
    texts.into_iter().map(|text| text.value).collect()
}
