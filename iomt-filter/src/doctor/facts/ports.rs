//! The interfaces that are to be judged, and those around them.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use super::abilities::{Abilities, Drivers};
use super::features::{Cards, Features};
use super::links::{self, Link};
use super::pins::Pins;
use super::raw;
use crate::agent::interfaces::named;
use crate::config::{AttachMode, Config};
use crate::datapath::{Roles, attach};

/// An interface that is to be judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// Its name, as configured.
    pub name: String,
    /// What it faces.
    pub roles: Roles,
    /// The interface; nothing where there is none of that name.
    pub link: Option<Link>,
    /// Its driver; nothing where it has none.
    pub driver: Option<String>,
    /// What its card does to frames; nothing where that is not known.
    pub features: Option<Features>,
    /// What its driver can do with programs; nothing where that is not known.
    pub abilities: Option<Abilities>,
    /// The filter's program on it.
    pub ours: Option<u32>,
    /// A program that somebody else has put into the filter's link on it.
    pub stranger: Option<u32>,
}

/// The interfaces of this host, as the filter sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// Those that are to be judged.
    pub ports: Vec<Port>,
    /// All that there are.
    pub links: Vec<Link>,
    /// How programs are to run.
    pub wanted: AttachMode,
    /// Whether a device of the inventory is told by its VLAN.
    pub have_vlans: bool,
    /// Whether it can be told which programs are the filter's.
    pub knows_ours: bool,
    /// Names of programs that are not the filter's, by their numbers.
    pub names: BTreeMap<u32, String>,
    /// Whether this host forwards packets of IPv4 and of IPv6; nothing where that is not known.
    pub forwards: [Option<bool>; 2],
    /// The configuration, as users know it.
    pub config: String,
}

impl Ports {
    /// Asks the kernel, in the network namespace of the caller.
    pub(in crate::doctor) fn read(config: &Config, pins: &Pins, have_vlans: bool) -> io::Result<Self> {
        let links = links::read()?;
        let (cards, drivers) = (Cards::open()?, Drivers::open()?);
        let port = |(name, roles): (String, Roles)| {
            let link = links.iter().find(|link| link.name == name).cloned();
            let index = link.as_ref().map(|link| link.index);
            let linked = index.and_then(|index| pins.on(index));
            let program = |is_ours| linked.filter(|linked| linked.1 == is_ours).map(|linked| linked.0);
            Port {
                driver: raw::driver(&name).ok(),
                features: index.and_then(|index| cards.features(index)),
                abilities: index.and_then(|index| drivers.abilities(index)),
                ours: program(true),
                stranger: program(false),
                name,
                roles,
                link,
            }
        };
        let ports: Vec<_> = named(config).into_iter().map(port).collect();
        let forwards = ["ipv4/ip_forward", "ipv6/conf/all/forwarding"].map(|name| {
            let text = fs::read_to_string(format!("/proc/sys/net/{name}")).ok()?;
            Some(text.trim() != "0")
        });
        let mut found = Self {
            ports,
            links,
            wanted: config.interfaces.mode,
            have_vlans,
            knows_ours: pins.programs.is_ok(),
            names: BTreeMap::new(),
            forwards,
            config: config.paths.config.display().to_string(),
        };
        // To look at every program of the host takes a right that the filter does not need.
        if found.links.iter().flat_map(|link| &link.programs).next().is_some() {
            found.names = attach::names();
        }
        Ok(found)
    }

    /// The interface with this index.
    #[must_use]
    pub fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// Whether an interface is to be judged.
    #[must_use]
    pub fn is_named(&self, link: &Link) -> bool {
        self.ports.iter().any(|port| port.name == link.name)
    }

    /// What belongs to a bridge, a bond or the like.
    pub fn members(&self, master: u32) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(move |link| link.master == Some(master))
    }
}
