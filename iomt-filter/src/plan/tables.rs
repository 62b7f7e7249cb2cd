//! What tables take before and after, and whether it fits.

use iomt_filter_common::abi::map;
use serde::{Deserialize, Serialize};

use super::Ground;
use crate::datapath::{self, Fill};
use crate::diagnostic::{Diagnostic, Place};
use crate::feeds::merge::severest;
use crate::image::{self, ImageError, PolicyRows};
use crate::rows::{Prefixes, Rows};

/// What the unit of tables in lines is called.
const LINES: &str = "lines of 64 bytes";
/// Any number but 0: lines are only counted.
const BASE: u32 = 1;

/// How full the tables are and may be, where an agent has said so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    /// Of those that are written row by row.
    pub rows: Option<[Fill; 4]>,
    /// Of listings, blocks, countries and policy, in lines.
    pub lines: Option<[Fill; 4]>,
}

/// What a table takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableChange {
    /// Its name, as in `status`.
    pub table: String,
    /// What is counted: `rows` or `lines of 64 bytes`.
    pub unit: String,
    /// What it takes before; nothing where that is not known.
    pub before: Option<usize>,
    /// What it takes after; nothing where that fits no table at all.
    pub after: Option<usize>,
    /// What it may take; nothing where that is not known.
    pub room: Option<usize>,
    /// Why it fits no table at all.
    pub problem: Option<String>,
}

impl TableChange {
    fn of_rows((table, after): (&str, usize), before: Option<usize>, room: Option<usize>) -> Self {
        let (table, unit) = (table.to_lowercase(), "rows".to_owned());
        Self { table, unit, before, after: Some(after), room, problem: None }
    }

    fn of_lines(
        table: &str,
        before: Option<usize>,
        lines: Result<usize, ImageError>,
        room: Option<usize>,
    ) -> Self {
        let (after, problem) = match lines {
            Ok(lines) => (Some(lines), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self { table: table.to_lowercase(), unit: LINES.to_owned(), before, after, room, problem }
    }

    /// Whether there is room for it.
    #[must_use]
    pub fn fits(&self) -> bool {
        match (self.after, self.room) {
            (Some(after), Some(room)) => after <= room,
            (after, _) => after.is_some(),
        }
    }
}

/// Whether there is room for all of them.
#[must_use]
pub fn fits(tables: &[TableChange]) -> bool {
    tables.iter().all(TableChange::fits)
}

/// Every table.
pub(super) fn of(ground: &Ground<'_>) -> Vec<TableChange> {
    let (before, after) = (ground.before.map(|before| &before.rows), &ground.after.rows);
    let used = before.map(datapath::used);
    let of_rows = datapath::used(after).into_iter().enumerate().map(|(at, after)| {
        let before = used.map(|used| used[at].1);
        TableChange::of_rows(after, before, ground.room.rows.map(|fills| fills[at].capacity))
    });
    of_rows.chain(of_lines(before, after, ground.room.lines)).collect()
}

fn of_lines(before: Option<&Rows>, after: &Rows, room: Option<[Fill; 4]>) -> Vec<TableChange> {
    let names = [map::LISTINGS, map::BLOCKS, map::COUNTRIES, map::POLICY];
    let for_blocks = room.map_or(datapath::Room::default().blocks as usize, |fills| fills[1].capacity);
    let of_lists = |rows: &Rows| lists(rows, for_blocks);
    let of_countries = |rows: &Rows| Ok(image::countries(&rows.countries, BASE)?.lines.len());
    let of_policy = |rows: &Rows| Ok(image::policy(&PolicyRows::from(rows), BASE)?.lines.len());
    let held = |at: usize| room.map(|fills| fills[at].used);
    // What is there already needs not to be made again to be counted.
    let same_lists = before.is_some_and(|it| it.listings == after.listings && it.blocks == after.blocks);
    let same_countries = before.is_some_and(|it| it.countries == after.countries);
    let same_policy = before.is_some_and(|it| PolicyRows::from(it) == PolicyRows::from(after));
    let [listings, blocks] = match (held(0), held(1)) {
        (Some(listings), Some(blocks)) if same_lists => [Ok(listings), Ok(blocks)],
        _ => of_lists(after),
    };
    let lines = [
        listings,
        blocks,
        held(2).filter(|_| same_countries).map_or_else(|| of_countries(after), Ok),
        held(3).filter(|_| same_policy).map_or_else(|| of_policy(after), Ok),
    ];
    let was = before.map(|rows| match room {
        Some(fills) => fills.map(|fill| Some(fill.used)),
        None => {
            let [listings, blocks] = of_lists(rows);
            [listings, blocks, of_countries(rows), of_policy(rows)].map(Result::ok)
        }
    });
    let changes = names.into_iter().zip(lines).enumerate().map(|(at, (name, lines))| {
        let was = was.and_then(|was| was[at]);
        TableChange::of_lines(name, was, lines, room.map(|fills| fills[at].capacity))
    });
    changes.collect()
}

/// Lines of listings and of blocks, of which those that do not fit go among the listings.
fn lists(rows: &Rows, for_blocks: usize) -> [Result<usize, ImageError>; 2] {
    let of = |rows: &Prefixes<_>| Ok(image::listings(rows, BASE, 0)?.lines.len());
    match of(&rows.blocks) {
        Ok(blocks) if blocks > for_blocks => [of(&severest(&rows.listings, &rows.blocks)), Ok(0)],
        blocks => [of(&rows.listings), blocks],
    }
}

/// What does not fit, in words.
pub(super) fn warnings(tables: &[TableChange]) -> Vec<Diagnostic> {
    let unfit = tables.iter().filter(|table| !table.fits());
    let warning = |table: &TableChange| {
        let message = match (&table.problem, table.after, table.room) {
            (Some(problem), ..) => format!("it does not fit: {problem}"),
            (None, Some(after), Some(room)) => {
                format!(
                    "it does not fit: table `{}` has room for {room} {}, {after} are needed",
                    table.table, table.unit
                )
            }
            _ => format!("it does not fit into table `{}`", table.table),
        };
        let help =
            "to make larger tables, run `iomt-filter detach`, then start again; or shorten what is loaded";
        Diagnostic::warning(&Place::default(), message).help(help)
    };
    unfit.map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_more_than_there_is_does_not_fit_and_is_said() {
        let table = |after, room| TableChange::of_rows(("GRANTS", after), Some(1), room);
        assert!(fits(&[table(5, Some(5)), table(5, None)]));
        let tables = [table(5, Some(5)), table(6, Some(5))];
        assert!(!fits(&tables));
        let said: Vec<_> = warnings(&tables).into_iter().map(|warning| warning.message).collect();
        assert_eq!(said, ["it does not fit: table `grants` has room for 5 rows, 6 are needed"]);
        let lists = TableChange::of_lines("LISTINGS", None, Err(ImageError::TooManyClasses), None);
        assert!(!lists.fits() && warnings(&[lists])[0].message.contains("merge feeds"));
    }
}
