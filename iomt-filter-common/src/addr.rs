//! Addresses as the kernel tables hold them: network byte order, one size for both families.

use core::cmp::Ordering;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 or IPv6 address: 16 bytes in network order, IPv4 as `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2).
///
/// A mapped address in an IPv6 header is refused while parsing, so the two families cannot be
/// confused here. Kept as words so that the kernel program moves four values instead of sixteen.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Address([u32; 4]);

/// As the numbers that they are.
impl Ord for Address {
    fn cmp(&self, other: &Self) -> Ordering {
        self.words().cmp(&other.words())
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Bits in front of an IPv4 address in its mapped form.
pub const IPV4_PREFIX_BITS: u8 = 96;

impl Address {
    /// `::`, which is also what an address that was never read holds.
    pub const UNSPECIFIED: Self = Self([0; 4]);
    const MAPPED: u32 = 0x0000_ffffu32.to_be();

    /// From the four bytes of an IPv4 header.
    #[inline(always)]
    pub const fn from_v4(bytes: [u8; 4]) -> Self {
        Self([0, 0, Self::MAPPED, u32::from_ne_bytes(bytes)])
    }

    /// From the sixteen bytes of an IPv6 header.
    #[inline(always)]
    pub const fn from_v6(b: [u8; 16]) -> Self {
        Self([
            u32::from_ne_bytes([b[0], b[1], b[2], b[3]]),
            u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
            u32::from_ne_bytes([b[8], b[9], b[10], b[11]]),
            u32::from_ne_bytes([b[12], b[13], b[14], b[15]]),
        ])
    }

    /// From two words, the upper one first, as [`words`](Self::words) gives them.
    #[inline(always)]
    pub const fn from_words([high, low]: [u64; 2]) -> Self {
        let (a, b) = ((high >> 32) as u32, high as u32);
        let (c, d) = ((low >> 32) as u32, low as u32);
        Self([a.to_be(), b.to_be(), c.to_be(), d.to_be()])
    }

    /// The sixteen bytes in network order.
    pub const fn octets(self) -> [u8; 16] {
        let (a, b, c, d) = (
            self.0[0].to_ne_bytes(),
            self.0[1].to_ne_bytes(),
            self.0[2].to_ne_bytes(),
            self.0[3].to_ne_bytes(),
        );
        [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2], d[3]]
    }

    /// The last 32 bits, which are all of an IPv4 address.
    #[inline(always)]
    pub const fn low(self) -> u32 {
        self.word(3)
    }

    /// The address as two words, the upper one first.
    #[inline(always)]
    pub const fn words(self) -> [u64; 2] {
        let [a, b, c, d] =
            [self.word(0) as u64, self.word(1) as u64, self.word(2) as u64, self.word(3) as u64];
        [a << 32 | b, c << 32 | d]
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    pub const fn is_v4(self) -> bool {
        self.0[0] == 0 && self.0[1] == 0 && self.0[2] == Self::MAPPED
    }

    /// `0.0.0.0` or `::`: a host that has no address yet.
    #[inline(always)]
    pub const fn is_unspecified(self) -> bool {
        self.0[0] == 0 && self.0[1] == 0 && self.0[3] == 0 && (self.0[2] == 0 || self.0[2] == Self::MAPPED)
    }

    /// `fe80::/10` (RFC 4291 §2.5.6) or `169.254.0.0/16` (RFC 3927).
    #[inline(always)]
    pub const fn is_link_local(self) -> bool {
        if self.is_v4() { self.word(3) >> 16 == 0xa9fe } else { self.word(0) >> 22 == 0xfe80 >> 6 }
    }

    /// `ff00::/8`, `224.0.0.0/4`, and the limited broadcast address, which is to all as well.
    #[inline(always)]
    pub const fn is_multicast(self) -> bool {
        if self.is_v4() {
            self.word(3) >> 28 == 0xe || self.word(3) == 0xffff_ffff
        } else {
            self.word(0) >> 24 == 0xff
        }
    }

    /// Whether the last 16 bits are ones.
    #[inline(always)]
    pub const fn ends_in_ones(self) -> bool {
        self.word(3) as u16 == u16::MAX
    }

    /// Whether two IPv6 addresses have their first 64 bits in common.
    #[inline(always)]
    pub const fn shares_network(self, other: Self) -> bool {
        self.0[0] == other.0[0] && self.0[1] == other.0[1]
    }

    /// `127.0.0.0/8` (RFC 1122 §3.2.1.3) or `::1`.
    #[inline(always)]
    pub const fn is_loopback(self) -> bool {
        if self.is_v4() {
            self.word(3) >> 24 == 127
        } else {
            self.0[0] == 0 && self.0[1] == 0 && self.0[2] == 0 && self.word(3) == 1
        }
    }

    /// Whether a country database can say anything of this address: not private (RFC 1918, RFC 4193),
    /// loopback, link-local, multicast, or `0.0.0.0/8`.
    #[inline(always)]
    pub const fn has_country(self) -> bool {
        if self.is_v4() {
            let a = self.word(3);
            !(a >> 24 == 10
                || a >> 20 == 0xac1
                || a >> 16 == 0xc0a8
                || a >> 24 == 127
                || a >> 16 == 0xa9fe
                || a >> 28 == 0xe
                || a >> 24 == 0
                || a == 0xffff_ffff)
        } else {
            let a = self.word(0);
            let low = self.0[0] == 0 && self.0[1] == 0 && self.0[2] == 0;
            !(a >> 25 == 0xfc >> 1
                || a >> 22 == 0xfe80 >> 6
                || a >> 24 == 0xff
                || (low && (self.word(3) == 0 || self.word(3) == 1)))
        }
    }

    #[inline(always)]
    const fn word(self, index: usize) -> u32 {
        u32::from_be(self.0[index])
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::from_v4(v4.octets()),
            IpAddr::V6(v6) => Self::from_v6(v6.octets()),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        let o = address.octets();
        if address.is_v4() {
            IpAddr::V4(Ipv4Addr::new(o[12], o[13], o[14], o[15]))
        } else {
            IpAddr::V6(Ipv6Addr::from(o))
        }
    }
}

/// An IEEE 802 address, as it stands in the frame.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// No address: a device that is known by its IP address alone (behind a router).
    pub const UNSET: Self = Self([0; 6]);

    /// As a number of 48 bits.
    #[inline(always)]
    pub const fn number(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// Whether it is the address of a group, all of a network included (IEEE 802 §8.2).
    #[inline(always)]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }
}
