//! The control interface: HTTP/1.1 and JSON over a Unix socket.
//!
//! [`messages`] says what goes over it, [`server`] answers, [`client`] asks. Whoever may open the socket may
//! read; only root and the agent's own user may change anything.

pub mod messages;
pub mod server;
pub mod client;
