//! Numbers that look like chance and are always the same.

/// A number for a number, all different (the finaliser of SplitMix64).
pub(crate) const fn mix(number: u64) -> u64 {
    let a = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let b = (a ^ (a >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let c = (b ^ (b >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    c ^ (c >> 31)
}

/// The same with 32 bits: shifts and odd factors, each of which can be undone.
pub(crate) const fn mix_half(number: u32) -> u32 {
    let a = (number ^ (number >> 16)).wrapping_mul(0x9e37_79b1);
    let b = (a ^ (a >> 15)).wrapping_mul(0x85eb_ca77);
    b ^ (b >> 16)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_stay_different() {
        assert_eq!((0..100_000).map(mix_half).collect::<HashSet<_>>().len(), 100_000);
        assert_eq!((0..100_000).map(mix).collect::<HashSet<_>>().len(), 100_000);
    }
}
