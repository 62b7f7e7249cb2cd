//! What sources call their categories, as the few that this filter tells apart.
//!
//! A word or a phrase of a list comes in, a [`Category`] goes out. The text itself is never used as a key.

use crate::feeds::Category;

/// Words that mean a category, in the order in which they are looked for.
const WORDS: &[(&[&str], Category)] = &[
    (&["c2", "c&c", "cc", "cnc", "botnet", "command-and-control"], Category::C2),
    (&["phishing", "phish"], Category::Phishing),
    (&["spam", "spamming", "spammer"], Category::Spam),
    (&["bruteforce", "brute", "bf", "ssh", "login", "credential", "password"], Category::Bruteforce),
    (&["scanner", "scanning", "scan", "scans", "probing", "crawl", "enum", "recon"], Category::Scanner),
    (&["anonymizer", "anonymizers", "anonymization", "tor", "vpn", "proxy", "proxies"], Category::Anonymizer),
    (&["bogon", "bogons", "unroutable"], Category::Bogon),
    (&["hijacked", "hijack"], Category::Hijacked),
    (
        &["malware", "malicious", "payload", "ransomware", "trojan", "exploit", "compromised", "skimming"],
        Category::Malware,
    ),
    (
        &["reputation", "attacks", "attack", "abuse", "anomalous", "blacklist", "blocklist"],
        Category::Reputation,
    ),
];

/// The category of a word or phrase; [`Category::Other`] where it says something else.
pub(super) fn of(text: &str) -> Category {
    let lower = text.to_ascii_lowercase();
    let mentions = |word: &str| {
        lower.match_indices(word).any(|(at, _)| {
            let is_end = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
            is_end(lower[..at].chars().next_back()) && is_end(lower[at + word.len()..].chars().next())
        })
    };
    let found = WORDS.iter().find(|(words, _)| words.iter().any(|word| mentions(word)));
    found.map_or(Category::Other, |(_, category)| *category)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feeds::entry::CATEGORIES;

    #[test]
    fn what_sources_write_has_a_category() {
        for (text, expected) in [
            ("botnet_cc", Category::C2),
            ("C&C", Category::C2),
            ("payload_delivery", Category::Malware),
            ("malware_download", Category::Malware),
            ("Scanning Host", Category::Scanner),
            ("Spamming", Category::Spam),
            ("Malicious Host", Category::Malware),
            ("crowdsecurity/ssh-bf", Category::Bruteforce),
            ("crowdsecurity/http-probing", Category::Scanner),
            ("attacks", Category::Reputation),
            ("anonymizers", Category::Anonymizer),
            ("anomalous-activity", Category::Reputation),
            ("malicious-activity", Category::Malware),
            ("scandal", Category::Other),
            ("", Category::Other),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }

    #[test]
    fn every_category_is_found_by_its_own_name() {
        for (name, category) in CATEGORIES {
            assert_eq!(of(name), *category);
        }
    }
}
