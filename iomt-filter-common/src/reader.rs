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

impl PacketReader for [u8] {
    fn length(&self) -> u32 {
        self.len() as u32
    }

    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.get(offset as usize..)?.first_chunk().copied()
    }
}
