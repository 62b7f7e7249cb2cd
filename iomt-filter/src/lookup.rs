//! What is known of an address, a prefix or a domain: who lists it and why, where it is, what each profile makes of
//! it, and which devices have talked to it.
//!
//! A question and what holds come in, an answer goes out. Nothing here reads a file, a map or a clock: an agent asks
//! with what runs, `lookup --offline` with what the files and last good copies come to.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::feeds::Category;

mod answer;
mod text;

mod by_hand;

pub use answer::{Ground, Talks, answers};
pub use by_hand::ByHand;

/// Listings, and contacts, that one answer lists one by one at most; of others there is a number.
pub const MOST_LISTED: usize = 100;

/// What one answer may take of the whole that all questions of a request have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Listings that are listed one by one, and contacts.
    pub listed: usize,
    /// Contacts that are looked at to find the latest.
    pub looked_at: usize,
}

impl Budget {
    /// Listings, and contacts, in all answers to one request, but at least [`Self::LEAST`] in each.
    const LISTED: usize = 10_000;
    const LEAST: usize = 10;
    /// Contacts that are looked at for all answers together, and for one.
    const LOOKED_AT: usize = 1_000_000;
    const MOST_LOOKED_AT: usize = 100_000;

    /// What each of so many questions has: a hundred have all that one may have.
    #[must_use]
    pub fn of(questions: usize) -> Self {
        let questions = questions.max(1);
        Self {
            listed: (Self::LISTED / questions).clamp(Self::LEAST, MOST_LISTED),
            looked_at: (Self::LOOKED_AT / questions).clamp(MOST_LISTED, Self::MOST_LOOKED_AT),
        }
    }
}

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// An address or a prefix, host bits zero.
    Network(IpNet),
    /// A domain, in lower case.
    Domain(String),
}

/// What is neither an address, a prefix nor a domain.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is neither an address, such as `203.0.113.9`, nor a prefix, such as `203.0.113.0/24`, nor a domain"
)]
pub struct NoQuestion(pub String);

impl std::str::FromStr for Question {
    type Err = NoQuestion;

    fn from_str(text: &str) -> Result<Self, NoQuestion> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.to_canonical().into()));
        }
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self::Network(crate::policy::peer::canonical(network.trunc())));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_lowercase();
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() < 64
                && label.chars().all(|c| c.is_alphanumeric() || "-_".contains(c))
        };
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_name = name.contains('.') && name.len() < 254 && name.split('.').all(is_label);
        if is_name && !last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self::Domain(name));
        }
        Err(NoQuestion(text.to_owned()))
    }
}

/// What is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What was asked about.
    pub query: String,
    /// `address`, `prefix` or `domain`.
    pub kind: String,
    /// What it is on this network, where it is anything: a device, this host, a peer that no list may block.
    pub here: Option<String>,
    /// Its country, as two letters.
    pub country: Option<String>,
    /// Who lists it, the gravest first.
    pub listings: Vec<Listed>,
    /// Entries inside of the prefix that is asked about, beyond those that are listed one by one.
    pub more_inside: usize,
    /// What else lists say of what is asked about, or of what it lies in, beyond what is listed one by one.
    #[serde(default)]
    pub more_listings: usize,
    /// What each profile makes of it as a far end; nothing for domains and prefixes.
    pub verdicts: Vec<Verdict>,
    /// Devices that have talked to it, the latest first.
    pub talked: Vec<Talked>,
    /// Contacts with it beyond those that are listed one by one.
    #[serde(default)]
    pub more_talked: usize,
    /// Whether there are still more contacts, too many to look at: there may be later ones among them.
    #[serde(default)]
    pub talked_is_part: bool,
    /// Since when talks are known of; nothing where they are not.
    pub talks_since: Option<Timestamp>,
}

/// An entry of a feed that covers what was asked about, or lies inside of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// The feed.
    pub feed: String,
    /// The entry.
    pub entry: String,
    /// 0 to 100.
    pub score: u8,
    /// `listed`, or, where it blocks nothing: `spared`, because no list may block it; `below` the feed's `min_score`;
    /// `ended`; `kept`, as domains are, and entries of a feed for which no number is left. A list that is held is not
    /// looked into: what its feed listed before holds.
    pub state: String,
    /// Why it blocks nothing, or what of it not.
    pub why: Option<String>,
    /// What it is listed for.
    pub category: Option<Category>,
    /// The port that the feed names; the listing covers every port.
    pub port: Option<u16>,
    /// What the feed calls it.
    pub label: Option<String>,
    /// Where the feed says more.
    pub reference: Option<String>,
    /// When it was first seen: by the feed, or added by hand.
    pub since: Option<Timestamp>,
    /// When the feed saw it last, or had it last.
    pub last_seen: Option<Timestamp>,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// Who added it by hand, and their note.
    pub by: Option<String>,
    /// Their note.
    pub note: Option<String>,
}

/// What a profile makes of a far end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The profile.
    pub profile: String,
    /// `drop`, or `pass` where neither lists nor countries refuse it: rules decide then.
    pub verdict: String,
    /// `blocklist` or `geo`.
    pub reason: Option<String>,
    /// From which score on its devices' packets are dropped.
    pub block_score: u8,
}

/// A device that has talked to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Talked {
    /// The device.
    pub device: String,
    /// The address at the far end.
    pub peer: String,
    /// The service, as `443/tcp`.
    pub service: String,
    /// `from-device` or `to-device`: who opened.
    pub direction: String,
    /// When first.
    pub first_seen: Timestamp,
    /// When last.
    pub last_seen: Timestamp,
    /// Packets both ways.
    pub packets: u64,
    /// Bytes both ways.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_prefixes_and_domains_are_told_apart() {
        let network = |text: &str| Ok(Question::Network(text.parse().unwrap()));
        for (text, expected) in [
            ("203.0.113.9", network("203.0.113.9/32")),
            ("::ffff:203.0.113.9", network("203.0.113.9/32")),
            ("203.0.113.9/24", network("203.0.113.0/24")),
            ("2001:db8::1", network("2001:db8::1/128")),
            ("Evil.Example.", Ok(Question::Domain("evil.example".into()))),
            ("203.0.113", Err(NoQuestion("203.0.113".into()))),
            ("localhost", Err(NoQuestion("localhost".into()))),
            ("evil..example", Err(NoQuestion("evil..example".into()))),
            ("", Err(NoQuestion(String::new()))),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
    }
}
