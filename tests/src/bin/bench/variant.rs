//! The variant: the lookups of the filter on the kernel's own tries, hash and LRU maps.

use anyhow::{Context as _, Result, ensure};
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray};
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use bench_ebpf::VARIANT;
use bench_ebpf::variant::{
    ALLOWED, COUNTRIES_V4, COUNTRIES_V6, COUNTRY, DENIED, Denied, ESTABLISHED, FLOWS_V4, FLOWS_V6, LISTED,
    LISTED_V4, LISTED_V6, MACS, NO_DEVICE, NOT_ALLOWED, OPENED, OUTCOME_COUNT, OUTCOMES,
};
use iomt_filter::rows::Prefix;
use iomt_filter_common::Reason;
use iomt_filter_common::addr::IPV4_PREFIX_BITS;
use iomt_filter_common::geo::Country;

use crate::case::{Case, HOSPITAL};
use crate::contender::{Contender, Expected};
use crate::countries::{Countries, is_denied};
use crate::driver::{Driver, OBJECT, Place, Timed, xdp};
use crate::far_ends;
use crate::hospital::{Hospital, device_mac, services};
use crate::traffic::Traffic;

const PLACE: Place = Place { is_plain: false, number: 2 };
/// Prefixes that each trie has room for; they take memory as they fill.
pub(crate) const TRIE_ROWS: u32 = 1 << 23;
/// More would take minutes to write, one system call each.
const MOST_LISTED: u32 = 1_000_000;

/// What the table of results says of it.
pub(crate) const ABOUT: &str = "variant: hash for devices, LPM tries for lists and countries (one for each family), LRU hash for \
    flows, in the order of the filter; no look at spoofing, fragments, answers, rules but a port, no events, one counter";

/// The loaded variant.
pub(crate) struct Variant {
    ebpf: Ebpf,
    hospital: Hospital,
    outcomes: PerCpuArray<MapData, u64>,
    counted: Vec<u64>,
}

impl Variant {
    /// Whether it is measured in this hospital: it has no records and no management, and its size in devices is
    /// of no interest.
    pub(crate) fn is_for(hospital: Hospital) -> bool {
        let Hospital { listed, flows, rules, .. } = hospital;
        listed <= MOST_LISTED && hospital == Hospital { listed, flows, rules, ..HOSPITAL }
    }

    /// Loads it and fills its tables.
    pub(crate) fn load(hospital: Hospital, countries: &Countries) -> Result<Self> {
        let mut loader = EbpfLoader::new();
        for trie in [LISTED_V4, LISTED_V6, COUNTRIES_V4, COUNTRIES_V6] {
            loader.map_max_entries(trie, TRIE_ROWS);
        }
        for flows in [FLOWS_V4, FLOWS_V6] {
            loader.map_max_entries(flows, hospital.flows);
        }
        loader.map_max_entries(MACS, hospital.devices * 2);
        loader.map_max_entries(ALLOWED, u32::from(hospital.rules) * 2);
        let mut ebpf = loader.load(OBJECT).context("failed to load the variant")?;
        xdp(&mut ebpf, VARIANT)?.load().context("the kernel refused the variant")?;
        add_policy(&mut ebpf, hospital)?;
        let listings: Vec<_> = far_ends::listings(hospital.listed).collect();
        let listed = || listings.iter().map(|(prefix, listing)| (*prefix, u32::from(listing.score)));
        let all = || countries.rows.iter().map(|(prefix, country)| (*prefix, u32::from(country.0)));
        fill_v4(take(&mut ebpf, LISTED_V4)?, listed())?;
        fill_v6(take(&mut ebpf, LISTED_V6)?, listed())?;
        fill_v4(take(&mut ebpf, COUNTRIES_V4)?, all())?;
        fill_v6(take(&mut ebpf, COUNTRIES_V6)?, all())?;
        let outcomes = PerCpuArray::try_from(take(&mut ebpf, OUTCOMES)?)?;
        Ok(Self { ebpf, hospital, outcomes, counted: Vec::new() })
    }

    /// Has the driver call it.
    pub(crate) fn enter(&mut self, driver: &mut Driver) -> Result<()> {
        let program = xdp(&mut self.ebpf, VARIANT)?.fd()?.try_clone()?;
        driver.set_program(PLACE, &program)
    }

    /// The program, to be put on an interface.
    pub(crate) fn program(&mut self) -> Result<&mut Xdp> {
        xdp(&mut self.ebpf, VARIANT)
    }

    /// Frames so far that were dropped because they were to listed far ends.
    pub(crate) fn dropped(&self) -> Result<u64> {
        Ok(self.counts()?[LISTED as usize])
    }

    /// Frames so far, by outcome.
    fn counts(&self) -> Result<Vec<u64>> {
        let sum = |outcome| Ok(self.outcomes.get(&outcome, 0)?.iter().sum());
        (0..OUTCOME_COUNT).map(sum).collect()
    }
}

impl Contender for Variant {
    fn name(&self) -> &'static str {
        "variant"
    }

    fn place(&self) -> Place {
        PLACE
    }

    fn judges(&self, case: &Case) -> bool {
        let is_answer = matches!(case.traffic, Traffic::Answers { .. });
        case.hospital == self.hospital && !is_answer && outcome(case.reason).is_some()
    }

    fn prepare(&mut self, _case: &Case) -> Result<()> {
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        self.counted = self.counts()?;
        Ok(())
    }

    fn check(&self, expected: &Expected<'_>, last: Timed) -> Result<()> {
        let wanted = expected.action();
        ensure!(last.action == wanted, "the variant returned {}, not {wanted}", last.action);
        let counts = self.counts()?;
        let moved = counts.iter().zip(&self.counted).map(|(after, before)| after - before);
        for (number, frames) in (0..).zip(moved) {
            let is_it = outcome(expected.case.reason) == Some(number);
            let wanted = if is_it { expected.frames() } else { 0 };
            ensure!(
                frames == wanted,
                "{frames} frames came to outcome {number} of the variant, not {wanted}"
            );
        }
        Ok(())
    }
}

/// What the variant calls a reason.
const fn outcome(reason: Reason) -> Option<u32> {
    match reason {
        Reason::NoDevice => Some(NO_DEVICE),
        Reason::Established => Some(ESTABLISHED),
        Reason::Blocklist => Some(LISTED),
        Reason::Geo => Some(COUNTRY),
        Reason::NotAllowed => Some(NOT_ALLOWED),
        Reason::Allowed => Some(OPENED),
        _ => None,
    }
}

fn add_policy(ebpf: &mut Ebpf, hospital: Hospital) -> Result<()> {
    let mut macs: HashMap<_, u64, u32> = HashMap::try_from(take(ebpf, MACS)?)?;
    for device in 1..=hospital.devices {
        let [a, b, c, d, e, f] = device_mac(device).0;
        macs.insert(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]), device, 0)?;
    }
    let mut allowed: HashMap<_, u32, u32> = HashMap::try_from(take(ebpf, ALLOWED)?)?;
    for port in services(hospital.rules) {
        allowed.insert(u32::from(port.to_be()), 1, 0)?;
    }
    let mut denied: Array<_, Denied> = Array::try_from(take(ebpf, DENIED)?)?;
    let mut set = Denied::default();
    for country in (0..1024).map(Country).filter(|country| is_denied(*country)) {
        set[usize::from(country.0 >> 6)] |= 1 << (country.0 & 63);
    }
    Ok(denied.set(0, set, 0)?)
}

/// Writes those of IPv4.
pub(crate) fn fill_v4(map: Map, rows: impl Iterator<Item = (Prefix, u32)>) -> Result<()> {
    let mut trie: LpmTrie<_, u32, u32> = LpmTrie::try_from(map)?;
    for (prefix, value) in rows.filter(|(prefix, _)| prefix.is_v4()) {
        let address = prefix.address.low().to_be();
        trie.insert(&Key::new(u32::from(prefix.bits - IPV4_PREFIX_BITS), address), value, 0)?;
    }
    Ok(())
}

/// Writes those of IPv6.
pub(crate) fn fill_v6(map: Map, rows: impl Iterator<Item = (Prefix, u32)>) -> Result<()> {
    let mut trie: LpmTrie<_, [u32; 4], u32> = LpmTrie::try_from(map)?;
    for (prefix, value) in rows.filter(|(prefix, _)| !prefix.is_v4()) {
        let octets = prefix.address.octets();
        let mut address = [0; 4];
        for (word, bytes) in address.iter_mut().zip(octets.as_chunks::<4>().0) {
            *word = u32::from_ne_bytes(*bytes);
        }
        trie.insert(&Key::new(u32::from(prefix.bits), address), value, 0)?;
    }
    Ok(())
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map> {
    ebpf.take_map(name).with_context(|| format!("the variant has no map `{name}`"))
}
