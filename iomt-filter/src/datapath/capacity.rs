//! What fits: the rows that a generation has in each table, how many one may have, and what to do where there are
//! more. Lists, countries, policy and inventory are counted in lines, see [`Room`](super::Room).

use iomt_filter_common::abi::{MAX_PROFILES, map};

use super::apply::ApplyError;
use super::load::{GRANT_CELLS, PROTECTED_ROWS};
use crate::rows::Rows;

/// How full a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Its name.
    pub table: &'static str,
    /// What is in use of it.
    pub used: usize,
    /// What one generation may use, however full the other slots are.
    pub capacity: usize,
}

/// What `rows` take of each table that is written row by row: arrays are as full as the highest number says.
#[must_use]
pub fn used(rows: &Rows) -> [(&'static str, usize); 4] {
    let last_device = rows.devices.last_key_value().map_or(0, |(&number, _)| number as usize);
    let last_profile = rows.profiles.last_key_value().map_or(0, |(&number, _)| usize::from(number));
    [
        (map::DEVICES, last_device),
        (map::PROFILES, last_profile),
        (map::GRANTS, rows.grants.len()),
        (map::PROTECTED, rows.protected.len()),
    ]
}

/// The same, where there is room for `devices` numbers of devices.
pub(super) fn fills(rows: &Rows, devices: u32) -> [Fill; 4] {
    let most =
        [devices as usize - 1, MAX_PROFILES as usize - 1, GRANT_CELLS as usize, PROTECTED_ROWS as usize];
    let [devices, profiles, grants, protected] = used(rows);
    let of = |(table, used), capacity| Fill { table, used, capacity };
    let [of_devices, of_profiles, of_grants, of_protected] = most;
    [of(devices, of_devices), of(profiles, of_profiles), of(grants, of_grants), of(protected, of_protected)]
}

/// Refuses rows of which one table has more than it may.
pub(super) fn check(rows: &Rows, devices: u32) -> Result<(), ApplyError> {
    let full = fills(rows, devices).into_iter().find(|fill| fill.used > fill.capacity);
    full.map_or(Ok(()), |Fill { table, used, capacity }| {
        Err(ApplyError::Full { table, needed: used, capacity, way_out: way_out(table) })
    })
}

fn way_out(table: &str) -> &'static str {
    match table {
        map::DEVICES => "to make larger tables, run `iomt-filter detach`, then start again",
        map::PROFILES => "give more devices the same profile",
        map::GRANTS => "revoke grants, or name fewer peers and services in them",
        map::PROTECTED => "protect fewer devices, or wider peers",
        _ => "name fewer or wider prefixes and ranges of ports in the rules",
    }
}
