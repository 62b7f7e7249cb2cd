//! pcapng (draft-ietf-opsawg-pcapng): sections, interfaces, and the three blocks that hold packets.
//!
//! Blocks of other types are skipped.

use super::stream::Stream;
use super::{CaptureError, Frame, LONGEST, LinkType, Order};

/// The type of a section header, the same in both byte orders.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const BYTE_ORDER_LITTLE: [u8; 4] = [0x4d, 0x3c, 0x2b, 0x1a];
const BYTE_ORDER_BIG: [u8; 4] = [0x1a, 0x2b, 0x3c, 0x4d];

const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const OPTION_END: u16 = 0;
const OPTION_RESOLUTION: u16 = 9;
const OPTION_TIME_OFFSET: u16 = 14;
/// A section of another one may mean anything.
const MAJOR_VERSION: u16 = 1;
/// Type, total length, and the total length again at the end.
const FRAME_OF_BLOCK: u32 = 12;

/// A pcapng file within its current section.
pub(super) struct Pcapng {
    stream: Stream,
    order: Order,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link_type: LinkType,
    snap_length: u32,
    resolution: Resolution,
    offset_seconds: i64,
}

/// Units of a timestamp in a second.
#[derive(Clone, Copy, Debug)]
struct Resolution(u128);

impl Pcapng {
    /// `stream` stands behind the type of the first section header.
    pub(super) fn open(mut stream: Stream) -> Result<Self, CaptureError> {
        let order = section(&mut stream)?;
        Ok(Self { stream, order, interfaces: Vec::new() })
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, CaptureError> {
        loop {
            let Some(kind) = self.stream.begin::<4>()? else { return Ok(None) };
            if kind == MAGIC {
                self.order = section(&mut self.stream)?;
                self.interfaces.clear();
                continue;
            }
            let body = self.body()?;
            let frame = match self.order.u32(kind) {
                INTERFACE => {
                    self.interfaces.push(self.interface(&body)?);
                    None
                }
                ENHANCED_PACKET => Some(self.enhanced(&body)?),
                SIMPLE_PACKET => Some(self.simple(&body)?),
                PACKET => Some(self.obsolete(&body)?),
                _ => None,
            };
            if frame.is_some() {
                return Ok(frame);
            }
        }
    }

    /// What lies between the two lengths of a block.
    fn body(&mut self) -> Result<Vec<u8>, CaptureError> {
        let length = self.order.u32(self.stream.array()?);
        let body = self.stream.bytes(body_length(length, &self.stream)?)?;
        let again = self.order.u32(self.stream.array()?);
        if again == length { Ok(body) } else { Err(self.stream.damaged("the two lengths of a block differ")) }
    }

    fn interface(&self, body: &[u8]) -> Result<Interface, CaptureError> {
        let mut fields = Fields { bytes: body, order: self.order };
        let parts = (|| Some((fields.u16()?, fields.u16()?, fields.u32()?)))();
        let (link_type, _, snap_length) = parts.ok_or_else(|| self.too_short())?;
        let mut interface = Interface {
            link_type: LinkType(u32::from(link_type)),
            snap_length,
            resolution: Resolution(1_000_000),
            offset_seconds: 0,
        };
        while let Some((code, value)) = fields.option() {
            match (code, value) {
                (OPTION_RESOLUTION, &[exponent, ..]) => {
                    let unusable = || self.stream.damaged("a time resolution that no clock has");
                    interface.resolution = Resolution::of(exponent).ok_or_else(unusable)?;
                }
                (OPTION_TIME_OFFSET, value) => {
                    if let Some(seconds) = value.first_chunk() {
                        interface.offset_seconds = match self.order {
                            Order::Little => i64::from_le_bytes(*seconds),
                            Order::Big => i64::from_be_bytes(*seconds),
                        };
                    }
                }
                _ => {}
            }
        }
        Ok(interface)
    }

    fn enhanced(&self, body: &[u8]) -> Result<Frame, CaptureError> {
        let mut fields = Fields { bytes: body, order: self.order };
        let interface = fields.u32().ok_or_else(|| self.too_short())?;
        self.packet(interface, fields)
    }

    /// Deprecated; its interface has 16 bits, and a count of drops follows.
    fn obsolete(&self, body: &[u8]) -> Result<Frame, CaptureError> {
        let mut fields = Fields { bytes: body, order: self.order };
        let interface = fields.u16().and_then(|interface| fields.u16().map(|_| interface));
        self.packet(u32::from(interface.ok_or_else(|| self.too_short())?), fields)
    }

    fn packet(&self, interface: u32, mut fields: Fields<'_>) -> Result<Frame, CaptureError> {
        let interface = self.ethernet(interface)?;
        let parts = (|| Some((fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?)))();
        let (high, low, captured, length) = parts.ok_or_else(|| self.too_short())?;
        let bytes = fields.bytes.get(..captured as usize).ok_or_else(|| self.too_short())?.to_vec();
        let time = interface.nanoseconds(u64::from(high) << 32 | u64::from(low));
        Ok(Frame { time: Some(time), length: length.max(captured), bytes })
    }

    /// Belongs to the section's first interface and has no time.
    fn simple(&self, body: &[u8]) -> Result<Frame, CaptureError> {
        let interface = self.ethernet(0)?;
        let mut fields = Fields { bytes: body, order: self.order };
        let length = fields.u32().ok_or_else(|| self.too_short())?;
        let limit = if interface.snap_length == 0 { u32::MAX } else { interface.snap_length };
        let captured = length.min(limit);
        let bytes = fields.bytes.get(..captured as usize).ok_or_else(|| self.too_short())?.to_vec();
        Ok(Frame { time: None, length, bytes })
    }

    fn ethernet(&self, index: u32) -> Result<Interface, CaptureError> {
        let interface = self.interfaces.get(index as usize).copied();
        let interface =
            interface.ok_or_else(|| self.stream.damaged("a frame of an interface that is not described"))?;
        if interface.link_type == LinkType::ETHERNET {
            return Ok(interface);
        }
        Err(CaptureError::FrameLinkType { offset: self.stream.record(), link_type: interface.link_type })
    }

    const fn too_short(&self) -> CaptureError {
        self.stream.damaged("a block too short for what it holds")
    }
}

/// Reads a section header behind its type, and returns the byte order of the section.
fn section(stream: &mut Stream) -> Result<Order, CaptureError> {
    let length: [u8; 4] = stream.array()?;
    let order = match stream.array()? {
        BYTE_ORDER_LITTLE => Order::Little,
        BYTE_ORDER_BIG => Order::Big,
        _ => return Err(stream.damaged("a section without a byte order")),
    };
    let body = body_length(order.u32(length), stream)?;
    let rest = body.checked_sub(8).ok_or_else(|| stream.damaged("a section header that is too short"))?;
    let [a, b, _, _] = stream.array()?;
    let major = order.u16([a, b]);
    if major != MAJOR_VERSION {
        return Err(CaptureError::Version { offset: stream.record(), major });
    }
    stream.bytes(rest)?;
    stream.array::<4>()?;
    Ok(order)
}

fn body_length(total: u32, stream: &Stream) -> Result<u32, CaptureError> {
    if !total.is_multiple_of(4) || total < FRAME_OF_BLOCK {
        return Err(stream.damaged("a block with an impossible length"));
    }
    if total > LONGEST {
        return Err(stream.damaged("a block longer than any frame"));
    }
    Ok(total - FRAME_OF_BLOCK)
}

impl Interface {
    /// A timestamp as nanoseconds since 1970; times before that are 1970.
    fn nanoseconds(&self, ticks: u64) -> u64 {
        let since_offset = u128::from(ticks) * 1_000_000_000 / self.resolution.0;
        let offset = i128::from(self.offset_seconds) * 1_000_000_000;
        let time = i128::try_from(since_offset).unwrap_or(i128::MAX).saturating_add(offset);
        u64::try_from(time.max(0)).unwrap_or(u64::MAX)
    }
}

impl Resolution {
    /// `if_tsresol`: a negative power of ten, or with the highest bit set of two.
    fn of(exponent: u8) -> Option<Self> {
        let base: u128 = if exponent & 0x80 == 0 { 10 } else { 2 };
        base.checked_pow(u32::from(exponent & 0x7f)).map(Self)
    }
}

/// The fields of a block, taken from the front.
struct Fields<'b> {
    bytes: &'b [u8],
    order: Order,
}

impl<'b> Fields<'b> {
    fn u16(&mut self) -> Option<u16> {
        let (bytes, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(self.order.u16(*bytes))
    }

    fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(self.order.u32(*bytes))
    }

    /// Code and value of the next option; `None` behind the last, and behind one that is cut off.
    fn option(&mut self) -> Option<(u16, &'b [u8])> {
        let (code, length) = (self.u16()?, self.u16()? as usize);
        if code == OPTION_END {
            return None;
        }
        let value = self.bytes.get(..length)?;
        self.bytes = self.bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((code, value))
    }
}
