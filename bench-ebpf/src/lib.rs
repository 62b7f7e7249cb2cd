//! What the bench and its XDP programs share: sizes, names, and the place of each number.
#![no_std]

/// Length of every frame: room for the headers of IPv6 and TCP.
pub const FRAME_BYTES: usize = 128;
/// The same in words, as the driver copies it.
pub const FRAME_WORDS: usize = FRAME_BYTES / 8;
/// Frames that the driver can go through at most; a power of two.
pub const MAX_FRAMES: u32 = 1 << 20;
/// Programs that each driver can call.
pub const MAX_PROGRAMS: u32 = 8;

/// Name of the program that feeds frames to another one that takes fragments, as the filter does.
pub const DRIVER: &str = "driver";
/// Name of the same for programs that take none: an array of programs holds one kind.
pub const PLAIN_DRIVER: &str = "plain_driver";
/// Name of the program that lets the first one of [`PROGRAMS`] judge a packet as it is.
pub const ENTER: &str = "enter";
/// Name of the program that passes every frame.
pub const FLOOR: &str = "floor";
/// Name of the same without fragments.
pub const PLAIN_FLOOR: &str = "plain_floor";
/// Name of the program that drops every frame.
pub const DROP: &str = "drop";
/// Name of the program that sends frames out of an interface.
pub const GENERATOR: &str = "generator";
/// Name of the filter that is made of the kernel's own maps.
pub const VARIANT: &str = "variant";
/// Array of frames, mapped into user space.
pub const FRAMES: &str = "FRAMES";
/// Array of programs that [`DRIVER`] and [`ENTER`] call.
pub const PROGRAMS: &str = "PROGRAMS";
/// Array of programs that [`PLAIN_DRIVER`] calls.
pub const PLAIN_PROGRAMS: &str = "PLAIN_PROGRAMS";
/// Array of one [`Run`].
pub const RUN: &str = "RUN";

/// What driver and generator do: a table value, by the place of each word.
pub type Run = [u64; 6];

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
/// In [`Run`]: index of the interface that the generator sends to.
pub const INTERFACE: usize = 5;

/// Offset of the source port behind an IPv4 header without options.
pub const PORT_OFFSET_V4: u64 = 34;
/// Offset of the source port behind an IPv6 header.
pub const PORT_OFFSET_V6: u64 = 54;

pub mod variant {
    //! The tables of the variant.

    /// Trie of listed prefixes of IPv4.
    pub const LISTED_V4: &str = "LISTED_V4";
    /// Trie of listed prefixes of IPv6.
    pub const LISTED_V6: &str = "LISTED_V6";
    /// Trie of countries of IPv4.
    pub const COUNTRIES_V4: &str = "COUNTRIES_V4";
    /// Trie of countries of IPv6.
    pub const COUNTRIES_V6: &str = "COUNTRIES_V6";
    /// Set of countries that are denied, a bit each: an array of one [`Denied`].
    pub const DENIED: &str = "DENIED";
    /// Hardware address to device.
    pub const MACS: &str = "MACS";
    /// Ports that are allowed.
    pub const ALLOWED: &str = "ALLOWED";
    /// Flows of IPv4.
    pub const FLOWS_V4: &str = "FLOWS_V4";
    /// Flows of IPv6.
    pub const FLOWS_V6: &str = "FLOWS_V6";
    /// Frames by [outcome](self#constants), for each processor.
    pub const OUTCOMES: &str = "OUTCOMES";

    /// Bits of [`DENIED`].
    pub type Denied = [u64; 16];
    /// A flow of IPv4: addresses, ports, protocol.
    pub type FlowV4 = [u32; 4];
    /// A flow of IPv6, the same way.
    pub type FlowV6 = [u32; 10];
    /// When a flow was last seen, and how many frames of it.
    pub type Seen = [u64; 2];

    /// No device sent it: passed.
    pub const NO_DEVICE: u32 = 0;
    /// Of a flow that is remembered: passed.
    pub const ESTABLISHED: u32 = 1;
    /// To a far end that is listed: dropped.
    pub const LISTED: u32 = 2;
    /// To a country that is denied: dropped.
    pub const COUNTRY: u32 = 3;
    /// To a port that is not allowed: dropped.
    pub const NOT_ALLOWED: u32 = 4;
    /// The first of a flow that is remembered from now on: passed.
    pub const OPENED: u32 = 5;
    /// How many there are.
    pub const OUTCOME_COUNT: u32 = 6;
}

pub mod lookups {
    //! Lookups alone.

    /// Name of the program that only picks addresses.
    pub const PICK: &str = "pick";
    /// Name of the one that asks the filter's own tables.
    pub const FLAT: &str = "flat";
    /// Name of the one that asks tries of IPv4.
    pub const TRIES_V4: &str = "tries_v4";
    /// Name of the one that asks tries of IPv6.
    pub const TRIES_V6: &str = "tries_v6";

    /// Array of the addresses that are looked up.
    pub const ADDRESSES: &str = "ADDRESSES";
    /// Array of one [`Progress`].
    pub const PROGRESS: &str = "PROGRESS";
    /// Array of one directory of the filter's tables.
    pub const FLAT_TABLES: &str = "FLAT_TABLES";
    /// Lines of the lists.
    pub const FLAT_LISTED: &str = "FLAT_LISTED";
    /// Lines of the countries.
    pub const FLAT_COUNTRIES: &str = "FLAT_COUNTRIES";

    /// Lookups of one run of a program.
    pub const PER_RUN: u32 = 64;
    /// An answer is this and the score of a listed address, or the country of one that is not.
    pub const LISTED: u32 = 1000;

    /// How far it is, by the place of each word.
    pub type Progress = [u64; 3];
    /// In [`Progress`]: lookups since the beginning.
    pub const COUNTER: usize = 0;
    /// In [`Progress`]: one less than the number of addresses, which is a power of two.
    pub const MASK: usize = 1;
    /// In [`Progress`]: sum of all answers.
    pub const SUM: usize = 2;
}
