//! The roles of interfaces, and of VLANs on them: what the program believes of whoever sends there.

use std::collections::BTreeMap;
use std::fmt;

use aya::maps::MapError;
use iomt_filter_common::abi::PortKey;
use iomt_filter_common::device::Port;

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

impl Datapath {
    /// Tells the program the roles of an interface by its index. Test runs come in on index 1, that of `lo`,
    /// where nothing else is said.
    ///
    /// # Errors
    /// When the kernel refuses a row.
    pub fn set_roles(&mut self, interface: u32, roles: &Roles, _token: &WriterToken) -> Result<(), MapError> {
        let ports = &mut self.maps.ports;
        for (&vlan, &port) in roles.vlans.iter().chain([(&0, &roles.port)]) {
            ports.insert(PortKey { interface, vlan: u32::from(vlan) }, port as u32, 0)?;
        }
        // What is configured no more counts as the rest of its interface again.
        let known: Vec<PortKey> = ports.keys().collect::<Result<_, _>>()?;
        let is_old = |key: &&PortKey| {
            let vlan = u16::try_from(key.vlan).unwrap_or_default();
            key.interface == interface && vlan != 0 && !roles.vlans.contains_key(&vlan)
        };
        known.iter().filter(is_old).try_for_each(|key| ports.remove(key))
    }

    /// The roles that an interface has.
    #[must_use]
    pub fn roles(&self, interface: u32) -> Roles {
        let rows =
            self.maps.ports.iter().filter_map(Result::ok).filter(|(key, _)| key.interface == interface);
        let mut roles = Roles::default();
        for (key, port) in rows {
            let port = Port::from_number(port);
            match u16::try_from(key.vlan) {
                Ok(0) | Err(_) => roles.port = port,
                Ok(vlan) => drop(roles.vlans.insert(vlan, port)),
            }
        }
        roles
    }

    /// Forgets the roles of interfaces that are not among `indexes`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn keep_roles(&mut self, indexes: &[u32], _token: &WriterToken) -> Result<(), MapError> {
        let known: Vec<PortKey> = self.maps.ports.keys().collect::<Result<_, _>>()?;
        known
            .iter()
            .filter(|key| !indexes.contains(&key.interface))
            .try_for_each(|key| self.maps.ports.remove(key))
    }
}
