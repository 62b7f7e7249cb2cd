//! Services as a person would write them in a rule.

use super::builtin;
use super::service::{Named, PortRange, Services};

/// Services (`None` for whatever there is) by their names, where a name stands for nothing else than what is allowed.
pub(crate) fn services(wanted: &[Option<PortRange>], named: &Named) -> Vec<String> {
    if wanted.contains(&None) {
        return vec!["any".to_owned()];
    }
    let mut ranges = Services::of(wanted.iter().flatten().copied().collect()).ranges;
    let defined = named
        .iter()
        .filter(|(_, services)| !services.any)
        .map(|(name, it)| (name.as_str(), it.ranges.clone()));
    let is_hidden = |name: &str| named.contains_key(name);
    let builtin = builtin::names().filter(|name| !is_hidden(name));
    let builtin = builtin.filter_map(|name| Some((name, builtin::service(name)?)));
    let mut names = Vec::new();
    for (name, stands_for) in defined.chain(builtin) {
        if !stands_for.is_empty() && stands_for.iter().all(|range| ranges.contains(range)) {
            ranges.retain(|range| !stands_for.contains(range));
            names.push(name.to_owned());
        }
    }
    names.extend(ranges.iter().map(PortRange::to_string));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::service::{TCP, UDP};

    #[test]
    fn names_stand_for_nothing_more() {
        let port = |protocol, port| Some(PortRange { protocol, first: port, last: port });
        let names = |wanted: &[_]| services(wanted, &Named::new());
        assert_eq!(names(&[port(UDP, 53)]), ["53/udp"]);
        assert_eq!(names(&[port(UDP, 53), port(TCP, 53), port(TCP, 8443)]), ["dns", "8443/tcp"]);
        assert_eq!(names(&[port(UDP, 53), None]), ["any"]);
    }
}
