//! The filter's files, and variations of them in which all packets that are sent have the same answer.

use std::fmt::Write as _;

/// The policy.
pub const POLICY: &str = include_str!("files/policy.toml");
/// The inventory.
pub const DEVICES: &str = include_str!("files/devices.toml");
/// The threat list.
pub const THREATS: &str = include_str!("files/threats.txt");

/// Files of which everything is new, and that say the same of every packet that is sent.
#[derive(Clone, Debug)]
pub struct Files {
    /// policy.toml.
    pub policy: String,
    /// devices.toml.
    pub devices: String,
    /// threats.txt.
    pub threats: String,
}

impl Files {
    /// The variation with a number: rules, profiles and devices have other places and other neighbours, and lists
    /// other entries.
    #[must_use]
    pub fn variation(number: u32) -> Self {
        let is = |bit: u32| number & (1 << bit) != 0;
        let mut policy = POLICY.to_owned();
        if is(0) {
            // Every rule behind it has another number.
            let first =
                "allow = [\n  { to = [\"198.51.100.0/24\", \"2001:db8:aa::/64\"], service = \"https\" },";
            policy = policy.replace("allow = [", first);
        }
        if is(1) {
            policy = policy.replace("geo = { deny = [\"KP\"] }", "geo = { deny = [\"KP\", \"IR\"] }");
        }
        if is(2) {
            let others = "[\"10.70.0.10\", \"10.70.0.11\", \"10.70.1.0/24\", \"2001:db8:70::10\", ";
            policy = policy.replace("[\"10.70.0.10\", ", others);
        }
        let mut devices = if is(3) { reversed(DEVICES) } else { DEVICES.to_owned() };
        if is(4) {
            policy += &format!(
                "\n[profiles.monitor-{number}]\nmode = \"monitor\"\nallow = [{{ to = \"any\", service = \"any\" }}]\n"
            );
            for device in 0..number % 7 {
                let _ = write!(
                    devices,
                    "\n[[device]]\nname = \"other-{device}\"\nmac = \"00:1b:21:61:00:{device:02x}\"\n\
                     ip = \"10.60.0.{}\"\nprofile = \"monitor-{number}\"\n",
                    100 + device
                );
            }
        }
        if is(5) {
            policy += "\n[protected]\npairs = [{ device = \"ct-1\", peer = \"203.0.113.77\" }]\n";
        }
        let mut threats = THREATS.to_owned();
        if is(6) {
            let _ = writeln!(
                threats,
                "203.0.113.{}\n2001:db8:c2::{:x}",
                100 + number % 100,
                0x100 + number % 100
            );
        }
        Self { policy, devices, threats }
    }

    /// The same without what the operator needs.
    #[must_use]
    pub fn without_operator(mut self) -> Self {
        self.policy = without(&self.policy, "the operator");
        self
    }
}

/// A policy without the rules of which the line says this.
#[must_use]
pub fn without(policy: &str, said: &str) -> String {
    policy.lines().filter(|line| !line.contains(said)).flat_map(|line| [line, "\n"]).collect()
}

/// The devices of an inventory the other way round.
fn reversed(devices: &str) -> String {
    const DEVICE: &str = "[[device]]";
    let mut all: Vec<_> = devices.split(DEVICE).skip(1).map(str::trim).collect();
    all.reverse();
    all.iter().map(|device| format!("{DEVICE}\n{device}\n\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variations_differ_and_the_operator_can_be_left_out() {
        let texts = [0, 1, 2, 4, 8, 16 + 3, 32, 64].map(|number| {
            let files = Files::variation(number);
            assert!(files.policy.contains("5005/udp"));
            assert!(!files.clone().without_operator().policy.contains("5005/udp"));
            files.policy + &files.devices + &files.threats
        });
        let distinct: std::collections::BTreeSet<_> = texts.iter().collect();
        assert_eq!(distinct.len(), texts.len());
    }
}
