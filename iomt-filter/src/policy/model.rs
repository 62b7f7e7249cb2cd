//! What a policy means: names resolved, defaults filled in, every rule with its place.

use std::collections::BTreeSet;

use iomt_filter_common::geo::{Country, GeoPolicy};
use iomt_filter_common::policy::{Mode, RuleDirection, Settings};
use serde::Serialize;

use super::limits::Limits;
use super::overlap;
use super::peer::Peers;
use super::resolve::{Vocabulary, resolve};
use super::service::Services;
use super::source;
use crate::diagnostic::{Diagnostic, Place, SourceFile, unless_errors};

/// A policy.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// What holds for all devices, without what only rows know.
    pub settings: Settings,
    /// Profiles, in the order of the file.
    pub profiles: Vec<Profile>,
    /// Pairs that no feed and no geo rule may cut.
    pub protected: Vec<Pair>,
    /// What holds for profiles with `geo` where countries can no longer be told.
    pub geo_stale: GeoStale,
    /// The names that it gives, for whoever is to read peers and services as its rules do.
    pub vocabulary: Vocabulary,
    /// The file as a whole.
    pub place: Place,
}

/// What holds for profiles with `geo` while there is no country database that is young enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GeoStale {
    /// What an old one says counts on; without any, every country is unknown.
    #[default]
    Keep,
    /// Every far end that could have a country is refused.
    Deny,
}

/// A profile.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// The mode of its devices, unless a device has one of its own.
    pub mode: Mode,
    /// Entries listed at or above this score are dropped.
    pub block_score: u8,
    /// Allow rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// Countries.
    pub geo: Option<Geo>,
    /// Whether a blocked TCP packet is answered by a reset.
    pub reset: bool,
    /// Whether devices pass where no policy can be evaluated.
    pub fail_open: bool,
    /// Whether devices pass after the agent has been missing too long.
    pub open_on_agent_loss: bool,
    /// How much its devices may send, be sent and have open.
    pub limits: Limits,
}

/// An allow rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Who opens.
    pub direction: RuleDirection,
    /// With whom.
    pub peers: Peers,
    /// What.
    pub services: Services,
    /// How events call it: `PROFILE[INDEX] to PEER service SERVICE`.
    pub name: String,
    /// What the user noted.
    pub note: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// Access of one device that ends by itself.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The device, by name.
    pub device: String,
    /// Who opens.
    pub direction: RuleDirection,
    /// With whom, as a rule names it.
    pub peers: Vec<String>,
    /// What, as a rule names it.
    pub services: Vec<String>,
    /// How events call it.
    pub name: String,
    /// When it ends, in nanoseconds of `CLOCK_BOOTTIME`.
    pub expires: u64,
}

/// What a profile says of countries.
#[derive(Clone, Debug)]
pub struct Geo {
    /// Whether `countries` are the only ones allowed, or those denied.
    pub is_allow: bool,
    /// The countries that it names.
    pub countries: BTreeSet<Country>,
    /// Whether addresses without a country are denied.
    pub deny_unknown: bool,
    /// Where it stands.
    pub place: Place,
}

/// Devices and the far ends that they must always reach.
#[derive(Clone, Debug)]
pub struct Pair {
    /// A glob over device names.
    pub device: String,
    /// The far ends.
    pub peers: Peers,
    /// Where it stands.
    pub place: Place,
}

/// A pair of the configuration that nothing may cut: a peer and what it may open on every device.
#[derive(Clone, Debug)]
pub struct Management {
    /// The peers, addresses only.
    pub peers: Peers,
    /// The services.
    pub services: Services,
    /// How it is called.
    pub name: String,
}

impl Policy {
    /// Reads a policy file; warnings come with it, every error instead of it.
    pub fn parse(file: &SourceFile) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let (source, mut found) = source::parse(file);
        let policy = resolve(source, file.whole(), &mut found);
        found.extend(policy.profiles.iter().flat_map(overlap::find));
        Ok((policy, unless_errors(found)?))
    }

    /// The profile of that name.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.name == name)
    }
}

impl Geo {
    /// The countries that are refused, as the tables hold them.
    pub fn refused(&self) -> GeoPolicy {
        let mut refused = GeoPolicy::default();
        let codes = (Country::UNKNOWN.0 + 1..Country::OTHER.0).map(Country);
        for country in codes.filter(|country| self.countries.contains(country) != self.is_allow) {
            refused.deny(country);
        }
        if self.is_allow {
            refused.deny(Country::OTHER);
        }
        if self.deny_unknown {
            refused.deny(Country::UNKNOWN);
        }
        refused
    }

    /// Every country, and what has none: what is refused where no country can be told.
    pub fn all() -> GeoPolicy {
        let mut refused = GeoPolicy::default();
        (Country::UNKNOWN.0..=Country::OTHER.0).for_each(|country| refused.deny(Country(country)));
        refused
    }
}
