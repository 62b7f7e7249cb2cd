//! Exact keys of 128 bits with a number of 32 bits each: addresses and hardware addresses of devices, cells of the
//! rule matrix. Mostly one line is read, whether the key is there or not.

use super::Lines;

/// Keys in a line: two words each, then their kind above their number.
pub const KEYS: usize = 2;
/// Words of a key in its line.
pub const KEY_WORDS: usize = 3;
/// The word of a line that is not zero where keys of the line lie in lines behind it.
pub const MARK: usize = 6;
/// Lines that a key may lie in: its own, and those behind it.
pub const SPILL: u32 = 8;

/// What a key is. Keys of different kinds are never the same.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An address of a device; the number is the device's.
    Address = 1,
    /// A hardware address in a VLAN; the number is the device's.
    Hardware = 2,
    /// A cell of the rule matrix; the number is the rule's.
    Rule = 3,
    /// A profile and a direction; the number says which sorts of cells there are, see [`Cells`].
    Cells = 4,
}

/// Which sorts of cells a profile has in a direction: a sum of these.
#[derive(Clone, Copy, Debug)]
pub struct Cells;

impl Cells {
    /// Of peers by their class.
    pub const OF_CLASSES: u32 = 1;
    /// Of any peer.
    pub const OF_ANY: u32 = 2;
    /// Of the devices of a profile.
    pub const OF_PROFILES: u32 = 4;
    /// Of a class of services.
    pub const OF_SERVICES: u32 = 8;
    /// Of any service.
    pub const OF_ANY_SERVICE: u32 = 16;
}

/// A table of keys: 8 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Its first line; 0 for an empty table.
    pub first: u32,
    /// Lines that keys have for their own; those that they may lie in besides stand behind them.
    pub lines: u32,
}

impl Known {
    /// The number of a key, 0 for none.
    #[inline(always)]
    pub fn find<L: Lines>(&self, lines: &L, kind: u32, key: [u64; 2]) -> u32 {
        if self.first == 0 {
            return 0;
        }
        let own = self.first + line_of(kind, key, self.lines);
        let mut behind = 0;
        while behind < SPILL {
            let Some(line) = lines.line(own + behind) else { return 0 };
            if is_in(line[0], line[1], line[2], kind, key) {
                return line[2] as u32;
            }
            if is_in(line[3], line[4], line[5], kind, key) {
                return line[5] as u32;
            }
            if line[MARK] == 0 {
                return 0;
            }
            behind += 1;
        }
        0
    }
}

#[inline(always)]
const fn is_in(high: u64, low: u64, number: u64, kind: u32, key: [u64; 2]) -> bool {
    (high ^ key[0]) | (low ^ key[1]) | (number >> 32 ^ kind as u64) == 0
}

/// The line of a key, of so many. Inventory and policy are nobody's to choose who would want keys to share one.
#[inline(always)]
pub const fn line_of(kind: u32, [high, low]: [u64; 2], lines: u32) -> u32 {
    let value = (high ^ kind as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 32 ^ low).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let value = value ^ value >> 32;
    (((value & 0xffff_ffff) * lines as u64) >> 32) as u32
}
