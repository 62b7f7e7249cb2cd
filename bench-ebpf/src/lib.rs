//! What the bench and its XDP programs share: sizes, names, and the place of each number.
#![no_std]

/// Length of every frame: room for the headers of IPv6 and TCP.
pub const FRAME_BYTES: usize = 128;
/// The same in words, as the driver copies it.
pub const FRAME_WORDS: usize = FRAME_BYTES / 8;
/// Frames that the driver can go through; a power of two.
pub const MAX_FRAMES: u32 = 1 << 16;
/// Programs that the driver can call.
pub const MAX_PROGRAMS: u32 = 8;

/// Name of the program that feeds frames to another.
pub const DRIVER: &str = "driver";
/// Name of the program that passes every frame.
pub const FLOOR: &str = "floor";
/// Array of frames, mapped into user space.
pub const FRAMES: &str = "FRAMES";
/// Array of programs to call.
pub const PROGRAMS: &str = "PROGRAMS";
/// Array of one [`Run`].
pub const RUN: &str = "RUN";

/// What the driver does: a table value, by the place of each word.
pub type Run = [u64; 5];

/// In [`Run`]: frames since the beginning.
pub const COUNTER: usize = 0;
/// In [`Run`]: one less than the number of frames, which is a power of two.
pub const MASK: usize = 1;
/// In [`Run`]: logarithm of the number of frames.
pub const SHIFT: usize = 2;
/// In [`Run`]: the program to call.
pub const PROGRAM: usize = 3;
/// In [`Run`]: offset of a source port that is to be new in every frame, or 0.
pub const PORT_OFFSET: usize = 4;

/// Offset of the source port behind an IPv4 header without options.
pub const PORT_OFFSET_V4: u64 = 34;
/// Offset of the source port behind an IPv6 header.
pub const PORT_OFFSET_V6: u64 = 54;
