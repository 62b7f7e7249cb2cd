//! A list as bytes, to be kept as the last good copy, and back.
//!
//! One line of text says what it is and in which version, a checksum of the rest follows (SHA-256), then the rest:
//! what is said of entries, once each, and the entries, ten bytes for a bare IPv4 address. Numbers are
//! little-endian. Bytes that were damaged give an error, never a part of a list and never a panic.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::{Baseline, Kept, List, PRESENT, Shelf, What};
use crate::feeds::entry::{About, CATEGORIES, is_domain};
use crate::policy::peer::canonical;

/// The version of the form.
pub const VERSION: u32 = 3;
/// The version before, which has no baseline.
const WITHOUT_BASELINE: u32 = 1;
/// The highest score.
const MAX_SCORE: u8 = 100;

const NAME: &str = "iomt-filter list ";
/// Bytes of the checksum.
const CHECKSUM: usize = 32;
/// What is added to the length of an IPv6 prefix, which tells it from one of IPv4.
const IPV6: u8 = 64;

const HAS_PORT: u8 = 1;
const HAS_SCORE: u8 = 2;
const HAS_ABOUT: u8 = 4;
const IS_GONE: u8 = 8;
const HAS_SINCE: u8 = 16;

const HAS_CATEGORY: u8 = 1;
const HAS_FIRST_SEEN: u8 = 2;
const HAS_LAST_SEEN: u8 = 4;
const HAS_EXPIRES: u8 = 8;
const HAS_REFERENCE: u8 = 16;
const HAS_LABEL: u8 = 32;

/// Why bytes are no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ListError {
    /// They are something else.
    #[error("this is no list that was kept by `iomt-filter`; remove it and refresh the feed")]
    Other,
    /// They are of another version.
    #[error("it was kept in version {0} of its form, this program reads version {VERSION}; refresh the feed")]
    Version(u32),
    /// They were cut off or changed.
    #[error("it is damaged: its checksum does not fit; remove it and refresh the feed")]
    Checksum,
    /// The checksum fits what cannot be a list.
    #[error("it holds what no list can hold; remove it and refresh the feed")]
    Content,
}

impl List {
    /// The list as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.number(self.read);
        writer.number(self.expire);
        writer.number(self.baseline.at);
        writer.number(self.baseline.entries);
        let (networks, domains) = (&self.content.networks, &self.content.domains);
        let abouts = networks.kept.iter().chain(&networks.said).filter_map(|kept| kept.about.as_ref());
        let of_domains = domains.kept.iter().chain(&domains.said).filter_map(|kept| kept.about.as_ref());
        writer.abouts(abouts.chain(of_domains));
        for kept in [&networks.kept, &networks.said] {
            writer.all(kept);
        }
        for kept in [&domains.kept, &domains.said] {
            writer.all(kept);
        }
        let mut bytes = format!("{NAME}{VERSION}\n").into_bytes();
        bytes.reserve(CHECKSUM + writer.bytes.len());
        bytes.extend_from_slice(&Sha256::digest(&writer.bytes));
        bytes.append(&mut writer.bytes);
        bytes
    }

    /// Reads a list.
    ///
    /// # Errors
    /// When the bytes are something else, of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ListError> {
        let rest = bytes.strip_prefix(NAME.as_bytes()).ok_or(ListError::Other)?;
        let end = rest.iter().take(11).position(|&byte| byte == b'\n').ok_or(ListError::Other)?;
        let (version, rest) = rest.split_at_checked(end).ok_or(ListError::Other)?;
        let version = std::str::from_utf8(version).ok().and_then(|text| text.parse().ok());
        let version = version.ok_or(ListError::Other)?;
        if !(WITHOUT_BASELINE..=VERSION).contains(&version) {
            return Err(ListError::Version(version));
        }
        let (checksum, body) =
            rest.get(1..).and_then(|rest| rest.split_at_checked(CHECKSUM)).ok_or(ListError::Checksum)?;
        if Sha256::digest(body).as_slice() != checksum {
            return Err(ListError::Checksum);
        }
        Reader { bytes: body, abouts: Vec::new() }.list(version).ok_or(ListError::Content)
    }
}

/// What entries are of, as bytes.
trait AsBytes: What {
    /// The fewest bytes that one takes.
    const FEWEST: usize;
    fn write(&self, writer: &mut Writer);
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
}

impl AsBytes for IpNet {
    const FEWEST: usize = 5;

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::V4(net) => {
                writer.bytes.push(net.prefix_len());
                writer.bytes.extend_from_slice(&net.addr().octets());
            }
            Self::V6(net) => {
                writer.bytes.push(net.prefix_len().saturating_add(IPV6));
                writer.bytes.extend_from_slice(&net.addr().octets());
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let bits = reader.byte()?;
        let network = match bits.checked_sub(IPV6) {
            None => Self::V4(Ipv4Net::new(Ipv4Addr::from(reader.array::<4>()?), bits).ok()?),
            Some(bits) => Self::V6(Ipv6Net::new(Ipv6Addr::from(reader.array::<16>()?), bits).ok()?),
        };
        (canonical(network.trunc()) == network).then_some(network)
    }
}

impl AsBytes for Box<str> {
    const FEWEST: usize = 4;

    fn write(&self, writer: &mut Writer) {
        writer.text(self.as_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        std::str::from_utf8(reader.text()?).ok().filter(|name| is_domain(name)).map(Self::from)
    }
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    /// Where what is said stands, by the place in memory at which it is shared.
    abouts: HashMap<*const About, u32>,
}

impl Writer {
    fn number(&mut self, number: u32) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn count(&mut self, count: usize) {
        self.number(u32::try_from(count).unwrap_or(u32::MAX));
    }

    fn text(&mut self, text: &[u8]) {
        self.count(text.len());
        self.bytes.extend_from_slice(text);
    }

    fn abouts<'a>(&mut self, abouts: impl Iterator<Item = &'a Arc<About>>) {
        let at = self.bytes.len();
        self.number(0);
        for about in abouts {
            let next = u32::try_from(self.abouts.len()).unwrap_or(u32::MAX);
            let mut is_new = false;
            self.abouts.entry(Arc::as_ptr(about)).or_insert_with(|| {
                is_new = true;
                next
            });
            if is_new {
                self.about(about);
            }
        }
        let count = u32::try_from(self.abouts.len()).unwrap_or(u32::MAX).to_le_bytes();
        if let Some(place) = self.bytes.get_mut(at..at + count.len()) {
            place.copy_from_slice(&count);
        }
    }

    fn about(&mut self, about: &About) {
        let About { category, first_seen, last_seen, expires, reference, label } = about;
        self.bytes.push(
            flag(category.is_some(), HAS_CATEGORY)
                | flag(first_seen.is_some(), HAS_FIRST_SEEN)
                | flag(last_seen.is_some(), HAS_LAST_SEEN)
                | flag(expires.is_some(), HAS_EXPIRES)
                | flag(reference.is_some(), HAS_REFERENCE)
                | flag(label.is_some(), HAS_LABEL),
        );
        if let Some(category) = category {
            let name = CATEGORIES.iter().find(|(_, one)| one == category).map_or("", |(name, _)| name);
            self.text(name.as_bytes());
        }
        for time in [first_seen, last_seen, expires].into_iter().flatten() {
            self.bytes.extend_from_slice(&time.as_second().to_le_bytes());
            self.bytes.extend_from_slice(&time.subsec_nanosecond().to_le_bytes());
        }
        for text in [reference, label].into_iter().flatten() {
            self.text(text.as_bytes());
        }
    }

    fn all<K: AsBytes>(&mut self, all: &[Kept<K>]) {
        self.count(all.len());
        for kept in all {
            kept.what.write(self);
            let about = kept.about.as_ref().and_then(|about| self.abouts.get(&Arc::as_ptr(about)).copied());
            self.bytes.push(
                flag(kept.port.is_some(), HAS_PORT)
                    | flag(kept.score.is_some(), HAS_SCORE)
                    | flag(about.is_some(), HAS_ABOUT)
                    | flag(!kept.is_present(), IS_GONE)
                    | flag(kept.first != 0, HAS_SINCE),
            );
            self.number(kept.line);
            self.bytes.extend(kept.port.map(u16::to_le_bytes).into_iter().flatten());
            self.bytes.extend(kept.score);
            self.bytes.extend(about.map(u32::to_le_bytes).into_iter().flatten());
            self.bytes.extend(
                Some(kept.seen).filter(|_| !kept.is_present()).map(u32::to_le_bytes).into_iter().flatten(),
            );
            self.bytes.extend(
                Some(kept.first).filter(|&first| first != 0).map(u32::to_le_bytes).into_iter().flatten(),
            );
        }
    }
}

fn flag(has: bool, flag: u8) -> u8 {
    if has { flag } else { 0 }
}

struct Reader<'b> {
    bytes: &'b [u8],
    abouts: Vec<Arc<About>>,
}

impl Reader<'_> {
    fn list(mut self, version: u32) -> Option<List> {
        let (read, expire) = (self.number()?, self.number()?);
        let baseline = match version {
            WITHOUT_BASELINE => None,
            _ => Some(Baseline { at: self.number()?, entries: self.number()? }),
        };
        for _ in 0..self.number()? {
            let about = self.about()?;
            self.abouts.push(Arc::new(about));
        }
        let networks = self.shelf()?;
        let domains = self.shelf()?;
        let list = self.bytes.is_empty().then(|| List::of(networks, domains, read, expire))?;
        Some(match baseline {
            Some(baseline) => List { baseline, ..list },
            None => list.as_baseline(),
        })
    }

    fn about(&mut self) -> Option<About> {
        let flags = self.byte()?;
        let has = |flag: u8| flags & flag != 0;
        let mut about = About::default();
        if has(HAS_CATEGORY) {
            let name = self.text()?;
            let category = CATEGORIES.iter().find(|(one, _)| one.as_bytes() == name);
            about.category = Some(category.map(|(_, category)| *category)?);
        }
        let times = [
            (HAS_FIRST_SEEN, &mut about.first_seen),
            (HAS_LAST_SEEN, &mut about.last_seen),
            (HAS_EXPIRES, &mut about.expires),
        ];
        for (_, time) in times.into_iter().filter(|(flag, _)| has(*flag)) {
            let (second, rest) = (i64::from_le_bytes(self.array()?), i32::from_le_bytes(self.array()?));
            *time = Some(Timestamp::new(second, rest).ok()?);
        }
        for (_, text) in [(HAS_REFERENCE, &mut about.reference), (HAS_LABEL, &mut about.label)]
            .into_iter()
            .filter(|(flag, _)| has(*flag))
        {
            *text = Some(std::str::from_utf8(self.text()?).ok()?.into());
        }
        Some(about)
    }

    fn shelf<K: AsBytes>(&mut self) -> Option<Shelf<K>> {
        let kept = self.all::<K>()?;
        let said = self.all::<K>()?;
        let is_in_order = kept.is_sorted_by(|one, other| one.what < other.what)
            && said.is_sorted_by(|one, other| one.what <= other.what);
        is_in_order.then_some(Shelf { kept, said })
    }

    fn all<K: AsBytes>(&mut self) -> Option<Vec<Kept<K>>> {
        let count = self.number()? as usize;
        // A number that promises more than there is gets no memory for it.
        let mut all = Vec::with_capacity(count.min(self.bytes.len() / (K::FEWEST + 5)));
        for _ in 0..count {
            all.push(self.one()?);
        }
        Some(all)
    }

    fn one<K: AsBytes>(&mut self) -> Option<Kept<K>> {
        let what = K::read(self)?;
        let flags = self.byte()?;
        let line = self.number()?;
        let has = |flag: u8| flags & flag != 0;
        let port = if has(HAS_PORT) { Some(u16::from_le_bytes(self.array()?)) } else { None };
        let score = if has(HAS_SCORE) { Some(self.byte()?) } else { None };
        if score.is_some_and(|score| score > MAX_SCORE) {
            return None;
        }
        let about = if has(HAS_ABOUT) {
            let at = self.number()? as usize;
            Some(self.abouts.get(at)?.clone())
        } else {
            None
        };
        let seen = if has(IS_GONE) { self.number()? } else { PRESENT };
        let first = if has(HAS_SINCE) { self.number()? } else { 0 };
        Some(Kept { what, port, score, line, about, seen, first })
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(*array)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn text(&mut self) -> Option<&[u8]> {
        let length = self.number()? as usize;
        let (text, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(text)
    }
}
