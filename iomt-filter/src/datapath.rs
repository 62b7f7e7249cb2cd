//! The running filter: loads the program, attaches it, and makes its tables hold what rows say.
//!
//! Knows interfaces, maps and generations; never what a profile or a feed is. Everything left of here
//! comes in as [`Rows`](crate::rows::Rows).

pub mod load;
pub mod attach;
pub mod maps;
pub mod plan;
pub mod apply;
mod change;
mod trial;
mod drift;
mod exceptions;
mod capacity;
pub mod generation;
pub mod lock;
mod flows;
mod link;
mod hold;
pub(crate) mod pins;
mod ports;
pub mod replay;
pub mod counts;
mod learned;
mod counters;
mod shared;
mod shelves;
mod readings;
mod watching;

pub use apply::ApplyError;
pub use attach::{AttachError, AttachMode, Attachment, Standing};
pub use capacity::{Fill, used};
pub use change::Pending;
pub use drift::Drift;
pub use generation::{Generation, Heartbeat};
pub use hold::Hold;
pub use learned::Learned;
pub use load::{Datapath, LoadError, LoadOptions};
pub use lock::WriterToken;
pub use ports::Roles;
pub use readings::Readings;
pub use shelves::Room;
pub use trial::Trial;
