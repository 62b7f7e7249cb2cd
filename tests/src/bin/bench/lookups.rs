//! Lookups alone: the filter's tables and the kernel's tries with the same lists and countries, asked for the same
//! addresses.

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, Map, MapData};
use aya::programs::{TestRun as _, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use bench_ebpf::FRAME_BYTES;
use bench_ebpf::lookups::{
    ADDRESSES, COUNTER, FLAT, FLAT_COUNTRIES, FLAT_LISTED, FLAT_TABLES, LISTED, MASK, PER_RUN, PICK,
    PROGRESS, Progress, SUM, TRIES_V4, TRIES_V6,
};
use bench_ebpf::variant::{COUNTRIES_V4, COUNTRIES_V6, LISTED_V4, LISTED_V6};
use iomt_filter::image::{self, Image};
use iomt_filter::rows::Prefixes;
use iomt_filter_common::Address;
use iomt_filter_common::lookup::{Directory, Line};
use iomt_filter_common::reputation::Listing;

use crate::countries::Countries;
use crate::driver::{OBJECT, cpu_time, xdp};
use crate::far_ends::{self, Kind};
use crate::figure::{Figure, figure};
use crate::hospital::Family;
use crate::measure::pin;
use crate::sample::Sample;
use crate::variant::{TRIE_ROWS, fill_v4, fill_v6};

pub(crate) const ABOUT: &str = "nanoseconds a lookup in the list and, of what is not listed, in the countries; net of a program that only picks \
    the address, median; each waits for the answer of the one before. No blocks by hand. The sum of all \
    answers is what it must be, in every repetition";

/// Listed of each family.
const LISTED_COUNT: u32 = 1_000_000;
/// Logarithms of the number of addresses: those that stay in the caches, and those that do not.
const HOT: u32 = 12;
const COLD: u32 = 17;

/// All figures.
pub(crate) fn measure(countries: &Countries, is_short: bool) -> Result<Vec<Figure>> {
    pin()?;
    let listings: Prefixes<Listing> = far_ends::as_many(LISTED_COUNT).collect();
    let mut tables = Tables::load(&listings, countries)?;
    let repetitions = if is_short { 5 } else { 11 };
    let mut figures = Vec::new();
    for family in [Family::V4, Family::V6] {
        for (what, kind, log2_count) in [
            ("clean far ends", Kind::Clean, COLD),
            ("clean far ends, hot", Kind::Clean, HOT),
            ("listed far ends", Kind::Listed(LISTED_COUNT), COLD),
        ] {
            let addresses = match kind {
                Kind::Listed(count) => far_ends::of_all_listed(family, count, 1 << log2_count),
                Kind::Clean | Kind::Denied => far_ends::some(countries, family, kind, 1 << log2_count),
            };
            let addresses: Vec<Address> = addresses.into_iter().map(Address::from).collect();
            tables.set_addresses(&addresses)?;
            let answers = addresses.iter().map(|address| answer(&listings, countries, *address));
            figures.extend(tables.compare(family, what, answers.sum(), repetitions)?);
        }
    }
    Ok(figures)
}

/// What must be answered, by a search of the rows.
fn answer(listings: &Prefixes<Listing>, countries: &Countries, address: Address) -> u64 {
    match listings.longest(address) {
        Some(listing) => u64::from(LISTED) + u64::from(listing.score),
        None => u64::from(countries.find(address.into()).0),
    }
}

/// The loaded programs and their tables.
struct Tables {
    ebpf: Ebpf,
    addresses: Array<MapData, Address>,
    progress: Array<MapData, Progress>,
    count: u32,
}

impl Tables {
    fn load(listings: &Prefixes<Listing>, countries: &Countries) -> Result<Self> {
        let listed = image::listings(listings, 1, 0x5eed)?;
        let all = image::countries(&countries.rows, 1)?;
        let mut loader = EbpfLoader::new();
        for trie in [LISTED_V4, LISTED_V6, COUNTRIES_V4, COUNTRIES_V6] {
            loader.map_max_entries(trie, TRIE_ROWS);
        }
        loader.map_max_entries(FLAT_LISTED, listed.lines.len() as u32 + 1);
        loader.map_max_entries(FLAT_COUNTRIES, all.lines.len() as u32 + 1);
        loader.map_max_entries(ADDRESSES, 1 << COLD);
        let mut ebpf = loader.load(OBJECT).context("failed to load the lookups")?;
        for program in [PICK, FLAT, TRIES_V4, TRIES_V6] {
            xdp(&mut ebpf, program)?.load().with_context(|| format!("the kernel refused `{program}`"))?;
        }
        let mut take = |name| ebpf.take_map(name).with_context(|| format!("there is no map `{name}`"));
        let mut directory: Array<_, Directory> = Array::try_from(take(FLAT_TABLES)?)?;
        let tables = Directory { listings: listed.tables, countries: all.tables, ..Directory::default() };
        directory.set(0, tables, 0)?;
        write(take(FLAT_LISTED)?, &listed)?;
        write(take(FLAT_COUNTRIES)?, &all)?;
        let scores = || listings.iter().map(|(prefix, listing)| (*prefix, u32::from(listing.score)));
        let numbers = || countries.rows.iter().map(|(prefix, country)| (*prefix, u32::from(country.0)));
        fill_v4(take(LISTED_V4)?, scores())?;
        fill_v6(take(LISTED_V6)?, scores())?;
        fill_v4(take(COUNTRIES_V4)?, numbers())?;
        fill_v6(take(COUNTRIES_V6)?, numbers())?;
        let addresses = Array::try_from(take(ADDRESSES)?)?;
        let progress = Array::try_from(take(PROGRESS)?)?;
        Ok(Self { ebpf, addresses, progress, count: 0 })
    }

    fn set_addresses(&mut self, addresses: &[Address]) -> Result<()> {
        ensure!(addresses.len().is_power_of_two(), "{} addresses", addresses.len());
        self.count = addresses.len() as u32;
        for (number, address) in (0..).zip(addresses) {
            self.addresses.set(number, address, 0)?;
        }
        Ok(())
    }

    /// Has all of them look up the same, one after the other in each repetition.
    fn compare(
        &mut self,
        family: Family,
        what: &str,
        wanted: u64,
        repetitions: usize,
    ) -> Result<Vec<Figure>> {
        let (name, tries) = match family {
            Family::V4 => ("IPv4", TRIES_V4),
            Family::V6 => ("IPv6", TRIES_V6),
        };
        let rounds = (1_u32 << COLD) / self.count;
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..repetitions {
            for (program, times) in [PICK, FLAT, tries].into_iter().zip(&mut times) {
                // The first time fills the caches, which whoever came before has emptied.
                self.run(program, rounds)?;
                let (nanoseconds, sum) = self.run(program, rounds)?;
                let wanted = wanted * u64::from(rounds);
                let is_right = program == PICK || sum == wanted;
                ensure!(is_right, "{name}, {what}: `{program}` answers {sum}, not {wanted}");
                times.push(nanoseconds);
            }
        }
        let [floor, flat, tries] = times.map(|times| Sample::of(&times));
        let net = |sample: Sample| sample.median - floor.median;
        let note = format!(
            "picked: {:.1} ns; least: {:.1} and {:.1} ns",
            floor.median,
            flat.minimum - floor.minimum,
            tries.minimum - floor.minimum
        );
        Ok(vec![
            figure(format!("{name}, {what}: iomt-filter's tables"), net(flat), "ns").note(note),
            figure(format!("{name}, {what}: LPM tries"), net(tries), "ns"),
            figure(format!("{name}, {what}: × cheaper"), net(tries) / net(flat), "×"),
        ])
    }

    /// So many rounds: nanoseconds a lookup, and the sum of the answers.
    fn run(&mut self, program: &str, rounds: u32) -> Result<(f64, u64)> {
        let mut progress = Progress::default();
        progress[MASK] = u64::from(self.count) - 1;
        self.progress.set(0, progress, 0)?;
        let (data, lookups) = ([0; FRAME_BYTES], self.count * rounds);
        let repeat = lookups / PER_RUN;
        let options = TestRunOptions { data_in: Some(&data), repeat, ..TestRunOptions::default() };
        let program = xdp(&mut self.ebpf, program)?;
        let before = cpu_time()?;
        program.test_run(options).context("the kernel refused the test run")?;
        let spent = cpu_time()?.saturating_sub(before);
        let progress = self.progress.get(&0, 0)?;
        ensure!(progress[COUNTER] == u64::from(lookups), "{} lookups were made", progress[COUNTER]);
        Ok((spent.as_secs_f64() * 1e9 / f64::from(lookups), progress[SUM]))
    }
}

fn write<T>(map: Map, image: &Image<T>) -> Result<()> {
    let mut lines: Array<_, Line> = Array::try_from(map)?;
    for (number, line) in (1..).zip(&image.lines) {
        lines.set(number, line, 0)?;
    }
    Ok(())
}
