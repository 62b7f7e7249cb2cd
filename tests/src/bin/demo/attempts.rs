//! Connections that should not be: without the filter they stand, with it they are dropped.

use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use iomt_filter_tests::hospital::Hospital;
use iomt_filter_tests::hospital::connection::{self, Outcome, Service};
use iomt_filter_tests::hospital::events::{Events, Expected};
use iomt_filter_tests::hospital::host::{DICOM, HTTPS, Host, MAINTENANCE, Version};

/// How long an attempt waits for an answer; the kernel sends its second SYN after a second.
const LIMIT: Duration = Duration::from_millis(900);
const LONG_LIMIT: Duration = Duration::from_secs(5);

/// Something that is tried over IPv4 and IPv6.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) heading: &'static str,
    pub(crate) why: &'static str,
    from: Host,
    to: Host,
    port: u16,
    reason: &'static str,
}

pub(crate) const ATTEMPTS: [Attempt; 4] = [
    Attempt {
        heading: "the CT scanner calls a command-and-control host",
        why: "policy allows the vendor's cloud, where it is; the threat list outranks policy",
        from: Host::Ct,
        to: Host::C2,
        port: HTTPS,
        reason: "blocklist",
    },
    Attempt {
        heading: "the infusion pump calls a denied country",
        why: "policy allows the drug library's mirrors; the country outranks policy",
        from: Host::Pump,
        to: Host::Denied,
        port: HTTPS,
        reason: "geo",
    },
    Attempt {
        heading: "the CT scanner tries the infusion pump beside it",
        why: "same network, no router between them, and no rule for it",
        from: Host::Ct,
        to: Host::Pump,
        port: MAINTENANCE,
        reason: "not-allowed",
    },
    Attempt {
        heading: "a laptop on a device port tries the PACS",
        why: "it is not in the inventory",
        from: Host::Laptop,
        to: Host::Pacs,
        port: DICOM,
        reason: "unknown-device",
    },
];

/// The services that are tried, apart from the PACS over IPv4, which is `storescp`.
#[derive(Debug)]
pub(crate) struct Services {
    running: Vec<(Host, Version, u16, Service)>,
}

impl Services {
    pub(crate) fn start(hospital: &Hospital) -> Result<Self> {
        let mut running = Vec::new();
        for attempt in ATTEMPTS {
            for version in Version::BOTH {
                if (attempt.to, version) != (Host::Pacs, Version::V4) {
                    let service =
                        Service::start(&hospital[attempt.to], attempt.to.at(version, attempt.port))?;
                    running.push((attempt.to, version, attempt.port, service));
                }
            }
        }
        Ok(Self { running })
    }

    fn accepted(&self, attempt: &Attempt, version: Version) -> u64 {
        let all = self.running.iter();
        let ours =
            all.filter(|service| (service.0, service.1, service.2) == (attempt.to, version, attempt.port));
        ours.map(|service| service.3.accepted()).sum()
    }
}

impl Attempt {
    /// As one would say it.
    pub(crate) fn describe(&self, version: Version) -> String {
        let (from, to) = (self.from.name(), self.to.name());
        format!("{from} to {to}, {} port {} over {}", self.to.address(version), self.port, version.name())
    }

    /// Without the filter.
    pub(crate) fn succeeds(&self, hospital: &Hospital, version: Version) -> Result<String> {
        let to = self.to.at(version, self.port);
        let outcome = connection::attempt(&hospital[self.from], to, LONG_LIMIT)?;
        ensure!(outcome == Outcome::Connected, "{}: {outcome:?}", self.describe(version));
        Ok(format!("connected: {}", self.describe(version)))
    }

    /// With the filter: nobody answers, nobody was reached, and the agent says why.
    pub(crate) fn is_dropped(
        &self,
        hospital: &Hospital,
        services: &Services,
        events: &Events,
        version: Version,
    ) -> Result<String> {
        let before = services.accepted(self, version);
        let expected = Expected { from: self.from, to: self.to, version, reason: self.reason };
        let to = self.to.at(version, self.port);
        let (event, outcome) = thread::scope(|scope| {
            let attempt = scope.spawn(|| connection::attempt(&hospital[self.from], to, LIMIT));
            let event = events.wait_for(expected);
            (event, attempt.join().map_err(|_| anyhow!("the attempt panicked")))
        });
        let outcome = outcome??;
        ensure!(outcome == Outcome::NoAnswer, "the attempt ended otherwise: {outcome:?}");
        ensure!(services.accepted(self, version) == before, "{} was reached", self.to.name());
        event?;
        Ok(format!("dropped as `{}`: {}", self.reason, self.describe(version)))
    }
}
