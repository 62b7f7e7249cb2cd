//! pcap (draft-ietf-opsawg-pcap), in both byte orders, with micro- or nanoseconds, and with the longer
//! record headers of Kuznetzov's patched libpcap.

use super::stream::Stream;
use super::{CaptureError, Frame, LONGEST, LinkType, Order};

/// What the first four bytes say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    order: Order,
    /// Nanoseconds in a unit of the fraction.
    unit: u64,
    /// Bytes of a record header that this reader has no use for.
    surplus: u32,
}

impl Dialect {
    pub(super) const fn of(magic: [u8; 4]) -> Option<Self> {
        let (order, unit, surplus) = match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] => (Order::Little, 1_000, 0),
            [0xa1, 0xb2, 0xc3, 0xd4] => (Order::Big, 1_000, 0),
            [0x4d, 0x3c, 0xb2, 0xa1] => (Order::Little, 1, 0),
            [0xa1, 0xb2, 0x3c, 0x4d] => (Order::Big, 1, 0),
            [0x34, 0xcd, 0xb2, 0xa1] => (Order::Little, 1_000, 8),
            [0xa1, 0xb2, 0xcd, 0x34] => (Order::Big, 1_000, 8),
            _ => return None,
        };
        Some(Self { order, unit, surplus })
    }
}

/// The rest of the file header: version, zone, accuracy, snap length, link type.
const REST_OF_HEADER: usize = 20;
/// The bits of the last word that are the link type; above them is the length of the FCS.
const LINK_TYPE_MASK: u32 = 0x03ff_ffff;

/// A pcap file behind its header.
pub(super) struct Pcap {
    stream: Stream,
    dialect: Dialect,
}

impl Pcap {
    /// `stream` stands behind the magic number.
    pub(super) fn open(mut stream: Stream, dialect: Dialect) -> Result<Self, CaptureError> {
        let header = stream.array::<REST_OF_HEADER>()?;
        let [.., a, b, c, d] = header;
        let link_type = LinkType(dialect.order.u32([a, b, c, d]) & LINK_TYPE_MASK);
        if link_type != LinkType::ETHERNET {
            return Err(CaptureError::LinkType(link_type));
        }
        Ok(Self { stream, dialect })
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, CaptureError> {
        let order = self.dialect.order;
        let Some(header) = self.stream.begin::<16>()? else { return Ok(None) };
        let [s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, l0, l1, l2, l3] = header;
        let seconds = u64::from(order.u32([s0, s1, s2, s3]));
        let fraction = u64::from(order.u32([f0, f1, f2, f3]));
        let captured = order.u32([c0, c1, c2, c3]);
        let length = order.u32([l0, l1, l2, l3]);
        if captured > LONGEST {
            return Err(self.stream.damaged("a record longer than any frame"));
        }
        self.stream.bytes(self.dialect.surplus)?;
        let bytes = self.stream.bytes(captured)?;
        let time = seconds * 1_000_000_000 + fraction * self.dialect.unit;
        Ok(Some(Frame { time: Some(time), length: length.max(captured), bytes }))
    }
}
