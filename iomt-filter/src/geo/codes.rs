//! Country codes of ISO 3166-1, and `XK`, which databases use for Kosovo.

use iomt_filter_common::geo::Country;

const CODES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP \
KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ \
NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW \
SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ \
UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// Codes that people write and the standard does not have.
const MEANT: &[(&str, &str)] = &[
    ("UK", "GB"),
    ("EL", "GR"),
    ("GER", "DE"),
    ("GERMANY", "DE"),
    ("USA", "US"),
    ("RUSSIA", "RU"),
    ("CHINA", "CN"),
];

/// The country of a code, in either case; `None` for what the standard does not have.
pub fn country(code: &str) -> Option<Country> {
    let letters: [u8; 2] = code.as_bytes().try_into().ok()?;
    let upper = code.to_ascii_uppercase();
    if CODES.split_ascii_whitespace().any(|known| known == upper) {
        Country::from_code(letters)
    } else {
        None
    }
}

/// The code that somebody may have meant.
pub fn meant(text: &str) -> Option<&'static str> {
    let upper = text.to_ascii_uppercase();
    MEANT.iter().find(|(written, _)| *written == upper).map(|&(_, code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_and_nothing_else() {
        assert_eq!(CODES.split_ascii_whitespace().count(), 250);
        assert_eq!(country("de"), Country::from_code(*b"DE"));
        assert_eq!(country("UK"), None);
        assert_eq!(meant("uk"), Some("GB"));
        assert_eq!(country("Ä"), None);
    }
}
