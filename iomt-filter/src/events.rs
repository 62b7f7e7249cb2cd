//! placeholder seam
use std::borrow::Cow; use std::fmt;
use iomt_filter_common::{Mac, event::Event};
use serde::{Serialize,Deserialize};
use jiff::Timestamp;
use crate::intent::Intent; use crate::datapath::Attachment;
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record { pub time: Timestamp, pub device: Option<String>, pub reason: String }
impl fmt::Display for Record { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{} {}", self.time, self.reason) } }
#[derive(Debug)]
pub struct Context { }
impl Context { pub fn new(_: &str, _: &Intent, _: &[Attachment]) -> Self { Self{} } }
pub fn decode(_e: &Event, _c: &Context) -> Record { Record { time: Timestamp::now(), device: None, reason: _e.decision.reason().map_or("?", |r| r.name()).into() } }
pub fn mac(m: Mac) -> String { format!("{m:?}") }
pub fn protocol_name(p: u8) -> Cow<'static, str> { p.to_string().into() }
