//! What devices talk to: now, by the kernel's flow table, and before, by the database of contacts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use iomt_filter_common::device::Device;
use iomt_filter_common::flow::{Flow, FlowKey};
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use super::contacts::CONTACTS;
use super::core::chain;
use super::running::Running;
use crate::clock::{boottime, time_of_day};
use crate::contacts::Contacts;
use crate::feeds::FarEnd;
use crate::feeds::gate::Cut;
use crate::rows::{Prefix, Rows};

/// What runs now.
pub(super) fn flows(running: &Running) -> Vec<(FlowKey, Flow)> {
    running.readings.flows(boottime())
}

/// Far ends of devices with which they talked in the last `span`. A database that cannot be read is no reason to ask
/// for less: what is talked now counts all the same.
pub(super) fn of(flows: &[(FlowKey, Flow)], rows: &Rows, state: &Path, span: Duration) -> Vec<FarEnd> {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    if span.is_zero() {
        return Vec::new();
    }
    let since = Timestamp::now().saturating_sub(span).unwrap_or(Timestamp::MIN);
    let scores = scores(rows);
    let mut far_ends = Vec::new();
    let mut add = |device: &str, address: IpAddr, seen: Timestamp| {
        if let Some(&block_score) = scores.get(device) {
            far_ends.push(FarEnd { device: device.to_owned(), address, seen, block_score });
        }
    };
    let database = state.join(CONTACTS);
    if database.exists() {
        match Contacts::open_to_read(&database).and_then(|contacts| contacts.far_ends(since)) {
            Ok(kept) => kept
                .iter()
                .filter(|contact| contact.was_allowed())
                .for_each(|contact| add(&contact.device, contact.peer, contact.last_seen)),
            Err(error) => tracing::warn!(
                error = chain(&error),
                "who talked to whom cannot be read: a list is judged by what devices talk to now"
            ),
        }
    }
    for (key, flow) in flows {
        let seen = time_of_day(flow.last_seen);
        let ends = [(flow.opener, key.destination), (flow.responder, key.source)];
        for (device, address) in ends.into_iter().filter(|(device, _)| *device != 0 && seen >= since) {
            if let Some(name) = rows.names.devices.get(&device) {
                add(name, address.into(), seen);
            }
        }
    }
    far_ends
}

/// From which score on the packets of each device are dropped.
fn scores(rows: &Rows) -> BTreeMap<&str, u8> {
    let of = |(number, device): (&u32, &Device)| {
        let score = rows.profiles.get(&device.profile)?.block_score;
        Some((rows.names.devices.get(number)?.as_str(), score))
    };
    rows.devices.iter().filter_map(of).collect()
}

/// Which far ends `after` lists for their device that `before` did not, the latest first.
pub(super) fn cut(before: &Rows, after: &Rows, far_ends: &[FarEnd]) -> Vec<Cut> {
    let mut cuts = BTreeMap::new();
    for far_end in far_ends {
        let address = far_end.address.into();
        let (was, is) = (before.listing(address), after.listing(address));
        if is.blocks(far_end.block_score) && !was.blocks(far_end.block_score) {
            let entry = Prefix::of(address, is.prefix_bits);
            let entry = IpNet::new(
                entry.address.into(),
                entry.bits.saturating_sub(if address.is_v4() { 96 } else { 0 }),
            );
            let Ok(entry) = entry else { continue };
            let (device, peer, score) = (far_end.device.clone(), far_end.address, is.score);
            let cut = Cut { device: device.clone(), peer, entry, score, line: 0, seen: far_end.seen };
            cuts.insert((device, peer), cut);
        }
    }
    let mut cuts: Vec<Cut> = cuts.into_values().collect();
    cuts.sort_by_key(|cut| std::cmp::Reverse(cut.seen));
    cuts
}

/// What blocks of these `targets` cut devices from that they talk to now, a sentence each.
pub(super) fn cut_by_hand(running: &Running, targets: &BTreeSet<IpNet>) -> Vec<String> {
    let rows = &running.intent.rows;
    let mut cuts = BTreeSet::new();
    for (key, flow) in flows(running) {
        let ends = [(flow.opener, key.destination), (flow.responder, key.source)];
        for (device, address) in ends.into_iter().filter(|(device, _)| *device != 0) {
            let (Some(name), Some(row)) = (rows.names.devices.get(&device), rows.devices.get(&device)) else {
                continue;
            };
            let score = rows.profiles.get(&row.profile).map_or(0, |profile| profile.block_score);
            let is_cut = rows.blocks.longest(address).is_some_and(|block| block.blocks(score));
            let peer = IpAddr::from(address);
            let is_of_these =
                |bits| IpNet::new(peer, bits).is_ok_and(|network| targets.contains(&network.trunc()));
            let longest = if peer.is_ipv4() { 32 } else { 128 };
            if is_cut && (0..=longest).any(is_of_these) {
                cuts.insert(format!("this cuts `{name}` from {peer}, which it talks to"));
            }
        }
    }
    cuts.into_iter().collect()
}
