//! Events: what the kernel program reports of a frame, as people and programs read it.
//!
//! A kernel [`Event`] comes in, with the names behind its numbers; a [`Record`] goes out. [`decode`](mod@decode)
//! says what the frame held, [`enrich`] what it means here. Nothing here reads a clock, a map or a file.

use std::borrow::Cow;
use std::net::IpAddr;

use iomt_filter_common::event::Event;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rows::Names;

pub mod decode;
pub mod enrich;
mod drift;
mod expected;
pub mod format;
mod protocols;
pub(crate) mod tcp_flags;
mod text;

pub use drift::{DRIFT, Drift, Evidence, Measured, What};
pub use enrich::EnrichContext;
pub use expected::{Expected, expectations};
pub use format::Format;
pub use protocols::{protocol_name, protocol_number};

/// A word of a fixed vocabulary.
pub type Word = Cow<'static, str>;

/// One event, field by field as it is written in JSON. What does not apply is null.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When; null for a frame of a capture that keeps no time.
    #[serde(with = "microseconds")]
    pub time: Option<Timestamp>,
    /// The host that judged.
    pub host: String,
    /// Number of the frame in a capture, from 1.
    pub frame: Option<u64>,
    /// The interface that it came in on.
    pub interface: Option<String>,
    /// `device` or `uplink`.
    pub port: Word,
    /// `pass`, `drop`, `would-drop` or `reset`; `notice` where the agent says something, and there was no frame.
    pub verdict: Word,
    /// Why.
    pub reason: Word,
    /// The device that it was judged for.
    pub device: Option<String>,
    /// That device's profile.
    pub profile: Option<String>,
    /// `from-device` or `to-device`.
    pub direction: Option<Word>,
    /// Hardware addresses; null where the frame is too short for them.
    pub mac: Option<MacPair>,
    /// VLAN identifiers, outermost first; null where the frame is too short to tell.
    pub vlan: Option<Vec<u16>>,
    /// 4 or 6.
    pub ip_version: Option<u8>,
    /// IP source.
    pub source: Option<IpAddr>,
    /// IP destination.
    pub destination: Option<IpAddr>,
    /// IP protocol by name, or its number.
    pub protocol: Option<Word>,
    /// TCP, UDP or SCTP source port.
    pub source_port: Option<u16>,
    /// TCP, UDP or SCTP destination port.
    pub destination_port: Option<u16>,
    /// Letters of the flags that are set, in the order `FSRPAUEC`.
    pub tcp_flags: Option<String>,
    /// Which part of an IP packet this is; null where it is all of it.
    pub fragment: Option<FragmentRecord>,
    /// Length of the frame in bytes, on the wire.
    pub length: u32,
    /// Country of the far end.
    pub country: Option<String>,
    /// The feed that lists the far end.
    pub feed: Option<String>,
    /// The entry of the feed.
    pub entry: Option<String>,
    /// The score of the entry.
    pub score: Option<u8>,
    /// The rule that allowed it.
    pub rule: Option<String>,
    /// The generation of policy, feeds and geo that judged it.
    pub generation: u32,
    /// Frames that this record stands for.
    pub count: u64,
    /// EtherType behind the tags; null where the field is a length (IEEE 802.3).
    pub ethertype: Option<String>,
    /// What an ARP packet says.
    pub arp: Option<ArpRecord>,
    /// ICMP or ICMPv6 type.
    pub icmp_type: Option<u8>,
    /// ICMP or ICMPv6 code.
    pub icmp_code: Option<u8>,
    /// TTL or hop limit.
    pub hop_limit: Option<u8>,
    /// Bytes of the frame that a capture holds, where it does not hold all of it.
    pub captured: Option<u32>,
    /// What the inventory expects of the device; null where nothing is `spoofed`.
    pub expected: Option<Expected>,
    /// What a notice says. Frames have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What a device does that it never did, where the notice is about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Box<Drift>>,
}

/// What the agent says among the events: no frame was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A new list of a feed waits for somebody.
    FeedHeld,
    /// Somebody let a list through.
    FeedReleased,
    /// A feed cannot be had.
    FeedFailed,
    /// It can be had again.
    FeedRecovered,
}

impl Notice {
    /// Every notice.
    pub const ALL: [Self; 4] = [Self::FeedHeld, Self::FeedReleased, Self::FeedFailed, Self::FeedRecovered];

    /// The stable name, where an event has its reason.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FeedHeld => "feed-held",
            Self::FeedReleased => "feed-released",
            Self::FeedFailed => "feed-failed",
            Self::FeedRecovered => "feed-recovered",
        }
    }
}

impl Record {
    /// A notice about a feed.
    #[must_use]
    pub fn notice(notice: Notice, host: &str, time: Timestamp, feed: &str, note: String) -> Self {
        Self {
            time: Some(time),
            host: host.to_owned(),
            verdict: NOTICE.into(),
            reason: notice.name().into(),
            feed: Some(feed.to_owned()),
            note: Some(note),
            count: 1,
            ..Self::default()
        }
    }
}

impl Record {
    /// Whether it is something that the agent says, and there was no frame.
    #[must_use]
    pub fn is_notice(&self) -> bool {
        self.note.is_some()
    }

    /// Whether the frame did not pass.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(&*self.verdict, "drop" | "reset")
    }

    /// Whom the frame, or the ARP packet in it, says that it is from, and to whom.
    #[must_use]
    pub fn ends(&self) -> (Option<IpAddr>, Option<IpAddr>) {
        let arp = self.arp.as_ref();
        (self.source.or(arp.map(|arp| arp.sender)), self.destination.or(arp.map(|arp| arp.target)))
    }

    /// The end that is not our device; without a device, the end that the port does not face.
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        match (self.direction.as_deref(), &*self.port) {
            (Some("from-device"), _) | (None, "device") => self.destination,
            _ => self.source,
        }
    }
}

/// The verdict of an event that is no frame.
const NOTICE: &str = "notice";

/// The hardware addresses of a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacPair {
    /// Its source.
    pub source: String,
    /// Its destination.
    pub destination: String,
}

/// Which part of an IP packet a frame carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FragmentRecord {
    /// `first`, or `later` for all that follow.
    pub kind: Word,
    /// IP identification.
    pub id: u32,
    /// Offset in bytes.
    pub offset: u16,
}

/// What an ARP packet says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArpRecord {
    /// The sender's hardware address.
    pub sender_mac: String,
    /// The sender's address.
    pub sender: IpAddr,
    /// The address that is asked for, or answered to.
    pub target: IpAddr,
}

/// Puts a kernel event into words.
#[must_use]
pub fn decode(event: &Event, names: &Names, context: &EnrichContext<'_>) -> Record {
    let mut record = decode::record(event);
    enrich::add(&mut record, event, names, context);
    record
}

/// RFC 3339 in UTC, always with six digits behind the second.
mod microseconds {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.collect_str(&format_args!("{time:.6}")),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Option::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests;
