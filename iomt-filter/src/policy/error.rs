//! What can be wrong with a policy, and what to do about it.
//!
//! The texts stand in one table here; places are added by whoever finds a problem.

use iomt_filter_common::abi::{MAX_CLIENTS, MAX_PEER_CLASSES, MAX_PROFILES};
use thiserror::Error;

use super::peer::NetworkError;
use super::service::ServiceError;
use crate::diagnostic::{Diagnostic, Place};

/// Cells of the rule matrix in one generation.
pub const MAX_RULE_CELLS: usize = 1 << 20;

/// A problem of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the message of each says what it is")]
pub enum Problem {
    #[error("this policy has no `version`")]
    NoVersion,
    #[error("unknown policy version {0}")]
    WrongVersion(u32),
    #[error("`{0}` cannot be a name")]
    BadName(String),
    #[error("`{0}` is built in")]
    BuiltIn(String),
    #[error("`{0}` names nothing")]
    Empty(String),
    #[error("unknown endpoint `{0}`")]
    UnknownEndpoint(String),
    #[error("unknown profile `{0}`")]
    UnknownProfile(String),
    #[error("{0}")]
    Network(NetworkError),
    #[error("{0}")]
    Service(ServiceError),
    #[error("a rule has either `to` or `from`, not both")]
    BothDirections,
    #[error("this rule has neither `to` nor `from`")]
    NoDirection,
    #[error("this rule has no `service`")]
    NoService,
    #[error("a protected pair has no `{0}`")]
    IncompletePair(&'static str),
    #[error("`geo` has both `allow` and `deny`")]
    BothGeo,
    #[error("`geo` has neither `allow` nor `deny`")]
    NoGeo,
    #[error("`{0}` is no country code")]
    BadCountry(String),
    #[error("this rule is the same as one before it")]
    Duplicate,
    #[error("this rule is shadowed: one before it allows everything that this one does")]
    Shadowed,
    #[error("this rule is shadowed: those before it together allow everything that this one does")]
    ShadowedTogether,
    #[error("this rule overlaps one before it")]
    Overlapping,
    #[error("`gateway` stands for no address: the host has none")]
    NoGateway,
    #[error("no device is called `{0}`")]
    NoSuchDevice(String),
    #[error("`geo` is set, but there is no country database: every country counts as unknown")]
    NoDatabase,
    #[error("`geo` is set, but there is no country database: every public address is refused (`geo_stale`)")]
    NoDatabaseDenied,
    #[error("no segment is known, so unknown devices behind the device ports go unnoticed on the uplink")]
    NoSegments,
    #[error("{0} profiles do not fit: there is room for {max}", max = MAX_PROFILES - 1)]
    TooManyProfiles(usize),
    #[error("the rules tell {0} kinds of peers apart: there is room for {MAX_PEER_CLASSES}")]
    TooManyPeers(usize),
    #[error("the rules tell {0} kinds of services apart: there is room for {max}", max = u16::MAX - 1)]
    TooManyServices(usize),
    #[error("the rules come to more than {MAX_RULE_CELLS} combinations of peers and services")]
    TooManyCells,
    #[error("no number is left for device `{0}`")]
    NoNumber(String),
    #[error(
        "more than {MAX_CLIENTS} devices with `dhcp` have the hardware address `{0}`: of `{1}` no lease is learned"
    )]
    TooManyClients(String, String),
}

impl Problem {
    /// What to do next, where the message does not say it already.
    pub fn help(&self) -> Option<String> {
        let text = match self {
            Self::NoVersion | Self::WrongVersion(_) => "write `version = 1` at the top",
            Self::BadName(_) => "names are letters, digits, `-`, `_` and `.`, and no address",
            Self::BuiltIn(_) => "choose another name",
            Self::Empty(_) => "name at least one, or remove it",
            Self::BothDirections => "split it into two rules",
            Self::NoDirection => {
                "add `to = \"…\"` where the device opens, `from = \"…\"` where the peer does"
            }
            Self::NoService => "add `service = \"…\"`; everything is written `service = \"any\"`",
            Self::IncompletePair(_) => "write `{ device = \"monitor-*\", peer = \"10.20.1.5\" }`",
            Self::BothGeo => "keep one: `allow` refuses every other country, `deny` only those it names",
            Self::NoGeo => "write `geo = { allow = [\"US\", \"DE\"] }` or `geo = { deny = [\"…\"] }`",
            Self::BadCountry(_) => "write two letters of ISO 3166-1, as in `DE`",
            Self::Duplicate | Self::Shadowed | Self::ShadowedTogether => {
                "remove it; or, if it is to say why something is allowed, put the narrower rule first"
            }
            Self::Overlapping => "events name the first of the two; narrow one of them if that matters",
            Self::NoGateway => "name the address instead",
            Self::NoSuchDevice(_) => "no pair is protected by this line",
            Self::NoDatabase | Self::NoDatabaseDenied => "set `database` in `[geo]` of the configuration",
            Self::NoSegments => "set `segments` in `[interfaces]` of the configuration",
            Self::TooManyProfiles(_) => "let devices that need the same share a profile",
            Self::TooManyPeers(_) | Self::TooManyServices(_) | Self::TooManyCells => {
                "use fewer, wider prefixes and port ranges, and share endpoints between rules"
            }
            Self::TooManyClients(..) => "give it its address in place of `dhcp`",
            Self::Network(error) => return Some(error.help()),
            Self::UnknownEndpoint(_) | Self::UnknownProfile(_) | Self::Service(_) | Self::NoNumber(_) => {
                return None;
            }
        };
        Some(text.to_owned())
    }

    /// As an error at `place`.
    pub fn error(&self, place: &Place) -> Diagnostic {
        let diagnostic = Diagnostic::error(place, self.to_string());
        match self.help() {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }

    /// As a warning at `place`.
    pub fn warning(&self, place: &Place) -> Diagnostic {
        let diagnostic = Diagnostic::warning(place, self.to_string());
        match self.help() {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }
}
