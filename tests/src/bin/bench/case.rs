//! What is measured: every kind of frame that takes another way through the filter, in hospitals of all sizes.

use iomt_filter_common::device::Port;
use iomt_filter_common::{Reason, Verdict};

use crate::far_ends::Kind;
use crate::hospital::{ALLOWED_PORT, Family, Hospital, OTHER_PORT};
use crate::traffic::Traffic;

/// The hospital that most cases are measured in.
pub(crate) const HOSPITAL: Hospital = Hospital {
    listed: 1_000_000,
    devices: 1000,
    flows: 131_072,
    rules: 1,
    has_management: false,
    records_all: false,
};
/// Far ends and frames of a case that lies in the caches.
const HOT: u32 = 12;
/// Of one that does not.
const COLD: u32 = 17;
/// A frame for each of a million flows.
const MILLION: u32 = 20;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) family: Family,
    pub(crate) hospital: Hospital,
    pub(crate) port: Port,
    pub(crate) traffic: Traffic,
    /// Logarithm of the number of frames in a round.
    pub(crate) log2_frames: u32,
    /// What every frame must come to.
    pub(crate) verdict: Verdict,
    pub(crate) reason: Reason,
    /// Whether the short form has it.
    pub(crate) in_short: bool,
}

/// Every case, those of one hospital one after the other.
pub(crate) fn all() -> Vec<Case> {
    let mut cases: Vec<_> = [Family::V4, Family::V6].into_iter().flat_map(of_family).collect();
    let mut hospitals: Vec<Hospital> = Vec::new();
    for case in &cases {
        if !hospitals.contains(&case.hospital) {
            hospitals.push(case.hospital);
        }
    }
    cases.sort_by_key(|case| hospitals.iter().position(|hospital| *hospital == case.hospital));
    cases
}

fn of_family(family: Family) -> Vec<Case> {
    let mut cases = in_usual_hospital(family);
    for listed in [0, 10_000, 100_000, 4_000_000] {
        if family == Family::V6 && listed > 100_000 {
            // No more networks are listed than in the usual one.
            continue;
        }
        let hospital = Hospital { listed, ..HOSPITAL };
        let more = [clean(family), clean(family).hot("new allowed flow"), to_listed(family)];
        cases.extend(more.map(|case| case.at(hospital)).into_iter().filter(Case::is_possible));
    }
    for devices in [10, 10_000] {
        let hospital = Hospital { devices, ..HOSPITAL };
        let established = established(family, 10_000, 16, "established, 10 k flows");
        cases.extend([established, clean(family), unknown(family)].map(|case| case.at(hospital)));
    }
    for (rules, first, refused) in [
        (100, "first packet, 100 rules", "not allowed, 100 rules"),
        (1000, "first packet, 1,000 rules", "not allowed, 1,000 rules"),
    ] {
        let hospital = Hospital { rules, ..HOSPITAL };
        let more = [Case { name: first, ..clean(family) }, Case { name: refused, ..not_allowed(family) }];
        cases.extend(more.map(|case| case.at(hospital)));
    }
    let many_flows = Hospital { flows: 1 << 22, listed: 10_000, ..HOSPITAL };
    cases.push(established(family, 100_000, COLD, "established, 100 k flows").at(many_flows));
    cases.push(established(family, 1_000_000, MILLION, "established, 1 M flows").at(many_flows));
    let recording = Hospital { records_all: true, ..HOSPITAL };
    let recorded = Case { name: "listed, every event", in_short: true, ..to_listed(family) };
    cases.push(recorded.at(recording));
    cases.push(recorded.hot("listed, every event, hot").at(recording));
    let management = Hospital { has_management: true, listed: 10_000, ..HOSPITAL };
    cases.push(established(family, 1000, HOT, "established, management pairs").at(management));
    cases
}

fn in_usual_hospital(family: Family) -> Vec<Case> {
    use Port::{Device, Uplink};
    use Verdict::{Drop, Pass};
    let short = |case| Case { in_short: true, ..case };
    let answers = Traffic::Answers { flows: 1000 };
    vec![
        short(case("link", family, Device, Traffic::Link, (Pass, Reason::Link))),
        short(case("no device", family, Uplink, Traffic::Transit, (Pass, Reason::NoDevice))),
        unknown(family),
        short(established(family, 1000, HOT, "established, 1 k flows")),
        case("established, answers", family, Uplink, answers, (Pass, Reason::Established))
            .hot("established, answers"),
        short(established(family, 10_000, 16, "established, 10 k flows")),
        short(clean(family)),
        clean(family).hot("new allowed flow"),
        short(to_listed(family)),
        to_listed(family).hot("listed far end, hot"),
        short(opens("denied country", family, Kind::Denied, ALLOWED_PORT, (Drop, Reason::Geo))),
        not_allowed(family),
    ]
}

fn case(
    name: &'static str,
    family: Family,
    port: Port,
    traffic: Traffic,
    (verdict, reason): (Verdict, Reason),
) -> Case {
    let log2_frames = COLD;
    Case { name, family, hospital: HOSPITAL, port, traffic, log2_frames, verdict, reason, in_short: false }
}

fn established(family: Family, flows: u32, log2_frames: u32, name: &'static str) -> Case {
    let answer = (Verdict::Pass, Reason::Established);
    Case { log2_frames, ..case(name, family, Port::Device, Traffic::Established { flows }, answer) }
}

fn opens(name: &'static str, family: Family, to: Kind, service: u16, answer: (Verdict, Reason)) -> Case {
    case(name, family, Port::Device, Traffic::Opens { to, service }, answer)
}

fn clean(family: Family) -> Case {
    let answer = (Verdict::Pass, Reason::Allowed);
    opens("first packet, clean far end", family, Kind::Clean, ALLOWED_PORT, answer)
}

fn not_allowed(family: Family) -> Case {
    let answer = (Verdict::Drop, Reason::NotAllowed);
    opens("not allowed", family, Kind::Clean, OTHER_PORT, answer)
}

fn to_listed(family: Family) -> Case {
    let answer = (Verdict::Drop, Reason::Blocklist);
    opens("listed far end", family, Kind::Listed(HOSPITAL.listed), ALLOWED_PORT, answer)
}

fn unknown(family: Family) -> Case {
    let answer = (Verdict::Drop, Reason::UnknownDevice);
    case("unknown device", family, Port::Device, Traffic::FromUnknown, answer)
}

impl Case {
    fn hot(self, name: &'static str) -> Self {
        Self { name, log2_frames: HOT, in_short: false, ..self }
    }

    fn at(self, hospital: Hospital) -> Self {
        let traffic = match self.traffic {
            Traffic::Opens { to: Kind::Listed(_), service } => {
                Traffic::Opens { to: Kind::Listed(hospital.listed), service }
            }
            other => other,
        };
        let in_short = self.in_short && hospital.records_all;
        Self { hospital, traffic, in_short, ..self }
    }

    fn is_possible(&self) -> bool {
        !matches!(self.traffic, Traffic::Opens { to: Kind::Listed(0), .. })
    }

    /// The case that must come before, so that the frames of this one belong to something.
    pub(crate) fn opening(&self) -> Option<Self> {
        let Traffic::Answers { flows } = self.traffic else { return None };
        Some(Self { port: Port::Device, traffic: Traffic::Established { flows }, ..*self })
    }
}
