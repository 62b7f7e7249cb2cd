//! A world as the files that an administrator would keep.

use std::fmt::Write;
use std::path::Path;

use iomt_filter_common::policy::Otherwise;
use mmdb_writer::{Value, Writer};

use super::{CountryCode, Limits, Opens, Peer, Profile, Rates, Rule, Service, World};

impl World {
    /// `policy.toml`.
    pub fn policy_toml(&self) -> String {
        let mut text = format!(
            "version = 1\n\n[defaults]\nunknown_device = \"{}\"\nunparsed = \"{}\"\nmidstream = \"{}\"\n",
            otherwise(self.unknown_device),
            otherwise(self.unparsed),
            otherwise(self.midstream),
        );
        text.push_str("\n[endpoints]\n");
        for endpoint in &self.endpoints {
            let addresses: Vec<String> = endpoint.addresses.iter().map(|net| format!("\"{net}\"")).collect();
            let _ = writeln!(text, "{} = [{}]", endpoint.name, addresses.join(", "));
        }
        for profile in &self.profiles {
            let _ = writeln!(text, "\n[profiles.{}]", profile.name);
            let _ = writeln!(text, "mode = \"{}\"", profile.mode.name());
            let _ = writeln!(text, "block_score = {}", profile.block_score);
            if let Some(geo) = &profile.geo {
                let key = if geo.allow { "allow" } else { "deny" };
                let list: Vec<String> =
                    geo.list.iter().map(|code| format!("\"{}\"", letters(*code))).collect();
                let unknown = if geo.unknown_allowed { "allow" } else { "deny" };
                let _ = writeln!(text, "geo = {{ {key} = [{}], unknown = \"{unknown}\" }}", list.join(", "));
            }
            text.push_str(&exceptions(profile));
            text.push_str("allow = [\n");
            for rule in &profile.rules {
                let _ = writeln!(text, "  {},", rule_toml(rule));
            }
            text.push_str("]\n");
        }
        if !self.protected.is_empty() {
            text.push_str("\n[protected]\npairs = [\n");
            for pair in &self.protected {
                let peer = pair.peer;
                let _ = writeln!(text, "  {{ device = \"{}\", peer = \"{peer}\" }},", pair.device);
            }
            text.push_str("]\n");
        }
        text
    }

    /// `devices.csv`.
    pub fn devices_csv(&self) -> String {
        let mut text = String::from("name,mac,ip,vlan,profile\n");
        for device in &self.devices {
            let mac = device.mac.map_or(String::new(), |mac| mac.map(|byte| format!("{byte:02x}")).join(":"));
            let fixed = device.addresses.iter().map(ToString::to_string);
            let addresses: Vec<String> = fixed.chain(device.by_dhcp.then(|| "dhcp".to_owned())).collect();
            let vlan = device.vlan.map_or(String::new(), |vlan| vlan.to_string());
            let addresses = addresses.join(" ");
            let _ = writeln!(text, "{},{mac},{addresses},{vlan},{}", device.name, device.profile);
        }
        text
    }

    /// `config.toml`, for files and state in `directory`.
    pub fn config_toml(&self, directory: &Path, device: &[&str], uplink: &[&str]) -> String {
        let at = directory.display();
        let segments: Vec<String> = self.segments.iter().map(ToString::to_string).collect();
        let mut text = format!(
            "[interfaces]\ndevice = {device:?}\nuplink = {uplink:?}\nmode = \"auto\"\nsegments = {segments:?}\n\n\
             [paths]\npolicy = \"{at}/policy.toml\"\ndevices = \"{at}/devices.csv\"\n\
             socket = \"{at}/control.sock\"\nstate = \"{at}/state\"\n\n"
        );
        if !self.management.is_empty() {
            text.push_str("[management]\nallow = [\n");
            for pair in &self.management {
                let ports: Vec<String> = pair.services.iter().map(|service| service.to_string()).collect();
                let _ = writeln!(text, "  {{ ip = \"{}\", ports = {ports:?} }},", pair.address);
            }
            text.push_str("]\n\n");
        }
        let _ = writeln!(text, "[geo]\ndatabase = \"{at}/country.mmdb\"\n");
        for feed in &self.feeds {
            let _ = writeln!(
                text,
                "[[feed]]\nname = \"{0}\"\npath = \"{at}/{0}.txt\"\nformat = \"plain\"\nscore = {1}\n",
                feed.name, feed.score
            );
        }
        text
    }

    /// The feed files by name: one entry a line.
    pub fn feed_files(&self) -> Vec<(String, String)> {
        let text = |feed: &super::Feed| feed.entries.iter().map(|net| format!("{net}\n")).collect::<String>();
        self.feeds.iter().map(|feed| (format!("{}.txt", feed.name), text(feed))).collect()
    }

    /// The country database as a MaxMind DB file.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn country_mmdb(&self) -> anyhow::Result<Vec<u8>> {
        let mut writer = Writer::new("Test-Country");
        let mut countries = self.countries.clone();
        // A later entry replaces an earlier one, and IPv4 is a part of IPv6 there.
        countries.sort_by_key(|(net, _)| (net.addr().is_ipv4(), net.prefix_len()));
        for (net, code) in countries {
            let country = Value::map([("iso_code", Value::from(letters(code)))]);
            writer.insert_value(net, Value::map([("country", country)]))?;
        }
        Ok(writer.to_bytes()?)
    }

    /// All of it for a person to read.
    pub fn describe(&self) -> String {
        let mut text = self.policy_toml() + "\n" + &self.devices_csv() + "\n";
        for pair in &self.management {
            let _ = writeln!(text, "management {} {:?}", pair.address, pair.services);
        }
        let _ = writeln!(text, "segments {:?}, own addresses {:?}", self.segments, self.own);
        for feed in &self.feeds {
            let _ = writeln!(text, "feed {} score {}: {:?}", feed.name, feed.score, feed.entries);
        }
        for grant in &self.grants {
            let rule = rule_toml(&grant.rule);
            let _ = writeln!(text, "grant {} {rule} until {}", grant.device, grant.expires);
        }
        for profile in self.profiles.iter().filter(|profile| profile.is_unset) {
            let _ = writeln!(text, "the tables hold nothing of {}", profile.name);
        }
        let _ = writeln!(
            text,
            "heartbeat at {}, lost after {} s",
            self.heartbeat.last, self.heartbeat.loss_after
        );
        for (device, exception) in &self.exceptions {
            let _ = writeln!(text, "by hand {device:?}: {exception:?}");
        }
        for (net, code) in &self.countries {
            let _ = writeln!(text, "country {net} {}", letters(*code));
        }
        text
    }

    /// Writes every file into `directory`, the configuration as `config.toml`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, directory: &Path, device: &[&str], uplink: &[&str]) -> anyhow::Result<()> {
        std::fs::write(directory.join("policy.toml"), self.policy_toml())?;
        std::fs::write(directory.join("devices.csv"), self.devices_csv())?;
        std::fs::write(directory.join("config.toml"), self.config_toml(directory, device, uplink))?;
        std::fs::write(directory.join("country.mmdb"), self.country_mmdb()?)?;
        for (name, text) in self.feed_files() {
            std::fs::write(directory.join(name), text)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Any => f.write_str("any"),
            Self::Protocol(1) => f.write_str("icmp"),
            Self::Protocol(58) => f.write_str("icmpv6"),
            Self::Protocol(number) => write!(f, "proto/{number}"),
            Self::Ports { protocol, first, last } => {
                let name = match protocol {
                    6 => "tcp",
                    17 => "udp",
                    _ => "sctp",
                };
                if first == last { write!(f, "{first}/{name}") } else { write!(f, "{first}-{last}/{name}") }
            }
        }
    }
}

fn rule_toml(rule: &Rule) -> String {
    let key = match rule.opens {
        Opens::Device => "to",
        Opens::Peer => "from",
    };
    let peer = match &rule.peer {
        Peer::Any => "any".to_owned(),
        Peer::Net(net) => net.to_string(),
        Peer::Endpoint(name) => name.clone(),
        Peer::Profile(name) => format!("profile:{name}"),
    };
    let services: Vec<String> = rule.services.iter().map(ToString::to_string).collect();
    format!("{{ {key} = \"{peer}\", service = {services:?} }}")
}

/// What a profile says besides, where it is not what holds anyway.
fn exceptions(profile: &Profile) -> String {
    let mut text = String::new();
    if profile.resets {
        text.push_str("on_block = \"reset\"\n");
    }
    if profile.fails_open {
        text.push_str("fail = \"open\"\n");
    }
    if profile.open_on_agent_loss {
        text.push_str("on_agent_loss = \"open\"\n");
    }
    let rates = |rates: Rates| {
        let words = [("packets", rates.packets), ("connections", rates.connections)];
        words
            .iter()
            .filter_map(|(word, rate)| Some(format!("{word} = {}", (*rate)?)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let Limits { from, to, flows } = profile.limits;
    let mut limits = Vec::new();
    for (word, rates) in [("from", rates(from)), ("to", rates(to))] {
        if !rates.is_empty() {
            limits.push(format!("{word} = {{ {rates} }}"));
        }
    }
    limits.extend(flows.map(|flows| format!("flows = {flows}")));
    if !limits.is_empty() {
        let _ = writeln!(text, "limits = {{ {} }}", limits.join(", "));
    }
    text
}

const fn otherwise(choice: Otherwise) -> &'static str {
    match choice {
        Otherwise::Drop => "drop",
        Otherwise::Monitor => "monitor",
        Otherwise::Pass => "pass",
    }
}

fn letters(code: CountryCode) -> String {
    code.iter().map(|byte| char::from(*byte)).collect()
}
