//! Grants beside what was read: rows with others of them, and what one comes to at this moment.
//!
//! No file is read here: policy and inventory are those that the intent was made of.

use std::collections::BTreeMap;

use iomt_filter_common::geo::Country;
use iomt_filter_common::policy::{Grant as Cell, Mode};
use ipnet::IpNet;

use super::Intent;
use crate::diagnostic::{Diagnostic, Place};
use crate::nearest::did_you_mean;
use crate::numbers::Numbers;
use crate::policy::model::Grant;
use crate::policy::{Extras, Policy};
use crate::rows::{Prefix, Rows};

impl Intent {
    /// The same with other grants.
    ///
    /// # Errors
    /// When the rules of all grants together do not fit.
    pub fn with_grants(&self, numbers: &mut Numbers, grants: Vec<Grant>) -> Result<Self, Vec<Diagnostic>> {
        let Some(sources) = &self.sources else {
            return Err(vec![Diagnostic::error(
                &Place::default(),
                "nothing is loaded that could be granted",
            )]);
        };
        let (_, _, extras) = &**sources;
        self.compiled_with(numbers, Extras { grants, ..extras.clone() })
    }

    /// The same without what a grant allows, by its name, and nothing compiled anew: what another grant allows in the same
    /// cells goes too, until all are compiled again.
    #[must_use]
    pub fn without_grant(&self, name: &str) -> Self {
        let mut rows = self.rows.clone();
        let is_left = |grant: &Cell| rows.names.rules.get(&grant.rule).is_none_or(|rule| rule != name);
        let left = self.rows.grants.iter().filter(|(_, grant)| is_left(grant));
        rows.grants = left.map(|(cell, grant)| (*cell, *grant)).collect::<BTreeMap<_, _>>().into();
        self.with_rows(rows)
    }

    /// Why a grant would allow nothing; and, for one that would allow something, what bites before it.
    ///
    /// # Errors
    /// When its device, a peer or a service is unknown: what to say instead.
    pub fn examine(&self, grant: &Grant) -> Result<Vec<String>, Vec<String>> {
        let Some(sources) = &self.sources else { return Ok(Vec::new()) };
        let (policy, _, extras) = &**sources;
        examine(grant, policy, extras, &self.rows)
    }
}

/// What bites before the grant; or why it would allow nothing.
fn examine(grant: &Grant, policy: &Policy, extras: &Extras, rows: &Rows) -> Result<Vec<String>, Vec<String>> {
    let mut devices = rows.names.devices.iter();
    let number = devices.find(|(_, name)| **name == grant.device).map(|(&number, _)| number);
    let known = rows.names.devices.values().map(String::as_str);
    let unknown =
        || format!("no device is called `{}`: {}", grant.device, did_you_mean(&grant.device, known));
    let number = number.ok_or_else(|| vec![unknown()])?;
    let peers = policy.vocabulary.peers(&grant.peers)?;
    policy.vocabulary.services(&grant.services)?;
    let mut said = Vec::new();
    if peers.gateway && extras.gateway.is_empty() {
        said.push("`gateway` stands for no address: the host has none".to_owned());
    }
    let row = rows.devices.get(&number).copied().unwrap_or_default();
    let profile = rows.profiles.get(&row.profile).copied().unwrap_or_default();
    if Mode::from_number(row.mode) == Mode::Quarantine {
        said.push(format!("`{}` is in quarantine: nothing passes until that ends", grant.device));
    }
    for network in &peers.networks {
        let prefix = Prefix::from(*network);
        if covering(prefix).any(|wide| rows.protected.contains(&(number, wide))) {
            continue;
        }
        if is_listed(prefix, profile.block_score, rows) {
            said.push(format!(
                "`{}` is on a list at or above {}, and lists bite before rules: `iomt-filter events --reason blocklist` says which",
                shown(network),
                profile.block_score
            ));
        }
        if profile.has_geo != 0 && prefix.bits == 128 && prefix.address.has_country() {
            let country = covering(prefix).find_map(|wide| rows.countries.get(&wide));
            let country = country.copied().unwrap_or(Country::UNKNOWN);
            if profile.geo.denies(country) {
                said.push(format!(
                    "`{}` is in a country that the profile refuses, and countries bite before rules",
                    shown(network)
                ));
            }
        }
    }
    Ok(said)
}

/// Whether an entry that drops covers a prefix or lies inside it.
fn is_listed(prefix: Prefix, score: u8, rows: &Rows) -> bool {
    [&rows.listings, &rows.blocks].into_iter().any(|listings| {
        let around = covering(prefix).find_map(|wide| listings.get(&wide).copied());
        let mut inside = listings.inside(prefix).map(|(_, listing)| *listing);
        around.map_or_else(|| inside.any(|listing| listing.blocks(score)), |listing| listing.blocks(score))
    })
}

/// A prefix and all around it, the longest first.
fn covering(prefix: Prefix) -> impl Iterator<Item = Prefix> {
    (0..=prefix.bits).rev().map(move |bits| Prefix::of(prefix.address, bits))
}

fn shown(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}
