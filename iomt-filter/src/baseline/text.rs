//! Proposals and readiness for people.

use std::fmt;

use super::{LeftOut, Profile, Proposal};
use crate::contacts::Direction;

/// What is left out that is shown of a profile; all of it is in the JSON.
const SHOWN: usize = 20;

/// What was left out of a proposal, and what deserves a look: comment lines that may stand behind its fragment.
impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: usize = self.profiles.iter().map(|profile| profile.rules.len()).sum();
        writeln!(
            f,
            "# {} contacts since {}: {rules} rules are lacking",
            self.contacts,
            self.since.strftime("%Y-%m-%d")
        )?;
        if self.not_judged > 0 {
            writeln!(
                f,
                "# {} of them could not be judged: nothing is known of their device",
                self.not_judged
            )?;
        }
        self.warnings.iter().try_for_each(|warning| writeln!(f, "# {warning}"))?;
        self.profiles.iter().try_for_each(|profile| left_out(profile, f))
    }
}

fn left_out(profile: &Profile, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if profile.left_out.is_empty() {
        return Ok(());
    }
    writeln!(f, "#\n# left out of `{}`:", profile.name)?;
    for left in profile.left_out.iter().take(SHOWN) {
        let LeftOut { device, direction, peer, service, packets, why, .. } = left;
        let (from, to) = match direction {
            Direction::FromDevice => (device, peer),
            Direction::ToDevice => (peer, device),
        };
        writeln!(f, "#   {from} to {to} {service}, {packets} packets: {why}")?;
    }
    match profile.left_out.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => writeln!(f, "#   and {more} more; `--output json` has them all"),
        _ => Ok(()),
    }
}
