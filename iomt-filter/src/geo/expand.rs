//! From the networks of a database to rows: only what the policy tells apart, neighbours merged.

use std::collections::BTreeSet;

use iomt_filter_common::geo::Country;
use ipnet::IpNet;

use super::database::{CountryDatabase, DatabaseError};
use crate::policy::Policy;
use crate::policy::peer::canonical;
use crate::rows::{Prefix, Prefixes};

/// What the profiles of a policy tell apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distinctions {
    /// Countries that some profile names.
    pub countries: BTreeSet<Country>,
    /// Whether some profile treats a country that none names in another way than an unknown one.
    pub other: bool,
}

impl Distinctions {
    /// What `policy` tells apart.
    pub fn of(policy: &Policy) -> Self {
        let geos = policy.profiles.iter().filter_map(|profile| profile.geo.as_ref());
        let mut all = Self::default();
        for geo in geos {
            let refused = geo.refused();
            all.countries.extend(&geo.countries);
            all.other |= refused.denies(Country::OTHER) != refused.denies(Country::UNKNOWN);
        }
        all
    }

    /// Whether countries matter at all.
    pub fn is_empty(&self) -> bool {
        self.countries.is_empty() && !self.other
    }

    /// What a country of the database is in the rows; `None` for what needs no row.
    fn row(&self, country: Country) -> Option<Country> {
        match country {
            Country::UNKNOWN => None,
            named if self.countries.contains(&named) => Some(named),
            _ => self.other.then_some(Country::OTHER),
        }
    }
}

/// The prefixes of all countries that matter. Networks of a database never contain each other, so
/// merging neighbours of one country is all there is to do.
pub fn expand(
    database: &CountryDatabase,
    distinctions: &Distinctions,
) -> Result<Prefixes<Country>, DatabaseError> {
    if distinctions.is_empty() {
        return Ok(Prefixes::default());
    }
    let mut merged: Vec<(IpNet, Country)> = Vec::new();
    for found in database.networks()? {
        let (network, country) = found?;
        if let Some(row) = distinctions.row(country) {
            push(&mut merged, canonical(network.trunc()), row);
        }
    }
    Ok(merged.iter().map(|&(network, row)| (Prefix::from(network), row)).collect())
}

/// Adds a network; as long as it is the second half of a prefix whose first half came before it, and
/// of the same country, the two become that prefix.
fn push(merged: &mut Vec<(IpNet, Country)>, network: IpNet, country: Country) {
    let mut whole = network;
    while let (Some(&(before, same)), Some(parent)) = (merged.last(), whole.supernet()) {
        let is_sibling = before.supernet() == Some(parent) && before != whole;
        if same != country || !is_sibling {
            break;
        }
        merged.pop();
        whole = parent;
    }
    merged.push((whole, country));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn country(code: &str) -> Country {
        super::super::codes::country(code).unwrap()
    }

    #[test]
    fn neighbours_of_one_country_are_one() {
        let mut merged = Vec::new();
        for text in ["10.0.0.0/26", "10.0.0.64/26", "10.0.0.128/25", "10.0.1.0/24", "10.0.2.0/24"] {
            push(&mut merged, text.parse().unwrap(), country("DE"));
        }
        push(&mut merged, "10.0.3.0/24".parse().unwrap(), country("FR"));
        let shown: Vec<_> = merged.iter().map(|(network, _)| network.to_string()).collect();
        assert_eq!(shown, ["10.0.0.0/23", "10.0.2.0/24", "10.0.3.0/24"]);
    }

    #[test]
    fn only_what_is_told_apart_needs_a_row() {
        let deny = Distinctions { countries: [country("RU")].into(), other: false };
        assert_eq!(deny.row(country("RU")), Some(country("RU")));
        assert_eq!(deny.row(country("DE")), None);
        let allow = Distinctions { other: true, ..deny };
        assert_eq!(allow.row(country("DE")), Some(Country::OTHER));
        assert_eq!(allow.row(Country::UNKNOWN), None);
    }
}
