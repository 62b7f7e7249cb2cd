//! What a list of a million lines costs on its way into the tables, and a lookup in it.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use iomt_filter::feeds::gate::{self, Candidate};
use iomt_filter::feeds::list::{self, List};
use iomt_filter::feeds::merge::{Source, merged};
use iomt_filter::feeds::{FarEnd, Guard, Limits, Reading, formats};
use jiff::Timestamp;

use crate::countries::Countries;
use crate::far_ends::{self, Kind};
use crate::figure::{Figure, figure};
use crate::hospital::Family;
use crate::sample::Sample;

const LINES: u32 = 1_000_000;
/// Far ends of devices that the gate asks about.
const FAR_ENDS: usize = 10_000;

/// A million lines, read, put in order, judged and merged as the agent does it, and kept.
pub(super) fn of_a_list(countries: &Countries, times: u16) -> Result<Vec<Figure>> {
    let text = lines();
    let far_ends = far_ends(countries);
    let [mut all, mut reading, mut judging, mut merging] = [const { Vec::new() }; 4];
    let mut list = List::default();
    forget_peak()?;
    let before = status("VmRSS")?;
    for _ in 0..times {
        let begun = Instant::now();
        let parsed = formats::parse(&Reading::default(), text.as_bytes());
        ensure!(parsed.entries.len() == LINES as usize, "{} entries were read", parsed.entries.len());
        let read = parsed.entries.len();
        let of_list = list::Reading { entries: parsed.entries, score: 90, ..list::Reading::default() };
        let (new, changes) = List::default().renewed(of_list);
        let in_order = begun.elapsed();
        let guard = Guard::for_feeds([]);
        let candidate = Candidate {
            list: &new,
            changes,
            read,
            rejects: &parsed.rejects,
            remarks: &parsed.remarks,
            last_good: Some(&list),
            score: 90,
            min_score: 0,
            far_ends: &far_ends,
            impact: std::time::Duration::from_secs(30 * 86_400),
            spares: false,
            now: Timestamp::now(),
        };
        let judged = gate::judge(&Limits::default(), &guard, &candidate);
        ensure!(judged.held.is_empty(), "the list is held: {:?}", judged.held.first());
        let after_gate = begun.elapsed();
        let source = Source { list: &judged.sifted.list, feed: 1, order: 1, score: 90, min_score: 0 };
        let rows = merged([source], judged.sifted.holes(), Timestamp::now());
        let done = begun.elapsed();
        ensure!(rows.len() >= judged.sifted.list.networks().len(), "rows are missing");
        all.push(done.as_secs_f64());
        reading.push(in_order.as_secs_f64());
        judging.push((after_gate - in_order).as_secs_f64());
        merging.push((done - after_gate).as_secs_f64());
        list = new;
    }
    let peak = status("VmHWM")?.saturating_sub(before);
    let seconds = |name: &str, values: &[f64]| {
        figure(format!("a list of 1 M lines: {name}"), Sample::of(values).median, "s")
    };
    let mut figures = vec![
        seconds("read, judged by the gate, merged", &all),
        seconds("of that read and put in order", &reading),
        seconds("of that judged", &judging).note(format!("{FAR_ENDS} far ends of devices")),
        seconds("of that merged", &merging),
        figure("a list of 1 M lines: memory at the peak, beside its text", peak as f64 / 1024.0, "MiB"),
    ];
    figures.extend(kept(&list, &far_ends)?);
    Ok(figures)
}

/// The list as it is kept, and lookups in it.
fn kept(list: &List, far_ends: &[FarEnd]) -> Result<[Figure; 3]> {
    let begun = Instant::now();
    let bytes = list.to_bytes();
    let written = begun.elapsed();
    let begun = Instant::now();
    let loaded = List::from_bytes(&bytes).context("a kept list cannot be loaded")?;
    let read = begun.elapsed();
    ensure!(loaded == *list, "a kept list came back as another one");
    let begun = Instant::now();
    let found: usize = far_ends.iter().map(|far_end| list.covering(far_end.address).count()).sum();
    let each = begun.elapsed() / u32::try_from(far_ends.len()).unwrap_or(1).max(1);
    let of =
        |name: &str, time: Duration| figure(format!("a list of 1 M lines: {name}"), time.as_secs_f64(), "s");
    let micros = each.as_secs_f64() * 1e6;
    Ok([
        of("as bytes, to be kept", written).note(format!("{} MiB", bytes.len() >> 20)),
        of("back from them", read),
        figure("a lookup in it", micros, "µs").note(format!("{found} of {} listed", far_ends.len())),
    ])
}

/// Addresses all over the world, and networks of IPv6, in the order of chance.
fn lines() -> String {
    let mut text = String::with_capacity(24 << 20);
    let mut rest = LINES;
    for (prefix, _) in far_ends::listings(LINES) {
        let host = prefix.is_v4();
        // Nine of ten are hosts of IPv4.
        if rest == 0 || (host && rest <= LINES / 10) {
            continue;
        }
        rest -= 1;
        let address = std::net::IpAddr::from(prefix.address);
        // Writing to a string cannot fail.
        let _ = if host { writeln!(text, "{address}") } else { writeln!(text, "{address}/{}", prefix.bits) };
    }
    text
}

fn far_ends(countries: &Countries) -> Vec<FarEnd> {
    let clean = far_ends::some(countries, Family::V4, Kind::Clean, FAR_ENDS);
    let seen = Timestamp::now();
    let of = |address| FarEnd { device: "ct-1".to_owned(), address, seen, block_score: 50 };
    clean.into_iter().map(of).collect()
}

/// A figure of this process, in KiB.
fn status(name: &str) -> Result<u64> {
    let text = fs::read_to_string("/proc/self/status").context("failed to read what this process takes")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("the kernel does not say `{name}`"))
}

/// Has the kernel forget the most that this process ever took.
fn forget_peak() -> Result<()> {
    fs::write("/proc/self/clear_refs", "5").context("failed to reset the peak of memory")
}
