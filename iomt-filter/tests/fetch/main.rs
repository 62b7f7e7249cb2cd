//! Feeds from real servers on this machine: what comes over the wire goes in, and what a feed is fetched as comes out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod authority;
mod crowdsec;
mod http;
mod misp;
mod path;
mod proxy;
mod records;
mod secrets;
mod server;
mod signature;
mod source;
mod taxii;
mod taxii_scripted;
mod tls;
mod tools;
