//! Captures: pcap and pcapng, told apart by their first bytes.
//!
//! A stream of bytes comes in, [`Frame`]s of Ethernet go out in their order, or a [`CaptureError`] that
//! says where reading ended. Nothing here looks into a frame, and nothing that a capture holds makes it
//! panic or reserve memory that the stream does not fill.

use std::io::{self, BufReader, Read};

use thiserror::Error;

mod link_type;
mod pcap;
mod pcapng;
mod stream;

pub use link_type::LinkType;
use stream::Stream;

/// Longest record or block that is believed; libpcap draws the line here too.
const LONGEST: u32 = 16 << 20;

/// One captured frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Nanoseconds since 1970; `None` where the capture keeps no time for it.
    pub time: Option<u64>,
    /// Its length on the wire, in bytes.
    pub length: u32,
    /// What was captured of it.
    pub bytes: Vec<u8>,
}

/// Why a capture cannot be read, or not any further.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// Neither format.
    #[error("this is no pcap and no pcapng capture")]
    UnknownFormat,
    /// Nothing at all.
    #[error("the capture is empty")]
    Empty,
    /// Compressed.
    #[error(
        "the capture is compressed with {format}; decompress it first: `{command} FILE | iomt-filter replay -`"
    )]
    Compressed {
        /// What it is compressed with.
        format: &'static str,
        /// What decompresses it.
        command: &'static str,
    },
    /// Frames of something else.
    #[error("link type {0}: only Ethernet captures can be replayed")]
    LinkType(LinkType),
    /// A frame of something else, among others.
    #[error("the frame at byte {offset} has link type {link_type}: only Ethernet can be replayed")]
    FrameLinkType {
        /// Where its block begins.
        offset: u64,
        /// What it is.
        link_type: LinkType,
    },
    /// A section in a format that is yet to come.
    #[error("the section at byte {offset} is pcapng version {major}: only version 1 is known")]
    Version {
        /// Where the section begins.
        offset: u64,
        /// What it says.
        major: u16,
    },
    /// It ends in the middle.
    #[error("the capture is cut off: it ends within the record at byte {offset}")]
    Truncated {
        /// Where the record begins.
        offset: u64,
    },
    /// Something that cannot be.
    #[error("the capture is damaged at byte {offset}: {what}")]
    Damaged {
        /// Where the record begins.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The file cannot be read.
    #[error("failed to read the capture")]
    Read(#[source] io::Error),
}

/// An open capture.
pub struct Capture {
    format: Format,
}

enum Format {
    Pcap(pcap::Pcap),
    Pcapng(pcapng::Pcapng),
}

impl Capture {
    /// Reads the header of a capture.
    ///
    /// # Errors
    /// When it is none, or of something else than Ethernet.
    pub fn open(source: Box<dyn Read>) -> Result<Self, CaptureError> {
        let mut stream = Stream::new(Box::new(BufReader::new(source)));
        let magic = match stream.array::<4>() {
            Ok(magic) => magic,
            Err(CaptureError::Truncated { .. }) if stream.offset() == 0 => return Err(CaptureError::Empty),
            Err(CaptureError::Truncated { .. }) => return Err(CaptureError::UnknownFormat),
            Err(error) => return Err(error),
        };
        let format = match magic {
            pcapng::MAGIC => Format::Pcapng(pcapng::Pcapng::open(stream)?),
            magic => match pcap::Dialect::of(magic) {
                Some(dialect) => Format::Pcap(pcap::Pcap::open(stream, dialect)?),
                None => return Err(not_a_capture(magic)),
            },
        };
        Ok(Self { format })
    }

    /// The next frame; `None` where the capture ends as it should.
    ///
    /// # Errors
    /// When it cannot be read any further. Every frame before that was handed out.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, CaptureError> {
        match &mut self.format {
            Format::Pcap(pcap) => pcap.next_frame(),
            Format::Pcapng(pcapng) => pcapng.next_frame(),
        }
    }
}

fn not_a_capture(magic: [u8; 4]) -> CaptureError {
    let (format, command) = match magic {
        [0x1f, 0x8b, ..] => ("gzip", "gunzip -c"),
        [0xfd, b'7', b'z', b'X'] => ("xz", "xz -dc"),
        [0x28, 0xb5, 0x2f, 0xfd] => ("zstd", "zstd -dc"),
        [b'B', b'Z', b'h', _] => ("bzip2", "bunzip2 -c"),
        _ => return CaptureError::UnknownFormat,
    };
    CaptureError::Compressed { format, command }
}

/// The byte order of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }
}

#[cfg(test)]
mod tests;
