//! The contract and the judgement that kernel program, agent and tests share.
//!
//! A frame goes through the modules in the order in which they stand here: [`parse`](parse::parse)
//! turns bytes into a [`Packet`], [`decide`](decide::decide) turns a [`Case`] into a [`Decision`] with
//! the help of [`Tables`]. Nothing here does I/O, reads a clock, allocates or panics; time, bytes and
//! tables come in as arguments.
#![no_std]

pub mod abi;
pub mod addr;
pub mod reader;
pub mod packet;
pub mod parse;
pub mod fragment;
pub mod device;
pub mod lease;
pub mod flow;
pub mod flowtable;
pub mod query;
pub mod limit;
pub mod policy;
pub mod exception;
pub mod ports;
pub mod reputation;
pub mod geo;
pub mod lookup;
pub mod verdict;
pub mod reset;
pub mod decide;
pub mod trial;
pub mod watch;
pub mod case;
pub mod tables;
pub mod event;
pub mod counters;
pub mod pod;

pub use addr::{Address, Mac};
pub use case::Case;
pub use decide::{Stage, decide};
pub use packet::Packet;
pub use parse::{Unparsed, parse};
pub use reader::PacketReader;
pub use tables::Tables;
pub use verdict::{Decision, Direction, Reason, Verdict};
