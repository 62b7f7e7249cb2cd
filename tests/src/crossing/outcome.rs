//! What traffic has shown: packets that leaked, packets that were lost, and whether all books agree.

use std::collections::BTreeMap;
use std::fmt;

use super::account::Account;
use super::lanes::{Fate, Lane};
use super::traffic::Run;

/// Numbers that are shown of many.
const SHOWN: usize = 5;

/// The outcome of one run.
#[derive(Debug)]
pub struct Outcome {
    /// Packets that were sent.
    pub sent: u64,
    /// A second.
    pub pace: u64,
    /// Packets that policy forbids and that came through, by lane.
    pub leaked: Vec<Finding>,
    /// Packets that policy allows and that did not arrive, by lane.
    pub lost: Vec<Finding>,
    /// What does not fit together, of the filter's own counters and of what was sent and arrived.
    pub contradictions: Vec<String>,
    /// The same counters.
    pub account: Account,
    /// Allowed packets that were sent, and forbidden ones.
    pub kinds: (u64, u64),
}

/// Packets of one lane that went astray.
#[derive(Debug)]
pub struct Finding {
    /// The lane.
    pub lane: String,
    /// How many.
    pub packets: usize,
    /// The first of them, each with what was done last before it was sent.
    pub first: Vec<(u32, String)>,
}

impl Outcome {
    /// Compares what was sent and what arrived with what was counted meanwhile.
    #[must_use]
    pub fn of(run: &Run, lanes: &[Lane], account: Account) -> Self {
        let (mut leaked, mut lost) = (Vec::new(), Vec::new());
        let mut expected = Expected::default();
        let (mut allowed, mut forbidden) = (0, 0);
        for (lane, tally) in lanes.iter().zip(&run.tally.lanes) {
            let (sent, arrived) = (u64::from(tally.sent), u64::from(tally.arrived));
            match lane.fate {
                Fate::Arrives(_) => {
                    lost.extend(finding(run, lane, tally.missing()));
                    expected.passed += sent;
                    allowed += sent;
                }
                Fate::Ends(reason) => {
                    leaked.extend(finding(run, lane, tally.present()));
                    *expected.dropped.entry(reason).or_default() += sent;
                    forbidden += sent;
                }
                Fate::Varies(_) => {
                    expected.passed += arrived;
                    *expected.dropped.entry("not-allowed").or_default() += sent - arrived;
                }
            }
        }
        let mut contradictions = expected.compare(&account);
        let Run { tally, overflowed, again, lasted, .. } = run;
        for (count, what) in [
            (*overflowed, "packets found no room in a socket"),
            (tally.repeated, "packets arrived twice"),
            (tally.foreign, "packets were of no lane"),
            (account.lost.values().sum::<u64>().saturating_sub(*again), "packets were lost by the kernel"),
        ] {
            if count > 0 {
                contradictions.push(format!("{count} {what}"));
            }
        }
        let sent = tally.sent();
        let pace = sent * 1_000 / (lasted.as_millis() as u64).max(1);
        Self { sent, pace, leaked, lost, contradictions, account, kinds: (allowed, forbidden) }
    }

    /// Packets that came through and must not.
    #[must_use]
    pub fn leaks(&self) -> usize {
        self.leaked.iter().map(|finding| finding.packets).sum()
    }

    /// Packets that did not arrive and must.
    #[must_use]
    pub fn losses(&self) -> usize {
        self.lost.iter().map(|finding| finding.packets).sum()
    }

    /// Whether nothing leaked, nothing was lost, and every packet is accounted for.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.leaked.is_empty() && self.lost.is_empty() && self.contradictions.is_empty()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (allowed, forbidden) = self.kinds;
        writeln!(
            f,
            "{} packets, {} a second: {allowed} allowed, {forbidden} forbidden",
            self.sent, self.pace
        )?;
        writeln!(f, "forbidden ones that passed: {}", self.leaks())?;
        self.leaked.iter().try_for_each(|finding| writeln!(f, "  {finding}"))?;
        writeln!(f, "allowed ones that were lost: {}", self.losses())?;
        self.lost.iter().try_for_each(|finding| writeln!(f, "  {finding}"))?;
        self.contradictions.iter().try_for_each(|said| writeln!(f, "{said}"))?;
        write!(f, "the filter's own counters: {:?}", self.account)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of `{}`:", self.packets, self.lane)?;
        self.first.iter().try_for_each(|(number, during)| write!(f, " {number} ({during})"))
    }
}

fn finding(run: &Run, lane: &Lane, numbers: impl Iterator<Item = u32>) -> Option<Finding> {
    let numbers: Vec<_> = numbers.collect();
    // A packet of every lane goes with every round, so that its number is that of its round.
    let during = |number: u32| {
        let before = run.journal.iter().rfind(|(round, _)| *round <= number);
        before.map_or_else(|| "before anything was done".to_owned(), |(_, what)| what.clone())
    };
    let first = numbers.iter().take(SHOWN).map(|&number| (number, during(number))).collect();
    (!numbers.is_empty()).then(|| Finding { lane: lane.name.clone(), packets: numbers.len(), first })
}

/// What the filter must have counted.
#[derive(Default)]
struct Expected {
    passed: u64,
    dropped: BTreeMap<&'static str, u64>,
}

impl Expected {
    fn compare(&self, account: &Account) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, expected: u64, counted: u64| {
            if expected != counted {
                found.push(format!("{what}: {counted} by the filter's counters, and {expected} were to be"));
            }
        };
        compare("passed", self.passed, account.passed.values().sum());
        let reasons = self.dropped.keys().chain(account.dropped.keys());
        let reasons: std::collections::BTreeSet<_> = reasons.copied().collect();
        for reason in reasons {
            let of = |counts: &BTreeMap<&'static str, u64>| counts.get(reason).copied().unwrap_or(0);
            compare(&format!("dropped as `{reason}`"), of(&self.dropped), of(&account.dropped));
        }
        found
    }
}
