//! What the candidate says otherwise, in the words of policy and inventory.

use std::collections::BTreeMap;
use std::fmt::Display;

use iomt_filter_common::geo::{Country, GeoPolicy};
use iomt_filter_common::policy::Otherwise;
use serde::{Deserialize, Serialize};

use super::Ground;
use super::lists::{self, FeedChange};
use super::tables::{self, TableChange};
use crate::datapath::plan::diff;
use crate::inventory::{Device, Inventory, show_mac};
use crate::policy::limits::Limits;
use crate::policy::model::{GeoStale, Profile, Rule};
use crate::policy::peer::Peers;
use crate::policy::service::Services;
use crate::policy::{Extras, Policy};

/// What the candidate says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Devices, by name.
    pub devices: Items,
    /// Profiles, by name; their rules apart.
    pub profiles: Items,
    /// Allow rules.
    pub rules: Lines,
    /// What holds for all devices: defaults of the policy, segments, management and protected pairs.
    pub settings: Vec<FieldChange>,
    /// Endpoints, by name.
    pub endpoints: Items,
    /// Services that the policy defines, by name.
    pub services: Items,
    /// What tables take.
    pub tables: Vec<TableChange>,
    /// How many rows of which kind differ.
    pub rows: Vec<RowsChange>,
    /// Feeds that list something else.
    pub feeds: Vec<FeedChange>,
}

/// Things with a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Items {
    /// Those that are new.
    pub added: Vec<String>,
    /// Those that go.
    pub removed: Vec<String>,
    /// Those that are otherwise.
    pub changed: Vec<ItemChange>,
}

/// A thing that is otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemChange {
    /// Its name.
    pub name: String,
    /// What of it.
    pub fields: Vec<FieldChange>,
}

/// A setting that is otherwise. What is not set is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The setting, as the file calls it.
    pub field: String,
    /// What it was.
    pub before: String,
    /// What it is to be.
    pub after: String,
}

/// Rules that are new, and rules that go. One that only stands elsewhere is neither.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// Those that are new.
    pub added: Vec<RuleLine>,
    /// Those that go, with the place where they stood.
    pub removed: Vec<RuleLine>,
}

/// A rule, and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleLine {
    /// As events call it: `PROFILE[INDEX] to PEER service SERVICE`.
    pub rule: String,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// What the user noted beside it.
    pub note: Option<String>,
}

/// Rows of one kind that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsChange {
    /// What they are.
    pub what: String,
    /// How many are new, other, or go.
    pub changed: usize,
}

impl Changes {
    /// Everything that differs; nothing but tables where nothing is known to compare with.
    pub(super) fn of(ground: &Ground<'_>) -> Self {
        let tables = tables::of(ground);
        let Some(before) = ground.before else { return Self { tables, ..Self::default() } };
        let rows = diff(&before.rows, &ground.after.rows).summary().into_iter();
        let rows = rows.map(|(what, changed)| RowsChange { what: what.to_owned(), changed }).collect();
        let rest = Self { tables, rows, feeds: lists::of(ground), ..Self::default() };
        let (Some(was), Some(is)) = (before.sources(), ground.after.sources()) else { return rest };
        let ((policy, inventory, extras), (new_policy, new_inventory, new_extras)) = (was, is);
        let names = |policy: &Policy| {
            let endpoints = policy.vocabulary.endpoints.iter();
            let endpoints =
                endpoints.map(|(name, networks)| (name.clone(), vec![("addresses", sorted(networks))]));
            let services = policy.vocabulary.services.iter();
            let services = services.map(|(name, it)| (name.clone(), vec![("ports", of_services(it))]));
            (endpoints.collect::<Described>(), services.collect::<Described>())
        };
        let ((endpoints, services), (new_endpoints, new_services)) = (names(policy), names(new_policy));
        Self {
            devices: items(&devices(inventory), &devices(new_inventory)),
            profiles: items(&profiles(policy), &profiles(new_policy)),
            rules: rules(policy, new_policy),
            settings: fields(&settings(policy, extras), &settings(new_policy, new_extras)),
            endpoints: items(&endpoints, &new_endpoints),
            services: items(&services, &new_services),
            ..rest
        }
    }

    /// Whether policy, inventory and feeds say the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { devices, profiles, rules, settings, endpoints, services, feeds, rows, tables: _ } = self;
        [devices, profiles, endpoints, services].iter().all(|items| items.is_empty())
            && rules.added.is_empty()
            && rules.removed.is_empty()
            && settings.is_empty()
            && feeds.is_empty()
            && rows.is_empty()
    }
}

impl Items {
    /// Whether nothing differs.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// Settings with what they are, in an order of their own.
type Fields = Vec<(&'static str, String)>;
/// Things by name.
type Described = BTreeMap<String, Fields>;

fn items(before: &Described, after: &Described) -> Items {
    let lacks = |other: &Described, name: &&String| !other.contains_key(*name);
    let added = after.keys().filter(|name| lacks(before, name)).cloned().collect();
    let removed = before.keys().filter(|name| lacks(after, name)).cloned().collect();
    let change = |(name, was): (&String, &Fields)| {
        let fields = fields(was, after.get(name)?);
        (!fields.is_empty()).then(|| ItemChange { name: name.clone(), fields })
    };
    Items { added, removed, changed: before.iter().filter_map(change).collect() }
}

fn fields(before: &Fields, after: &Fields) -> Vec<FieldChange> {
    let pairs = before.iter().zip(after).filter(|((_, was), (_, is))| was != is);
    let change = |((field, was), (_, is)): (&(&str, String), &(&str, String))| FieldChange {
        field: (*field).to_owned(),
        before: was.clone(),
        after: is.clone(),
    };
    pairs.map(change).collect()
}

fn devices(inventory: &Inventory) -> Described {
    let describe = |device: &Device| {
        let addresses = sorted(&device.addresses);
        let dhcp = device.by_dhcp.then(|| "dhcp".to_owned());
        let addresses = [Some(addresses).filter(|it| !it.is_empty()), dhcp];
        vec![
            ("profile", device.profile.value.clone()),
            ("mode", device.mode.map(|mode| mode.name().to_owned()).unwrap_or_default()),
            ("mac", device.mac.map(show_mac).unwrap_or_default()),
            ("vlan", if device.vlan == 0 { String::new() } else { device.vlan.to_string() }),
            ("ip", addresses.into_iter().flatten().collect::<Vec<_>>().join(", ")),
        ]
    };
    inventory.devices.iter().map(|device| (device.name.clone(), describe(device))).collect()
}

fn profiles(policy: &Policy) -> Described {
    let describe = |profile: &Profile| {
        vec![
            ("mode", profile.mode.name().to_owned()),
            ("block_score", profile.block_score.to_string()),
            ("geo", of_geo(profile)),
            ("on_block", if profile.reset { "reset" } else { "drop" }.to_owned()),
            ("fail", open_or(profile.fail_open, "closed")),
            ("on_agent_loss", open_or(profile.open_on_agent_loss, "static")),
            ("limits", of_limits(&profile.limits)),
        ]
    };
    policy.profiles.iter().map(|profile| (profile.name.clone(), describe(profile))).collect()
}

fn settings(policy: &Policy, extras: &Extras) -> Fields {
    let otherwise = |number| {
        match Otherwise::from_number(number) {
            Otherwise::Drop => "drop",
            Otherwise::Monitor => "monitor",
            Otherwise::Pass => "pass",
        }
        .to_owned()
    };
    let stale = if policy.geo_stale == GeoStale::Deny { "deny" } else { "keep" };
    let management: Vec<_> = extras.management.iter().map(|pair| without_index(&pair.name)).collect();
    let protected: Vec<_> = policy
        .protected
        .iter()
        .map(|pair| format!("{} with {}", pair.device, of_peers(&pair.peers)))
        .collect();
    vec![
        ("unknown_device", otherwise(policy.settings.unknown_device)),
        ("unparsed", otherwise(policy.settings.unparsed)),
        ("midstream", otherwise(policy.settings.midstream)),
        ("geo_stale", stale.to_owned()),
        ("loss_after", format!("{}s", extras.agent_loss_seconds)),
        ("segments", sorted(&extras.segments)),
        ("gateway", sorted(&extras.gateway)),
        ("management", sorted(&management)),
        ("protected", sorted(&protected)),
    ]
}

/// Rules by profile and by what they say: where they stand among each other changes nothing.
fn rules(before: &Policy, after: &Policy) -> Lines {
    let of = |policy: &Policy| -> BTreeMap<(String, String), RuleLine> {
        let all =
            policy.profiles.iter().flat_map(|profile| profile.rules.iter().map(move |it| (profile, it)));
        all.map(|(profile, rule)| ((profile.name.clone(), without_index(&rule.name)), line(rule))).collect()
    };
    let (was, is) = (of(before), of(after));
    let only = |those: &BTreeMap<_, RuleLine>, others: &BTreeMap<_, RuleLine>| {
        let mut lines: Vec<_> =
            those.iter().filter(|(key, _)| !others.contains_key(*key)).map(|(_, it)| it.clone()).collect();
        lines.sort_by_key(|line| line.line);
        lines
    };
    Lines { added: only(&is, &was), removed: only(&was, &is) }
}

fn line(rule: &Rule) -> RuleLine {
    let Rule { name, place, note, .. } = rule;
    RuleLine { rule: name.clone(), file: place.file.to_string(), line: place.line, note: note.clone() }
}

/// `PROFILE[INDEX] to …` without what counts the rules.
fn without_index(name: &str) -> String {
    name.split_once("] ").map_or(name, |(_, rest)| rest).to_owned()
}

fn of_geo(profile: &Profile) -> String {
    let Some(geo) = &profile.geo else { return String::new() };
    let refused: GeoPolicy = geo.refused();
    let codes = geo.countries.iter().filter_map(|country| country.code());
    let codes: Vec<_> = codes.map(|code| String::from_utf8_lossy(&code).into_owned()).collect();
    let word = if geo.is_allow { "allow" } else { "deny" };
    let unknown = if refused.denies(Country::UNKNOWN) { "deny" } else { "allow" };
    format!("{word} {}, unknown {unknown}", codes.join(","))
}

fn of_limits(limits: &Limits) -> String {
    let Limits { packets_from, packets_to, connections_from, connections_to, flows } = limits;
    let all = [
        ("from.packets", packets_from),
        ("from.connections", connections_from),
        ("to.packets", packets_to),
        ("to.connections", connections_to),
        ("flows", flows),
    ];
    let set = all.into_iter().filter_map(|(name, limit)| Some(format!("{name} {}", (*limit)?)));
    set.collect::<Vec<_>>().join(", ")
}

fn of_peers(peers: &Peers) -> String {
    let words = [(peers.any, "any"), (peers.gateway, "gateway")].into_iter();
    let words = words.filter(|(is_so, _)| *is_so).map(|(_, word)| word.to_owned());
    let profiles = peers.profiles.iter().map(|name| format!("profile:{name}"));
    let networks = peers.networks.iter().map(ToString::to_string);
    words.chain(profiles).chain(networks).collect::<Vec<_>>().join(",")
}

fn of_services(services: &Services) -> String {
    let any = services.any.then(|| "any".to_owned()).into_iter();
    any.chain(services.ranges.iter().map(ToString::to_string)).collect::<Vec<_>>().join(", ")
}

fn open_or(is_open: bool, otherwise: &str) -> String {
    if is_open { "open" } else { otherwise }.to_owned()
}

fn sorted(items: &[impl Display + Ord]) -> String {
    let mut items: Vec<_> = items.iter().collect();
    items.sort_unstable();
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
