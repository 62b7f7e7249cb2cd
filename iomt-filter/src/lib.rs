//! The agent and the command line of `iomt-filter`.

pub mod cli;
pub mod cmd;
pub mod output;
pub mod api;
pub mod agent;
pub mod diagnostic;
pub mod nearest;
pub mod glob;
pub mod document;
pub mod host;
mod clock;
pub mod numbers;
pub mod config;
pub mod inventory;
pub mod policy;
pub mod feeds;
pub mod geo;
pub mod contacts;
pub mod intent;
pub mod bundle;
pub mod rows;
pub mod image;
pub mod datapath;
pub mod capture;
pub mod events;
pub mod explain;
