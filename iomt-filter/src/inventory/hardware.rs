//! Hardware addresses in the notations that switches, Windows and Unix write.

use iomt_filter_common::Mac;
use thiserror::Error;

/// Why a hardware address cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MacError {
    /// Not twelve hexadecimal digits in a known notation.
    #[error("`{0}` is no hardware address")]
    Unreadable(String),
    /// Not an address of one station: all zero, or with the group bit set.
    #[error("no device can have the hardware address `{0}`")]
    NotAStation(String),
}

impl MacError {
    /// What to do next.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => {
                "write it as in `00:1b:21:aa:bb:cc`, `00-1B-21-AA-BB-CC` or `001b.21aa.bbcc`"
            }
            Self::NotAStation(_) => "leave it empty for a device behind a router, known by its address alone",
        }
    }
}

/// Reads `aa:bb:cc:dd:ee:ff`, `aa-bb-…`, `aabb.ccdd.eeff` or twelve digits, in either case.
pub fn parse_mac(text: &str) -> Result<Mac, MacError> {
    let unreadable = || MacError::Unreadable(text.to_owned());
    let groups: &[usize] = match text.chars().find(|c| !c.is_ascii_hexdigit()) {
        None => &[12],
        Some('.') => &[4, 4, 4],
        Some(':' | '-') => &[2; 6],
        Some(_) => return Err(unreadable()),
    };
    let separator = text.chars().find(|c| !c.is_ascii_hexdigit()).unwrap_or(':');
    let parts: Vec<&str> = text.split(separator).collect();
    let fits = parts.iter().map(|part| part.len()).eq(groups.iter().copied());
    let digits = parts.concat();
    if !fits || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(unreadable());
    }
    let number = u64::from_str_radix(&digits, 16).map_err(|_| unreadable())?;
    let [_, _, bytes @ ..] = number.to_be_bytes();
    if number == 0 || bytes[0] & 1 == 1 {
        return Err(MacError::NotAStation(text.to_owned()));
    }
    Ok(Mac(bytes))
}

/// As `aa:bb:cc:dd:ee:ff`.
pub fn show_mac(mac: Mac) -> String {
    mac.0.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_and_no_other() {
        let mac = Mac([0x00, 0x1b, 0x21, 0xaa, 0xbb, 0xcc]);
        for text in ["00:1b:21:aa:bb:cc", "00-1B-21-AA-BB-CC", "001b.21aa.bbcc", "001B21AABBCC"] {
            assert_eq!(parse_mac(text), Ok(mac), "{text}");
        }
        assert_eq!(show_mac(mac), "00:1b:21:aa:bb:cc");
        for text in [
            "",
            "00:1b:21:aa:bb",
            "00:1b:21:aa:bb:cg",
            "00:1b-21:aa:bb:cc",
            "0:1b:21:aa:bb:ccc",
            "+01b21aabbcc",
        ] {
            assert!(matches!(parse_mac(text), Err(MacError::Unreadable(_))), "{text}");
        }
        for text in ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"] {
            assert!(matches!(parse_mac(text), Err(MacError::NotAStation(_))), "{text}");
        }
    }
}
