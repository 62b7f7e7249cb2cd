//! What one feed lists, in order: for lookups, for merging, and to be kept on disk.
//!
//! Entries and domains as they were parsed come in ([`List::renewed`], in `renew`), a list goes out that never
//! changes again and costs nothing to copy. It knows neither the feed's name nor the clock, and judges nothing:
//! what may be blocked of it says the guard.
//!
//! A bare address takes 48 bytes, so a million of them take 48 MB; what a feed says of an entry beside it is
//! shared where it is the same.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use serde::Serialize;

use super::entry::{About, Domain, Entry};
use crate::policy::peer::canonical;

mod baseline;
mod bytes;
mod renew;

use baseline::Baseline;

pub use bytes::{ListError, VERSION};
pub use renew::{Changes, Reading};

/// What the feed lists: the network or the name, once, with the gravest that is said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept<K> {
    /// The network, host bits zero, or the name of a domain, in lower case.
    #[serde(rename = "entry")]
    pub what: K,
    /// The port, where the feed names one and no other.
    pub port: Option<u16>,
    /// The highest score that the feed gives, 0 to 100, where it gives one.
    pub score: Option<u8>,
    /// The first line that names it, from 1, in the reading that had it.
    pub line: u32,
    /// What else the feed says, where it says anything.
    #[serde(flatten)]
    pub about: Option<Arc<About>>,
    /// When the feed had it last, in seconds since 1970; [`PRESENT`] where the latest reading has it.
    #[serde(skip)]
    seen: u32,
    /// When a reading had it first, in seconds since 1970; 0 where that is not known.
    #[serde(skip)]
    first: u32,
}

/// What entries are of: a network or a name.
trait What: Ord + Clone {
    /// The order of `Ord`.
    fn order(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
}

impl What for Box<str> {}

/// As numbers, which is several times as fast as byte by byte: a list is sorted by it.
impl What for IpNet {
    fn order(&self, other: &Self) -> Ordering {
        let number = |net: &Ipv4Net| (u64::from(u32::from(net.addr())) << 8) | u64::from(net.prefix_len());
        let pair = |net: &Ipv6Net| (u128::from(net.addr()), net.prefix_len());
        match (self, other) {
            (Self::V4(one), Self::V4(other)) => number(one).cmp(&number(other)),
            (Self::V6(one), Self::V6(other)) => pair(one).cmp(&pair(other)),
            (Self::V4(_), Self::V6(_)) => Ordering::Less,
            (Self::V6(_), Self::V4(_)) => Ordering::Greater,
        }
    }
}

/// The latest reading has the entry.
const PRESENT: u32 = u32::MAX;

impl<K> Kept<K> {
    /// Whether the latest reading of the feed has it.
    #[must_use]
    pub const fn is_present(&self) -> bool {
        self.seen == PRESENT
    }

    /// When the feed itself lets it go, where it says so.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.about.as_ref()?.expires
    }
}

/// Entries of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shelf<K> {
    /// In order, one for each network or name.
    kept: Vec<Kept<K>>,
    /// Where a feed says several things of one: each of them, in order and then by line.
    said: Vec<Kept<K>>,
}

impl<K> Default for Shelf<K> {
    fn default() -> Self {
        Self { kept: Vec::new(), said: Vec::new() }
    }
}

impl<K: What> Shelf<K> {
    /// The one that `order` calls equal, by which the others are in order.
    fn get(&self, order: impl Fn(&K) -> Ordering) -> Option<&Kept<K>> {
        let at = self.kept.binary_search_by(|kept| order(&kept.what)).ok()?;
        self.kept.get(at)
    }

    /// How many of what is in the latest reading the latest one of another shelf has too.
    fn in_common(&self, other: &Self) -> usize {
        let mut others = other.kept.iter().filter(|kept| kept.is_present()).peekable();
        let is_there = |kept: &&Kept<K>| {
            while others.next_if(|other| other.what.order(&kept.what).is_lt()).is_some() {}
            others.next_if(|other| other.what.order(&kept.what).is_eq()).is_some()
        };
        self.kept.iter().filter(|kept| kept.is_present()).filter(is_there).count()
    }

    /// What the feed says of `kept`, one by one.
    fn said<'l>(&'l self, kept: &'l Kept<K>) -> &'l [Kept<K>] {
        let first = self.said.partition_point(|said| said.what < kept.what);
        let last = self.said.partition_point(|said| said.what <= kept.what);
        match self.said.get(first..last) {
            Some(said) if !said.is_empty() => said,
            _ => std::slice::from_ref(kept),
        }
    }

    /// Whether a feed had something of it last after `now`, which can only be if the clock was wrong.
    fn was_seen_after(&self, now: u32) -> bool {
        self.kept.iter().any(|kept| !kept.is_present() && kept.seen > now)
    }

    /// The same, with `now` in the place of every later time.
    fn seen_until(&self, now: u32) -> Self {
        let until = |kept: &Kept<K>| Kept {
            seen: if kept.is_present() { PRESENT } else { kept.seen.min(now) },
            ..kept.clone()
        };
        Self { kept: self.kept.iter().map(until).collect(), said: self.said.iter().map(until).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Content {
    networks: Shelf<IpNet>,
    domains: Shelf<Box<str>>,
    /// The prefix lengths that there are, of IPv4 and of IPv6, the longest first.
    lengths: [Vec<u8>; 2],
    /// How many entries and domains the latest reading has.
    present: usize,
}

/// What one feed lists. A copy costs nothing.
#[derive(Clone, Debug, Default)]
pub struct List {
    content: Arc<Content>,
    /// When the feed was read last, in seconds since 1970.
    read: u32,
    /// How long an entry stays that the feed no longer has, in seconds.
    expire: u32,
    /// How much it listed up to a day ago.
    baseline: Baseline,
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        let is_same = Arc::ptr_eq(&self.content, &other.content) || self.content == other.content;
        is_same && (self.read, self.expire, self.baseline) == (other.read, other.expire, other.baseline)
    }
}

impl Eq for List {}

impl List {
    fn of(networks: Shelf<IpNet>, domains: Shelf<Box<str>>, read: u32, expire: u32) -> Self {
        let mut exists = [[false; 129]; 2];
        for kept in &networks.kept {
            let [of_v4, of_v6] = &mut exists;
            let family = if matches!(kept.what, IpNet::V4(_)) { of_v4 } else { of_v6 };
            if let Some(length) = family.get_mut(usize::from(kept.what.prefix_len())) {
                *length = true;
            }
        }
        let lengths = exists.map(|exists| {
            let lengths = (0u8..).zip(exists).filter(|(_, exists)| *exists).map(|(bits, _)| bits);
            let mut lengths: Vec<u8> = lengths.collect();
            lengths.reverse();
            lengths
        });
        let present = networks.kept.iter().filter(|kept| kept.is_present()).count()
            + domains.kept.iter().filter(|kept| kept.is_present()).count();
        let content = Arc::new(Content { networks, domains, lengths, present });
        Self { content, read, expire, baseline: Baseline::default() }
    }

    /// Every network, in order: IPv4 first, and a network before those that lie in it.
    #[must_use]
    pub fn networks(&self) -> &[Kept<IpNet>] {
        &self.content.networks.kept
    }

    /// Every domain, by name.
    #[must_use]
    pub fn domains(&self) -> &[Kept<Box<str>>] {
        &self.content.domains.kept
    }

    /// How many networks and domains there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.networks().len() + self.domains().len()
    }

    /// Whether nothing is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many networks and domains the latest reading has; the others it had before.
    #[must_use]
    pub fn present(&self) -> usize {
        self.content.present
    }

    /// How many networks and domains the latest readings of both this and another list have.
    #[must_use]
    pub fn in_common(&self, other: &Self) -> usize {
        let (content, other) = (&self.content, &other.content);
        content.networks.in_common(&other.networks) + content.domains.in_common(&other.domains)
    }

    /// When the feed was read last.
    #[must_use]
    pub fn read_at(&self) -> Timestamp {
        time(self.read)
    }

    /// The entry of exactly this network.
    #[must_use]
    pub fn get(&self, network: IpNet) -> Option<&Kept<IpNet>> {
        let network = canonical(network.trunc());
        self.content.networks.get(|what| what.order(&network))
    }

    /// Every entry that covers an address, the longest prefix first. Only prefix lengths that exist are looked up.
    pub fn covering(&self, address: IpAddr) -> impl Iterator<Item = &Kept<IpNet>> {
        let host = canonical(address.into());
        let [of_v4, of_v6] = &self.content.lengths;
        let lengths = if matches!(host, IpNet::V4(_)) { of_v4 } else { of_v6 };
        lengths.iter().filter_map(move |&bits| {
            let network = IpNet::new(host.addr(), bits).ok()?.trunc();
            self.content.networks.get(|what| what.order(&network))
        })
    }

    /// Every entry that lies in a network, itself included, in order.
    pub fn inside(&self, network: IpNet) -> impl Iterator<Item = &Kept<IpNet>> {
        let network = canonical(network.trunc());
        let first = self.networks().partition_point(|kept| kept.what < network);
        let from = self.networks().get(first..).unwrap_or_default();
        from.iter().take_while(move |kept| network.contains(&kept.what))
    }

    /// Every listed domain that a name is, or is below: the name itself first, then its parents.
    pub fn naming(&self, name: &str) -> impl Iterator<Item = &Kept<Box<str>>> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let mut rest = Some(name.as_str());
        let mut found = Vec::new();
        while let Some(domain) = rest {
            found.extend(self.content.domains.get(|what| what.as_ref().cmp(domain)));
            rest = domain.split_once('.').map(|(_, parent)| parent);
        }
        found.into_iter()
    }

    /// All that the feed says of an entry, one by one: several things where its lines differ.
    pub fn said_of<'l>(&'l self, kept: &'l Kept<IpNet>) -> &'l [Kept<IpNet>] {
        self.content.networks.said(kept)
    }

    /// All that the feed says of a domain, as of an entry.
    pub fn said_of_domain<'l>(&'l self, kept: &'l Kept<Box<str>>) -> &'l [Kept<Box<str>>] {
        self.content.domains.said(kept)
    }

    /// All that the feed says, as if it were read anew: without what it no longer has.
    #[must_use]
    pub fn said(&self) -> (Vec<Entry>, Vec<Domain>) {
        let networks = self.networks().iter().filter(|kept| kept.is_present());
        let entries = networks.flat_map(|kept| self.said_of(kept)).map(|said| Entry {
            network: said.what,
            port: said.port,
            score: said.score,
            line: said.line,
            about: said.about.clone(),
        });
        let domains = self.domains().iter().filter(|kept| kept.is_present());
        let domains = domains.flat_map(|kept| self.said_of_domain(kept)).map(|said| Domain {
            name: said.what.clone(),
            port: said.port,
            score: said.score,
            line: said.line,
            about: said.about.clone(),
        });
        (entries.collect(), domains.collect())
    }

    /// When the feed had an entry of this list last.
    #[must_use]
    pub fn seen<K>(&self, kept: &Kept<K>) -> Timestamp {
        time(if kept.is_present() { self.read } else { kept.seen })
    }

    /// Since when the feed has had an entry of this list, as far as its readings go back.
    #[must_use]
    pub fn since<K>(&self, kept: &Kept<K>) -> Option<Timestamp> {
        (kept.first != 0).then(|| time(kept.first))
    }

    /// When an entry of this list ends, where it does by itself: when the feed says, and, where the feed no longer
    /// has it, at the latest when it has been gone for the time that the feed's `expire` says. What was seen in the
    /// future of `now`, because the clock was wrong, was seen now.
    #[must_use]
    pub fn ends<K>(&self, kept: &Kept<K>, now: Timestamp) -> Option<Timestamp> {
        let seen = kept.seen.min(stamp(now));
        let gone = (!kept.is_present()).then(|| time(seen.saturating_add(self.expire)));
        match (kept.expires(), gone) {
            (Some(expires), Some(gone)) => Some(expires.min(gone)),
            (expires, gone) => expires.or(gone),
        }
    }

    /// Whether an entry of this list has ended.
    #[must_use]
    pub fn has_ended<K>(&self, kept: &Kept<K>, now: Timestamp) -> bool {
        self.ends(kept, now).is_some_and(|end| end <= now)
    }

    /// When the next entry or domain ends by itself, of those that have not at `now`.
    #[must_use]
    pub fn next_expiry(&self, now: Timestamp) -> Option<Timestamp> {
        let of_networks = self.networks().iter().filter_map(|kept| self.ends(kept, now));
        let of_domains = self.domains().iter().filter_map(|kept| self.ends(kept, now));
        of_networks.chain(of_domains).filter(|&end| end > now).min()
    }

    /// The same, of which a reading at `now` found that nothing has changed since the last one. What was seen in the
    /// future of `now` was seen now.
    #[must_use]
    pub fn read_again(&self, now: Timestamp) -> Self {
        let read = stamp(now);
        let (networks, domains) = (&self.content.networks, &self.content.domains);
        if !networks.was_seen_after(read) && !domains.was_seen_after(read) {
            return Self { read, ..self.clone() };
        }
        let baseline = self.baseline;
        Self { baseline, ..Self::of(networks.seen_until(read), domains.seen_until(read), read, self.expire) }
    }

    /// Whether the entries of this list are those of another one, of which it was made without a change to them.
    #[must_use]
    pub fn is_made_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.content, &other.content)
    }

    /// The same with another time that entries stay when the feed no longer has them.
    #[must_use]
    pub fn expiring_after(&self, expire: Duration) -> Self {
        Self { expire: seconds(expire), ..self.clone() }
    }

    /// The same without the networks at these places, which are in order.
    #[must_use]
    pub fn without(&self, places: &[usize]) -> Self {
        if places.is_empty() {
            return self.clone();
        }
        let mut gone = places.iter().copied().peekable();
        let mut kept = Vec::with_capacity(self.networks().len().saturating_sub(places.len()));
        let mut said = self.content.networks.said.iter().peekable();
        let mut still_said = Vec::new();
        for (at, one) in self.networks().iter().enumerate() {
            let is_gone = gone.next_if_eq(&at).is_some();
            while let Some(said) = said.next_if(|said| said.what == one.what) {
                if !is_gone {
                    still_said.push(said.clone());
                }
            }
            if !is_gone {
                kept.push(one.clone());
            }
        }
        let networks = Shelf { kept, said: still_said };
        let baseline = self.baseline;
        Self { baseline, ..Self::of(networks, self.content.domains.clone(), self.read, self.expire) }
    }
}

/// A moment as entries hold it.
fn stamp(time: Timestamp) -> u32 {
    u32::try_from(time.as_second().clamp(0, i64::from(PRESENT) - 1)).unwrap_or_default()
}

fn time(stamp: u32) -> Timestamp {
    Timestamp::from_second(i64::from(stamp)).unwrap_or_default()
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(PRESENT)
}

#[cfg(test)]
mod tests;
