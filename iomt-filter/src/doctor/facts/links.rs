//! The interfaces of this network namespace, as `ip link` shows them: who is above whom, and which XDP programs run.

use std::io;

use nix::sys::socket::SockProtocol;

use super::netlink::{self, Netlink};

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The most that a packet on it may have, in bytes without the Ethernet header.
    pub mtu: u32,
    /// Whether somebody has set it up.
    pub is_up: bool,
    /// Whether there is a carrier.
    pub has_carrier: bool,
    /// Whether it takes frames for everybody.
    pub is_promiscuous: bool,
    /// Index of the bridge, bond or the like that it belongs to.
    pub master: Option<u32>,
    /// Index of the interface that it stands on, in this namespace: that of a VLAN, the other end of a veth pair.
    pub stands_on: Option<u32>,
    /// What it is, where it is no hardware: `bridge`, `bond`, `vlan`, `veth` …
    pub kind: Option<String>,
    /// The VLAN, of a `vlan`.
    pub vlan: Option<u16>,
    /// The switch that it is a port of, where hardware forwards between its ports.
    pub switch: Option<Vec<u8>>,
    /// XDP programs on it.
    pub programs: Vec<Program>,
}

/// An XDP program on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its number.
    pub id: u32,
    /// How it runs.
    pub mode: Mode,
}

/// How the kernel runs an XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
    /// On the card.
    Offloaded,
}

impl Mode {
    /// As users know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Offloaded => "offloaded",
        }
    }
}

/// Attributes that stand within others (`include/uapi/linux/if_link.h`).
mod inner {
    pub(super) const KIND: u16 = 1; // IFLA_INFO_KIND
    pub(super) const DATA: u16 = 2; // IFLA_INFO_DATA
    pub(super) const VLAN: u16 = 1; // IFLA_VLAN_ID
    pub(super) const ATTACHED: u16 = 2; // IFLA_XDP_ATTACHED
    pub(super) const PROGRAM: u16 = 4; // IFLA_XDP_PROG_ID
    pub(super) const NATIVE: u16 = 5; // IFLA_XDP_DRV_PROG_ID
    pub(super) const GENERIC: u16 = 6; // IFLA_XDP_SKB_PROG_ID
    pub(super) const OFFLOADED: u16 = 7; // IFLA_XDP_HW_PROG_ID
}

/// All of them.
pub(super) fn read() -> io::Result<Vec<Link>> {
    // `struct ifinfomsg`, all zero: every interface.
    let answers = Netlink::open(SockProtocol::NetlinkRoute)?.all(libc::RTM_GETLINK, &[0; 16])?;
    Ok(answers.iter().filter_map(|answer| understand(answer)).collect())
}

/// Reads `struct ifinfomsg` and the attributes behind it.
fn understand(answer: &[u8]) -> Option<Link> {
    let index = netlink::number(answer.get(4..8)?)? as u32;
    let flags = netlink::number(answer.get(8..12)?)? as libc::c_int;
    let attributes = answer.get(16..)?;
    let get = |kind| netlink::find(attributes, kind);
    let index_in = |kind| get(kind).and_then(netlink::number).map(|index| index as u32);
    let info = get(libc::IFLA_LINKINFO).unwrap_or_default();
    let kind = netlink::find(info, inner::KIND).map(netlink::text);
    let data = netlink::find(info, inner::DATA).filter(|_| kind.as_deref() == Some("vlan"));
    let vlan = data.and_then(|data| netlink::find(data, inner::VLAN)).and_then(netlink::number);
    // An index in another namespace is nobody's here.
    let is_elsewhere = get(libc::IFLA_LINK_NETNSID).is_some();
    Some(Link {
        index,
        name: netlink::text(get(libc::IFLA_IFNAME)?),
        mtu: index_in(libc::IFLA_MTU).unwrap_or(0),
        is_up: flags & libc::IFF_UP != 0,
        has_carrier: flags & libc::IFF_LOWER_UP != 0,
        is_promiscuous: index_in(libc::IFLA_PROMISCUITY).is_some_and(|users| users > 0),
        master: index_in(libc::IFLA_MASTER).filter(|master| *master != 0),
        stands_on: index_in(libc::IFLA_LINK).filter(|below| !is_elsewhere && ![0, index].contains(below)),
        kind,
        vlan: vlan.map(|vlan| vlan as u16),
        switch: get(libc::IFLA_PHYS_SWITCH_ID).map(<[u8]>::to_vec),
        programs: get(libc::IFLA_XDP).map(programs).unwrap_or_default(),
    })
}

fn programs(xdp: &[u8]) -> Vec<Program> {
    let id = |kind| netlink::find(xdp, kind).and_then(netlink::number).map(|id| id as u32);
    let modes =
        [(inner::NATIVE, Mode::Native), (inner::GENERIC, Mode::Generic), (inner::OFFLOADED, Mode::Offloaded)];
    let found: Vec<_> =
        modes.iter().filter_map(|(kind, mode)| Some(Program { id: id(*kind)?, mode: *mode })).collect();
    // Kernels before 4.18 give one number alone.
    let single = || {
        let mode = match netlink::find(xdp, inner::ATTACHED)?.first()? {
            1 => Mode::Native,
            2 => Mode::Generic,
            3 => Mode::Offloaded,
            _ => return None,
        };
        Some(Program { id: id(inner::PROGRAM)?, mode })
    };
    if found.is_empty() { single().into_iter().collect() } else { found }
}

#[cfg(test)]
mod tests {
    use super::netlink::attribute;
    use super::*;

    #[test]
    fn the_loopback_interface_is_there_and_runs_nothing() {
        let links = read().unwrap();
        let loopback = links.iter().find(|link| link.name == "lo").unwrap();
        assert_eq!((loopback.index, &loopback.programs, &loopback.master), (1, &vec![], &None));
        assert_eq!(loopback.stands_on, None);
    }

    #[test]
    fn an_answer_is_read_to_its_last_nest() {
        let mut answer = vec![0; 16];
        answer[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        answer[8..12].copy_from_slice(&(libc::IFF_UP | libc::IFF_LOWER_UP).to_ne_bytes());
        let vlan = attribute(inner::DATA, &attribute(inner::VLAN, &110_u16.to_ne_bytes()));
        let info = [attribute(inner::KIND, b"vlan\0"), vlan].concat();
        let xdp = [
            attribute(inner::ATTACHED, &[4]),
            attribute(inner::NATIVE, &12_u32.to_ne_bytes()),
            attribute(inner::OFFLOADED, &13_u32.to_ne_bytes()),
        ];
        for (kind, value) in [
            (libc::IFLA_IFNAME, &b"eth1.110\0"[..]),
            (libc::IFLA_MTU, &1_500_u32.to_ne_bytes()),
            (libc::IFLA_LINK, &2_u32.to_ne_bytes()),
            (libc::IFLA_MASTER, &9_u32.to_ne_bytes()),
            (libc::IFLA_PHYS_SWITCH_ID, &[1, 2]),
            (libc::IFLA_LINKINFO, &info),
            (libc::IFLA_XDP, &xdp.concat()),
        ] {
            answer.extend(attribute(kind, value));
        }
        let expected = Link {
            index: 7,
            name: "eth1.110".to_owned(),
            mtu: 1_500,
            is_up: true,
            has_carrier: true,
            is_promiscuous: false,
            master: Some(9),
            stands_on: Some(2),
            kind: Some("vlan".to_owned()),
            vlan: Some(110),
            switch: Some(vec![1, 2]),
            programs: vec![Program { id: 12, mode: Mode::Native }, Program { id: 13, mode: Mode::Offloaded }],
        };
        assert_eq!(understand(&answer), Some(expected.clone()));
        answer.extend(attribute(libc::IFLA_LINK_NETNSID, &0_u32.to_ne_bytes()));
        assert_eq!(understand(&answer), Some(Link { stands_on: None, ..expected }));
        assert_eq!(understand(&answer[..20]), None);
    }
}
