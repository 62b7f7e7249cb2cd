//! What the facts mean for a filter: findings, in the order in which a person would mend them. Asks nobody.

mod kernel;
mod places;
mod clock;
mod sources;
mod driver;
mod interface;
mod place;
mod tags;
mod programs;

use super::facts::Facts;
use super::facts::ports::Ports;
use super::finding::{Finding, Report};

/// Everything.
#[must_use]
pub fn all(facts: &Facts) -> Report {
    let mut found = kernel::judge(&facts.kernel, facts.rights);
    found.push(clock::judge(&facts.clock));
    found.extend(places::pins(&facts.pins));
    found.extend(places::state(&facts.state));
    found.extend(places::socket(&facts.socket));
    found.extend(sources::judge(&facts.sources));
    found.extend(interfaces(&facts.ports));
    Report(found)
}

/// The interfaces that are to be judged, and those around them.
#[must_use]
pub fn interfaces(ports: &Ports) -> Vec<Finding> {
    let each = ports.ports.iter().flat_map(|port| {
        let mut found = interface::judge(port, ports);
        found.extend(place::judge(port, ports));
        found.extend(tags::judge(port, ports));
        found.extend(programs::judge(port, ports));
        found
    });
    each.chain(place::forwarding(ports)).collect()
}
