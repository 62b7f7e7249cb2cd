//! Whether this host is fit for the filter: facts are read, then judged, and each finding says what mends it.
//!
//! The path of a configuration comes in, a [`Report`] goes out. Touches nothing: no program stays loaded, nothing is
//! attached, no file is made; and it works beside an agent that runs.

pub mod finding;
pub mod facts;
pub mod judge;

use std::io;
use std::path::Path;

pub use self::finding::{Check, Finding, Level, Report};

use self::facts::Facts;
use self::facts::pins::Pins;
use self::facts::ports::Ports;
use crate::config::Config;
use crate::intent::Intent;

/// Looks at everything that a filter with the configuration at `path` needs.
///
/// # Errors
/// When the kernel does not say what there is.
pub fn examine(path: &Path) -> io::Result<Report> {
    Ok(judge::all(&Facts::read(path)?))
}

/// What is not well with the interfaces, for a filter that is about to be put on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// With these it would silently not protect.
    pub refused: Vec<Finding>,
    /// With these it goes on: they deserve a look, or it judges there already and would only be missing.
    pub told: Vec<Finding>,
}

/// Looks at the interfaces alone.
///
/// # Errors
/// When the kernel does not say what there is.
pub fn interfaces(config: &Config, intent: &Intent) -> io::Result<Verdict> {
    let pins = Pins::look(&config.paths.pins);
    let ports = Ports::read(config, &pins, facts::sources::have_vlans(intent))?;
    Ok(verdict(&ports))
}

fn verdict(ports: &Ports) -> Verdict {
    let is_judged = |finding: &Finding| {
        let name = finding.interface.as_deref();
        ports
            .ports
            .iter()
            .any(|port| Some(port.name.as_str()) == name && port.ours.or(port.stranger).is_some())
    };
    let found = judge::interfaces(ports).into_iter().filter(|finding| finding.level != Level::Ok);
    let (refused, told) = found.partition(|finding| finding.refuses && !is_judged(finding));
    Verdict { refused, told }
}

#[cfg(test)]
mod tests {
    use super::facts::links::{Link, Mode, Program};
    use super::facts::ports::Port;
    use super::*;

    #[test]
    fn where_the_filter_judges_already_it_is_not_kept_from_going_on() {
        let bridge = Link { index: 2, name: "br0".into(), kind: Some("bridge".into()), ..Link::default() };
        let programs = vec![Program { id: 7, mode: Mode::Generic }];
        let member = Link { index: 3, name: "eth1".into(), master: Some(2), ..Link::default() };
        let port =
            Port { name: "br0".into(), link: Some(Link { programs, ..bridge.clone() }), ..Port::default() };
        let ports = |ours| Ports {
            ports: vec![Port { ours, ..port.clone() }],
            links: vec![bridge.clone(), member.clone()],
            knows_ours: true,
            ..Ports::default()
        };
        let refused = verdict(&ports(None)).refused;
        assert!(refused.iter().any(|finding| finding.check == Check::Bridge), "{refused:?}");
        let running = verdict(&ports(Some(7)));
        assert!(running.refused.is_empty() && running.told.iter().any(|finding| finding.refuses));
    }
}
