//! How parsing reads a frame: the kernel program reads packet memory, tests read a slice.

use crate::packet::Packet;
use crate::parse::{self, Part, Unparsed};

/// The bytes of one frame.
pub trait PacketReader {
    /// Length of the whole frame in bytes, parts that cannot be read directly included.
    fn length(&self) -> u32;

    /// `N` bytes at `offset`, or `None` where the frame (or its directly readable part) ends before.
    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;

    /// Reads one part of the frame, see [`parse::run`]. The kernel program has each part verified on its
    /// own, so that what there is to walk adds up and does not multiply.
    ///
    /// # Errors
    /// As [`parse::parse`].
    #[inline(always)]
    fn run(&self, part: Part, start: u32, end: u32, packet: &mut Packet) -> Result<u32, Unparsed> {
        parse::run(part, self, start, end, packet)
    }
}

/// The same, for the few numbers that [`again`](crate::decide::again) looks at.
pub trait Glance {
    /// Bytes that are there.
    type Header: Header;

    /// Bytes of the frame that can be read directly.
    fn reach(&self) -> u32;

    /// `N` bytes at `offset`, or `None` where the directly readable part of the frame ends before. The offset is one
    /// that the compiler knows.
    fn header<const N: usize>(&self, offset: u32) -> Option<Self::Header>;
}

/// Bytes that are there, as numbers in network order. Behind their end there is nothing to be asked for.
pub trait Header: Copy {
    /// The byte at an offset.
    fn u8<const AT: usize>(self) -> u8;
    /// Two bytes from an offset on.
    fn u16<const AT: usize>(self) -> u16;
    /// Four bytes from an offset on.
    fn u32<const AT: usize>(self) -> u32;
    /// Eight bytes from an offset on.
    fn u64<const AT: usize>(self) -> u64;
}

/// The longest header that is asked for.
const LONGEST: usize = 64;

impl PacketReader for [u8] {
    fn length(&self) -> u32 {
        self.len() as u32
    }

    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.get(offset as usize..)?.first_chunk().copied()
    }
}

impl Glance for [u8] {
    type Header = Copied;

    fn reach(&self) -> u32 {
        self.length()
    }

    fn header<const N: usize>(&self, offset: u32) -> Option<Copied> {
        let bytes = self.read::<N>(offset)?;
        let mut copied = Copied { bytes: [0; LONGEST], length: N };
        copied.bytes.get_mut(..N)?.copy_from_slice(&bytes);
        Some(copied)
    }
}

/// Bytes of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Copied {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Copied {
    fn chunk<const N: usize>(&self, at: usize) -> [u8; N] {
        let chunk = self.bytes.get(at..self.length).and_then(|bytes| bytes.first_chunk());
        debug_assert!(chunk.is_some(), "{N} bytes at {at} of {}", self.length);
        chunk.copied().unwrap_or([0; N])
    }
}

impl Header for Copied {
    fn u8<const AT: usize>(self) -> u8 {
        u8::from_be_bytes(self.chunk(AT))
    }

    fn u16<const AT: usize>(self) -> u16 {
        u16::from_be_bytes(self.chunk(AT))
    }

    fn u32<const AT: usize>(self) -> u32 {
        u32::from_be_bytes(self.chunk(AT))
    }

    fn u64<const AT: usize>(self) -> u64 {
        u64::from_be_bytes(self.chunk(AT))
    }
}
