//! Rules that say what another rule says already.

use iomt_filter_common::policy::RuleDirection;
use ipnet::IpNet;

use super::error::Problem;
use super::model::{Profile, Rule};
use super::peer::Peers;
use crate::diagnostic::Diagnostic;

/// What is wrong with the rules of one profile, seen two by two. Only allow rules exist, so a rule that
/// an earlier one covers has no effect: that is an error. A rule that only overlaps one is a warning;
/// a narrow rule before a wide one is neither.
pub fn find(profile: &Profile) -> Vec<Diagnostic> {
    let rules = &profile.rules;
    rules.iter().enumerate().filter_map(|(index, rule)| judge(rule, &rules[..index])).collect()
}

/// Whether a single earlier rule allows everything that `rule` does.
pub fn is_covered(rule: &Rule, earlier: &[Rule]) -> bool {
    earlier.iter().any(|before| covers(before, rule))
}

fn judge(rule: &Rule, earlier: &[Rule]) -> Option<Diagnostic> {
    if rule.peers.is_empty() || rule.services.is_empty() {
        return None; // could not be read, and was reported
    }
    let same_way = || earlier.iter().filter(|before| before.direction == rule.direction);
    if let Some(before) = same_way().find(|before| covers(before, rule)) {
        let same = covers(rule, before);
        let problem = if same { Problem::Duplicate } else { Problem::Shadowed };
        return Some(problem.error(&rule.place).note(there(before)));
    }
    let before = same_way().find(|before| {
        before.peers.meets(&rule.peers) && before.services.meets(&rule.services) && !covers(rule, before)
    })?;
    Some(Problem::Overlapping.warning(&rule.place).note(there(before)))
}

/// Where another rule is, for a note.
pub fn there(rule: &Rule) -> String {
    format!("`{}` is at {}", rule.name, rule.place)
}

fn covers(wide: &Rule, narrow: &Rule) -> bool {
    wide.direction == narrow.direction
        && wide.peers.contains(&narrow.peers)
        && wide.services.contains(&narrow.services)
        && (narrow.direction == RuleDirection::From || reaches(wide, narrow))
}

/// Whether a rule covers the groups at which the services of another are asked for.
fn reaches(wide: &Rule, narrow: &Rule) -> bool {
    narrow.services.broadcasts.iter().all(|broadcast| {
        let group = Peers::of(vec![IpNet::from(broadcast.group())]);
        wide.services.broadcasts.contains(broadcast) || wide.peers.contains(&group)
    })
}
