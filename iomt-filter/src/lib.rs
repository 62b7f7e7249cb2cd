//! The agent and the command line of `iomt-filter`.

pub mod diagnostic;
pub mod nearest;
pub mod glob;
pub mod document;
pub mod host;
pub mod numbers;
pub mod inventory;
pub mod policy;
pub mod geo;
pub mod rows;
pub mod datapath;
pub mod capture;
pub mod events;
pub mod output;
