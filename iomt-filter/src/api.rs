//! The control interface: HTTP/1.1 and JSON over a Unix socket.
//!
//! [`messages`] says what goes over it, [`server`] answers, [`client`] asks. Who may read and who may change something
//! [`access`] says, by who they are: by `credentials`, which is the kernel's word. However many ask, the agent goes on
//! with its work: `connections` bounds who is listened to, `bounded` what they may send, `room` how many are answered at
//! once. [`metrics`] is the one door that is not this socket.

pub mod messages;
mod credentials;
pub mod access;
mod connections;
mod bounded;
mod request;
mod events;
mod room;
pub mod server;
pub mod metrics;
pub mod client;
