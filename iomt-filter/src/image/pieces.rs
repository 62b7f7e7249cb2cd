//! Prefixes that lie in each other, cut into pieces that do not: each has the value of the longest prefix.

use crate::rows::Prefix;
use iomt_filter_common::addr::IPV4_PREFIX_BITS;

/// The addresses of a prefix, as numbers of its family, with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Valued {
    pub(super) first: u128,
    pub(super) last: u128,
    pub(super) value: u16,
}

/// A piece begins here and has this value; it ends where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) first: u128,
    pub(super) value: u16,
}

/// Which numbers the addresses of a family are.
pub(super) struct Family;

impl Family {
    /// Adds a prefix to those of its families, IPv4 first. A prefix of IPv6 that holds the mapped addresses
    /// does not hold those of IPv4: the two are different networks.
    pub(super) fn sort(prefix: &Prefix, value: u16, families: &mut [Vec<Valued>; 2]) {
        let address = u128::from_be_bytes(prefix.address.octets());
        let is_v4 = prefix.address.is_v4() && prefix.bits >= IPV4_PREFIX_BITS;
        let mask = if is_v4 { u128::from(u32::MAX) } else { u128::MAX };
        let first = address & mask;
        let hosts = u128::MAX.checked_shr(u32::from(prefix.bits)).unwrap_or(0);
        families[usize::from(!is_v4)].push(Valued { first, last: first | hosts, value });
    }
}

/// The pieces of prefixes that are sorted by address, the shorter before the longer. The first piece begins
/// at 0, and no two neighbours have the same value.
pub(super) fn cut(prefixes: &[Valued], highest: u128) -> Vec<Piece> {
    let mut pieces = vec![Piece { first: 0, value: 0 }];
    let mut open: Vec<&Valued> = Vec::new();
    for prefix in prefixes {
        close(&mut pieces, &mut open, |outer| outer.last < prefix.first);
        push(&mut pieces, Piece { first: prefix.first, value: prefix.value });
        open.push(prefix);
    }
    close(&mut pieces, &mut open, |outer| outer.last < highest);
    pieces
}

/// Ends the innermost prefixes as long as they have ended: what they lie in goes on.
fn close(pieces: &mut Vec<Piece>, open: &mut Vec<&Valued>, has_ended: impl Fn(&Valued) -> bool) {
    while let Some(inner) = open.pop_if(|inner| has_ended(inner)) {
        let value = open.last().map_or(0, |outer| outer.value);
        push(pieces, Piece { first: inner.last + 1, value });
    }
}

/// Adds a piece behind the others, or in the place of one that begins with it.
pub(super) fn push(pieces: &mut Vec<Piece>, piece: Piece) {
    pieces.pop_if(|last| last.first == piece.first);
    if pieces.last().is_none_or(|last| last.value != piece.value) {
        pieces.push(piece);
    }
}
