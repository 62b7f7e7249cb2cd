//! The tables in lines: memory that is shared with the kernel, in two halves. One is read by the active
//! generation, the other one takes what comes next.

use std::thread;

use iomt_filter_common::abi::map;
use iomt_filter_common::geo::Country;
use iomt_filter_common::lookup::policy::Policy;
use iomt_filter_common::lookup::{Countries, Directory, Line, Listings};
use iomt_filter_common::reputation::Listing;

use super::apply::ApplyError;
use super::drift::{Drift, digest};
use super::shared::SharedWords;
use crate::feeds::merge::severest;
use crate::image::{self, Image, ImageError, PolicyRows};
use crate::rows::{Prefixes, Rows};

mod recall;

/// Lines of 64 bytes that each half of a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// For what feeds list.
    pub listings: u32,
    /// For blocks by hand. What does not fit there goes among the listings.
    pub blocks: u32,
    /// For countries.
    pub countries: u32,
    /// For policy and inventory.
    pub policy: u32,
}

impl Default for Room {
    /// For a few thousand addresses, and the countries of a small database.
    fn default() -> Self {
        Self { listings: 16_384, blocks: 16_384, countries: 16_384, policy: 32_768 }
    }
}

impl Room {
    /// For `rows`, without headroom but for where chance puts addresses.
    ///
    /// # Errors
    /// [`ImageError`], for lists that fit no table.
    pub fn of(rows: &Rows) -> Result<Self, ImageError> {
        let least = Self::default();
        let lines = |lines: usize| u32::try_from(lines).map_err(|_| ImageError::TooLarge);
        let of_countries = || image::countries(&rows.countries, FIRST);
        let (of_lists, of_countries) = beside(!rows.countries.is_empty(), of_countries, || {
            let blocks = lines(image::listings(&rows.blocks, FIRST, 0)?.lines.len())?;
            let listings = match blocks <= least.blocks {
                true => image::listings(&rows.listings, FIRST, 0)?,
                false => image::listings(&severest(&rows.listings, &rows.blocks), FIRST, 0)?,
            };
            lines(listings.lines.len())
        });
        let listings = of_lists?;
        let countries = lines(of_countries?.lines.len())?.max(least.countries);
        let policy = lines(image::policy(&PolicyRows::from(rows), FIRST)?.lines.len())?.max(least.policy / 2);
        let listings = listings.saturating_add(listings / 32).max(least.listings);
        Ok(Self { listings, countries, policy, ..least })
    }

    /// A thirty-second more, beside what [`of`](Self::of) adds, and at least for half a million listed addresses and
    /// the countries of a large database; for policy and inventory twice as much.
    #[must_use]
    pub fn with_headroom(self) -> Self {
        let more = |lines: u32, least: u32| lines.saturating_add(lines / 32).max(least);
        Self {
            listings: more(self.listings, 81_920),
            countries: more(self.countries, 32_768),
            policy: self.policy.saturating_mul(2),
            ..self
        }
    }

    /// Lines of a whole table whose halves have so many.
    pub(super) const fn of_both(half: u32) -> u32 {
        FIRST + 2 * half
    }
}

/// Line 0 is nobody's: a table that begins there is none.
const FIRST: u32 = 1;
const WORDS: usize = size_of::<Line>() / size_of::<u64>();

/// One table in lines. `R` is the rows, `T` says where in a half they are.
#[derive(Debug)]
pub(super) struct Shelf<R, T> {
    name: &'static str,
    words: SharedWords,
    /// Lines of each half.
    half: u32,
    halves: [Half<R, T>; 2],
}

/// What a half holds, where that is known.
#[derive(Debug)]
struct Half<R, T> {
    held: Option<(R, T)>,
    used: usize,
    /// Of the lines in use, as they were written.
    digest: u64,
}

/// What is to go on a shelf: a half that holds it already, or lines for one that nobody reads.
struct Staged<R, T> {
    half: usize,
    rows: R,
    tables: T,
    lines: Option<Vec<Line>>,
}

/// All tables in lines.
#[derive(Debug)]
pub(super) struct Shelves {
    pub(super) listings: Shelf<Prefixes<Listing>, Listings>,
    pub(super) blocks: Shelf<Prefixes<Listing>, Listings>,
    pub(super) countries: Shelf<Prefixes<Country>, Countries>,
    pub(super) policy: Shelf<PolicyRows, Policy>,
}

/// What is to go on all of them, see [`Shelves::stage`].
pub(super) struct StagedRows {
    listings: Staged<Prefixes<Listing>, Listings>,
    blocks: Staged<Prefixes<Listing>, Listings>,
    countries: Staged<Prefixes<Country>, Countries>,
    policy: Staged<PolicyRows, Policy>,
}

impl<R: Clone + PartialEq, T: Copy + Default> Shelf<R, T> {
    /// On the mapped lines of a table, of which there are so many.
    pub(super) fn new(name: &'static str, words: SharedWords, lines: u32) -> Self {
        let half = || Half { held: None, used: 0, digest: 0 };
        Self { name, words, half: lines.saturating_sub(FIRST) / 2, halves: [half(), half()] }
    }

    /// Whether lines have to be made for `rows`.
    fn is_new(&self, rows: &R) -> bool {
        self.held(rows).is_none()
    }

    /// The half that holds `rows`, and where in it.
    fn held(&self, rows: &R) -> Option<(usize, T)> {
        let halves = self.halves.iter().enumerate();
        halves
            .filter_map(|(half, it)| Some((half, it.held.as_ref()?)))
            .find_map(|(half, (held, tables))| (held == rows).then_some((half, *tables)))
    }

    /// Makes the lines of `rows`, for a half that is none of those that are `read`.
    fn stage(
        &self,
        rows: &R,
        read: [bool; 2],
        image: impl Fn(u32) -> Result<Image<T>, ImageError>,
    ) -> Result<Staged<R, T>, ApplyError> {
        if let Some((half, tables)) = self.held(rows) {
            return Ok(Staged { half, rows: rows.clone(), tables, lines: None });
        }
        let Some(half) = read.iter().position(|is_read| !is_read) else {
            return Err(ApplyError::Busy { table: self.name });
        };
        let Image { tables, lines } = image(FIRST + half as u32 * self.half)?;
        if !self.takes(&lines) {
            return Err(ApplyError::Large {
                table: self.name,
                needed: lines.len(),
                capacity: self.half as usize,
            });
        }
        Ok(Staged { half, rows: rows.clone(), tables, lines: Some(lines) })
    }

    /// Whether a half has room for so many.
    const fn takes(&self, lines: &[Line]) -> bool {
        lines.len() <= self.half as usize
    }

    /// Writes them; where the tables are then.
    fn put(&mut self, staged: Staged<R, T>) -> (T, u32) {
        let Staged { half, rows, tables, lines } = staged;
        if let Some(lines) = lines {
            let first = (FIRST as usize + half * self.half as usize) * WORDS;
            self.words.write(first, lines.as_flattened());
            let digest = digest(&self.words, first, lines.len() * WORDS);
            self.halves[half] = Half { held: Some((rows, tables)), used: lines.len(), digest };
        }
        (tables, half as u32)
    }

    /// Whether a half holds something else than was written, or is not said to have its tables where they are.
    fn has_drifted(&self, half: u32, tables: T) -> bool
    where
        T: PartialEq,
    {
        let index = half as usize & 1;
        let Half { held, used, digest: written } = &self.halves[index];
        let first = (FIRST as usize + index * self.half as usize) * WORDS;
        let is_written = |of: &T| *of == tables && digest(&self.words, first, used * WORDS) == *written;
        held.as_ref().is_some_and(|(_, of)| !is_written(of))
    }

    /// Forgets what the halves hold.
    fn doubt(&mut self) {
        self.halves.iter_mut().for_each(|half| half.held = None);
    }

    /// Name, lines in use of a half, and lines of a half.
    fn fill(&self, half: u32) -> (&'static str, usize, usize) {
        (self.name, self.halves[half as usize & 1].used, self.half as usize)
    }
}

impl Shelves {
    /// Makes the lines of `rows`. Nothing is written.
    ///
    /// `read` are the directories of the generations that judge, or may do so at any moment: what they refer to stays.
    pub(super) fn stage(&self, rows: &Rows, read: &[Directory]) -> Result<StagedRows, ApplyError> {
        let read = |table: usize| [0, 1].map(|half| read.iter().any(|it| it.halves[table] & 1 == half));
        let [listings, blocks, countries, policy] = [0, 1, 2, 3].map(read);
        let seed = secret();
        let of_blocks =
            |rows: &Prefixes<_>| self.blocks.stage(rows, blocks, |base| image::listings(rows, base, seed));
        let of_listings = |rows: &Prefixes<_>| {
            self.listings.stage(rows, listings, |base| image::listings(rows, base, seed))
        };
        let of_countries = || {
            self.countries.stage(&rows.countries, countries, |base| image::countries(&rows.countries, base))
        };
        // A second processor has something to do where both are new.
        let (lists, countries) =
            beside(self.countries.is_new(&rows.countries), of_countries, || match of_blocks(&rows.blocks) {
                Err(ApplyError::Large { .. }) => {
                    let all = severest(&rows.listings, &rows.blocks);
                    Ok::<_, ApplyError>((of_listings(&all)?, of_blocks(&Prefixes::default())?))
                }
                blocks => Ok((of_listings(&rows.listings)?, blocks?)),
            });
        let (listings, blocks) = lists?;
        let rows = PolicyRows::from(rows);
        let policy = self.policy.stage(&rows, policy, |base| image::policy(&rows, base))?;
        Ok(StagedRows { listings, blocks, countries: countries?, policy })
    }

    /// Writes what was staged, where no packet is judged by it yet.
    pub(super) fn put(&mut self, staged: StagedRows) -> Directory {
        let (listings, half_of_listings) = self.listings.put(staged.listings);
        let (blocks, half_of_blocks) = self.blocks.put(staged.blocks);
        let (countries, half_of_countries) = self.countries.put(staged.countries);
        let (policy, half_of_policy) = self.policy.put(staged.policy);
        let halves = [half_of_listings, half_of_blocks, half_of_countries, half_of_policy];
        Directory { listings, blocks, countries, policy, halves }
    }

    /// Names of the tables whose halves hold something else than was written.
    pub(super) fn drift(&self, read: &Directory) -> Vec<&'static str> {
        let [listings, blocks, countries, policy] = read.halves;
        let drifted = [
            (self.listings.name, self.listings.has_drifted(listings, read.listings)),
            (self.blocks.name, self.blocks.has_drifted(blocks, read.blocks)),
            (self.countries.name, self.countries.has_drifted(countries, read.countries)),
            (self.policy.name, self.policy.has_drifted(policy, read.policy)),
        ];
        drifted.into_iter().filter(|(_, has_drifted)| *has_drifted).map(|(name, _)| name).collect()
    }

    /// Forgets what those hold that were found to hold something else.
    pub(super) fn doubt(&mut self, found: &[Drift]) {
        let is_found = |name| found.iter().any(|drift| drift.table == name);
        if is_found(self.listings.name) {
            self.listings.doubt();
        }
        if is_found(self.blocks.name) {
            self.blocks.doubt();
        }
        if is_found(self.countries.name) {
            self.countries.doubt();
        }
        if is_found(self.policy.name) {
            self.policy.doubt();
        }
    }

    /// Names, lines in use and lines, as far as this process has written them.
    pub(super) fn fill(&self, read: &Directory) -> [(&'static str, usize, usize); 4] {
        let [listings, blocks, countries, policy] = read.halves;
        [
            self.listings.fill(listings),
            self.blocks.fill(blocks),
            self.countries.fill(countries),
            self.policy.fill(policy),
        ]
    }

    /// Names of the maps.
    pub(super) const NAMES: [&'static str; 4] = [map::LISTINGS, map::BLOCKS, map::COUNTRIES, map::POLICY];
}

/// Does both, the second on a thread of its own where that is worth one.
fn beside<A: Send, B>(
    is_worth_it: bool,
    on_its_own: impl FnOnce() -> A + Send,
    here: impl FnOnce() -> B,
) -> (B, A) {
    if !is_worth_it {
        return (here(), on_its_own());
    }
    thread::scope(|scope| {
        let other = scope.spawn(on_its_own);
        let here = here();
        (here, other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// A number that nobody outside can know.
pub(super) fn secret() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    RandomState::new().build_hasher().finish()
}
