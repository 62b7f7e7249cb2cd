//! Link types by number (the LINKTYPE registry of the pcap format).

use std::fmt;

/// What the frames of a capture begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkType(pub u32);

impl LinkType {
    /// IEEE 802.3.
    pub const ETHERNET: Self = Self(1);

    /// What people call it; empty for those that hardly anyone meets.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "BSD loopback",
            1 => "Ethernet",
            6 => "token ring",
            9 => "PPP",
            12 | 14 | 101 => "raw IP",
            104 => "Cisco HDLC",
            105 => "802.11",
            107 => "frame relay",
            108 => "OpenBSD loopback",
            113 => "Linux cooked v1",
            127 => "802.11 with radiotap",
            187 | 201 => "Bluetooth HCI",
            189 | 220 => "USB",
            192 => "PPI",
            195 | 215 | 230 => "802.15.4",
            227 => "CAN",
            228 => "raw IPv4",
            229 => "raw IPv6",
            239 => "netfilter log",
            253 => "netlink",
            276 => "Linux cooked v2",
            _ => "",
        }
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "" => write!(f, "{}", self.0),
            name => write!(f, "{} ({name})", self.0),
        }
    }
}
