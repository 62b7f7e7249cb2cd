//! The roles of interfaces, and of VLANs on them: what the program believes of whoever sends there.
//!
//! A table of [`LINES`] lines of [`PLACES`] words; each word is an interface, a VLAN and a role, and is replaced as
//! one. Which line an interface and a VLAN are in follows from both, so that a packet reads one line, or two where it
//! has a tag and its VLAN no role of its own.

use crate::device::Port;

/// Lines of the table: a power of two.
pub const LINES: u32 = 1 << LINE_BITS;
/// Roles in a line.
pub const PLACES: usize = 8;

const LINE_BITS: u32 = 12;

const ROLE_BITS: u32 = 2;
const VLAN_BITS: u32 = 12;

/// A role: the interface above the VLAN above the role. 0 is none.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry(pub u64);

impl Entry {
    /// `vlan` is the outermost VLAN of a frame; 0 for frames without a tag and for VLANs that have no role of
    /// their own.
    #[inline(always)]
    pub const fn new(interface: u32, vlan: u16, port: Port) -> Self {
        Self(key(interface, vlan) << ROLE_BITS | port as u64)
    }

    /// Whether there is one.
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }

    /// Index of the interface.
    pub const fn interface(self) -> u32 {
        (self.0 >> (ROLE_BITS + VLAN_BITS)) as u32
    }

    /// The VLAN.
    pub const fn vlan(self) -> u16 {
        (self.0 >> ROLE_BITS) as u16 & ((1 << VLAN_BITS) - 1)
    }

    /// The role.
    pub const fn port(self) -> Port {
        Port::from_number((self.0 & ((1 << ROLE_BITS) - 1)) as u32)
    }

    /// Whether this is the role of that VLAN.
    pub const fn is_of(self, interface: u32, vlan: u16) -> bool {
        self.0 >> ROLE_BITS == key(interface, vlan) && self.is_some()
    }
}

#[inline(always)]
const fn key(interface: u32, vlan: u16) -> u64 {
    (interface as u64) << VLAN_BITS | vlan as u64
}

/// The line that a VLAN of an interface is in.
#[inline(always)]
pub const fn line_of(interface: u32, vlan: u16) -> u32 {
    let mixed = key(interface, vlan).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - LINE_BITS)) as u32
}

/// The role of a VLAN of an interface, in its line, of which `word` reads a word; as a number, 0 for none.
#[inline(always)]
pub fn role_in(word: impl Fn(usize) -> u64, interface: u32, vlan: u16) -> u32 {
    let wanted = key(interface, vlan);
    let mut place = 0;
    while place < PLACES {
        let entry = word(place);
        if entry >> ROLE_BITS == wanted {
            return (entry & ((1 << ROLE_BITS) - 1)) as u32;
        }
        place += 1;
    }
    0
}
