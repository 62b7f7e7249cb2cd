//! The roles of interfaces, and of VLANs on them: what the program believes of whoever sends there.

use std::collections::BTreeMap;
use std::fmt;

use aya::maps::MapError;
use iomt_filter_common::abi::map;
use iomt_filter_common::device::Port;
use iomt_filter_common::ports::{self, Entry};
use thiserror::Error;

use super::load::Datapath;
use super::lock::WriterToken;

/// What an interface faces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Its role, for frames without a tag and for VLANs that have none of their own.
    pub port: Port,
    /// VLAN identifiers, by the outermost tag, and their roles.
    pub vlans: BTreeMap<u16, Port>,
}

impl From<Port> for Roles {
    fn from(port: Port) -> Self {
        Self { port, vlans: BTreeMap::new() }
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.port.name())?;
        self.vlans.iter().try_for_each(|(vlan, port)| write!(f, ", VLAN {vlan} {}", port.name()))
    }
}

/// Why the program cannot be told a role.
#[derive(Debug, Error)]
pub enum RolesError {
    /// Too many share a line.
    #[error(
        "there is no room for the role of VLAN {vlan} of interface {interface}: eight others are in its place; give the interface that role, and fewer VLANs one of their own"
    )]
    Full {
        /// Index of the interface.
        interface: u32,
        /// The VLAN.
        vlan: u16,
    },
    /// The kernel refused.
    #[error("failed to use the table `{}`", map::PORTS)]
    Table(#[from] MapError),
}

impl Datapath {
    /// Tells the program the roles of an interface by its index. Test runs come in on index 1, that of `lo`,
    /// where nothing else is said.
    ///
    /// # Errors
    /// When there is no room, or the kernel refuses.
    pub fn set_roles(
        &mut self,
        interface: u32,
        roles: &Roles,
        _token: &WriterToken,
    ) -> Result<(), RolesError> {
        let all = || roles.vlans.iter().chain([(&0, &roles.port)]);
        for (&vlan, &port) in all() {
            self.set_role(interface, vlan, port)?;
        }
        // What is configured no more counts as the rest of its interface again.
        let is_old =
            |entry: Entry| entry.interface() == interface && all().all(|(&vlan, _)| vlan != entry.vlan());
        self.forget_roles(is_old)
    }

    fn set_role(&mut self, interface: u32, vlan: u16, port: Port) -> Result<(), RolesError> {
        let number = ports::line_of(interface, vlan);
        let mut line = self.maps.ports.get(&number, 0)?;
        let is_its = |word: &u64| Entry(*word).is_of(interface, vlan);
        let place = line.iter().position(is_its).or_else(|| line.iter().position(|word| *word == 0));
        let word = place.and_then(|place| line.get_mut(place));
        *word.ok_or(RolesError::Full { interface, vlan })? = Entry::new(interface, vlan, port).0;
        Ok(self.maps.ports.set(number, line, 0)?)
    }

    /// Removes the entries that `is_old` names.
    fn forget_roles(&mut self, is_old: impl Fn(Entry) -> bool) -> Result<(), RolesError> {
        for number in 0..ports::LINES {
            let before = self.maps.ports.get(&number, 0)?;
            let line = before.map(|word| if Entry(word).is_some() && is_old(Entry(word)) { 0 } else { word });
            if line != before {
                self.maps.ports.set(number, line, 0)?;
            }
        }
        Ok(())
    }

    /// The roles that an interface has.
    #[must_use]
    pub fn roles(&self, interface: u32) -> Roles {
        let lines = self.maps.ports.iter().filter_map(Result::ok);
        let entries =
            lines.flatten().map(Entry).filter(|entry| entry.is_some() && entry.interface() == interface);
        let mut roles = Roles::default();
        for entry in entries {
            match entry.vlan() {
                0 => roles.port = entry.port(),
                vlan => drop(roles.vlans.insert(vlan, entry.port())),
            }
        }
        roles
    }

    /// Forgets the roles of interfaces that are not among `indexes`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn keep_roles(&mut self, indexes: &[u32], _token: &WriterToken) -> Result<(), RolesError> {
        self.forget_roles(|entry| !indexes.contains(&entry.interface()))
    }
}
