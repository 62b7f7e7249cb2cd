//! How parsing reads a frame: the kernel program reads packet memory, tests read a slice.

/// The bytes of one frame.
pub trait PacketReader {
    /// Length of the whole frame in bytes, parts that cannot be read directly included.
    fn length(&self) -> u32;

    /// `N` bytes at `offset`, or `None` where the frame (or its directly readable part) ends before.
    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;
}

impl PacketReader for [u8] {
    fn length(&self) -> u32 {
        self.len() as u32
    }

    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.get(offset as usize..)?.first_chunk().copied()
    }
}
