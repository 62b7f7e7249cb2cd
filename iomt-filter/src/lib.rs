//! The agent and the command line of `iomt-filter`.

pub mod rows;
pub mod datapath;
