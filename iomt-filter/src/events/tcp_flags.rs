//! The TCP flags as letters, from the lowest bit (RFC 9293 section 3.1).

const LETTERS: &str = "FSRPAUEC";

/// The letters of the flags that are set.
pub(crate) fn letters(bits: u8) -> String {
    LETTERS.chars().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, letter)| letter).collect()
}

/// The flags of letters, in any order and case; nothing where one is none.
pub(crate) fn bits(letters: &str) -> Option<u8> {
    let bit = |letter: char| LETTERS.find(letter.to_ascii_uppercase()).map(|bit| 1 << bit);
    letters.chars().try_fold(0, |bits, letter| Some(bits | bit(letter)?))
}
