//! What fits: the rows that a generation has in each table, how many one may have, and what to do where there are
//! more. Lists, countries, policy and inventory are counted in lines, see [`Room`](super::Room).

use iomt_filter_common::abi::{MAX_PROFILES, map};

use super::apply::ApplyError;
use super::load::{GRANT_CELLS, TRIE_ROWS};
use crate::rows::Rows;

/// How full a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Its name.
    pub table: &'static str,
    /// What is in use of it.
    pub used: usize,
    /// What one generation may use: of tables that hold two at once, half.
    pub capacity: usize,
}

/// What `rows` take of each table that is written row by row, where there is room for `devices` numbers of devices.
pub(super) fn fills(rows: &Rows, devices: u32) -> [Fill; 4] {
    let devices = devices as usize;
    let half = |rows: u32| rows as usize / 2;
    // Arrays are as full as the highest number says.
    let last_device = rows.devices.last_key_value().map_or(0, |(&number, _)| number as usize);
    let last_profile = rows.profiles.last_key_value().map_or(0, |(&number, _)| usize::from(number));
    let of = |table, used, capacity| Fill { table, used, capacity };
    [
        of(map::DEVICES, last_device, devices - 1),
        of(map::PROFILES, last_profile, MAX_PROFILES as usize - 1),
        of(map::GRANTS, rows.grants.len(), half(GRANT_CELLS)),
        of(map::PROTECTED, rows.protected.len(), half(TRIE_ROWS)),
    ]
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
