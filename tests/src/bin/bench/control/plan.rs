//! What a plan costs: of a large inventory, beside a list of a million, by what devices did.

use std::net::IpAddr;
use std::time::Instant;

use anyhow::{Result, ensure};
use iomt_filter::contacts::Direction;
use iomt_filter::intent::Intent;
use iomt_filter::plan::{Ground, KnownFrom, Planning, Room, Talk};
use iomt_filter_common::packet::protocol;
use jiff::Timestamp;

use crate::case;
use crate::countries::Countries;
use crate::far_ends::{self, Kind};
use crate::figure::{Figure, figure};
use crate::hospital::{ALLOWED_PORT, Family, Hospital};
use crate::sample::Sample;

const DEVICES: u32 = 10_000;
const LISTED: u32 = 1_000_000;
const CONTACTS: usize = 100_000;

/// A profile loses its rules, and a list grows by one in a hundred.
pub(super) fn plan(countries: &Countries, times: u16) -> Result<Vec<Figure>> {
    let hospital = Hospital { devices: DEVICES, listed: LISTED, ..case::HOSPITAL };
    let mut before = Intent::default();
    before.rows = hospital.rows(countries);
    before.rows.names.devices = (1..=DEVICES).map(|number| (number, name(number))).collect();
    let mut after = Intent::default();
    after.rows = before.rows.clone();
    after.rows.rules.retain(|cell, _| cell.profile != 1);
    after.rows.listings = far_ends::listings(LISTED + LISTED / 100).collect();
    let talks = talks(countries);
    let [mut compared, mut judged] = [const { Vec::new() }; 2];
    for _ in 0..times {
        let begun = Instant::now();
        let ground =
            Ground { before: Some(&before), after: &after, leases: &[], room: Room::default(), now: 1 };
        let mut planning = Planning::begin(ground, Timestamp::MIN);
        compared.push(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        talks.iter().for_each(|talk| planning.hear(talk));
        let plan = planning.end();
        judged.push(begun.elapsed().as_secs_f64());
        let cuts = plan.cuts.len() + plan.more_cuts;
        ensure!(plan.contacts == CONTACTS && plan.not_judged == 0, "{} are not judged", plan.not_judged);
        ensure!(cuts > CONTACTS / 50 && cuts < CONTACTS / 5, "{cuts} are cut");
    }
    let of = |name: &str, values: &[f64]| {
        let note = format!("{DEVICES} devices, {LISTED} listed, 100,000 contacts");
        figure(format!("a plan: {name}"), Sample::of(values).median, "s").note(note)
    };
    Ok(vec![of("what changes, and what it takes", &compared), of("contacts judged, twice each", &judged)])
}

fn name(number: u32) -> String {
    format!("device-{number}")
}

/// Each device with ten far ends of either family, half of which have no list against them.
fn talks(countries: &Countries) -> Vec<Talk> {
    let of = |family, kind| far_ends::some(countries, family, kind, CONTACTS / 4);
    let far_ends = [Family::V4, Family::V6].into_iter().flat_map(|family| {
        of(family, Kind::Clean).into_iter().chain(of(family, Kind::Listed(LISTED + LISTED / 100)))
    });
    let talk = |(number, peer): (u32, IpAddr)| Talk {
        device: name(number % DEVICES + 1).into(),
        direction: Direction::FromDevice,
        peer,
        protocol: protocol::TCP,
        port: Some(ALLOWED_PORT),
        own: None,
        first_seen: Timestamp::UNIX_EPOCH,
        last_seen: Timestamp::UNIX_EPOCH,
        packets: 10,
        bytes: 1_000,
        known_from: KnownFrom::History,
    };
    (0..).zip(far_ends).map(talk).collect()
}
