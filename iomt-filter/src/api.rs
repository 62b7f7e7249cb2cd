//! The control interface: HTTP/1.1 and JSON over a Unix socket.
//!
//! [`messages`] says what goes over it, [`server`] answers, [`client`] asks. Whoever may open the socket may
//! read; only root and the agent's own user may change anything. However many ask, the agent goes on with its
//! work: `connections` bounds who is listened to, `bounded` what they may send, `room` how many are answered at once.

pub mod messages;
mod connections;
mod bounded;
mod room;
pub mod server;
pub mod client;
