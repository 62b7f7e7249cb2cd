//! What must hold of the answers of a filter alone: of what passed, in which order, in which hospital.
//!
//! The reference model answers every frame, and so it may have an assumption in common with the filter, which
//! no comparison shows. Here nothing is answered. From a script and the verdicts of one judge it is said whether
//! that may be, by sentences that need no order of judgement:
//!
//! 1. [`Invariant::NothingUnasked`]: what reaches an enforced device is allowed by a rule of its own, or the
//!    device has asked for it
//! 2. [`Invariant::NothingUnallowed`]: what an enforced device sends is allowed by a rule of its own, or
//!    answers what passed to it before
//! 3. [`Invariant::LiarsChangeNothing`], [`Invariant::DropsChangeNothing`]: a frame that was dropped changes no
//!    later verdict
//!
//! Each is looser than the rules, so that a breach is an error; none is complete.

use std::fmt;

use iomt_filter_common::{Reason, Verdict};

use crate::differential::Maker;
use crate::generate::{START, Script, Step};
use crate::judge::Observed;
use crate::shrink::{described, shrink};

mod reading;
mod policy;
mod passed;
mod witness;
mod undisturbed;

use witness::Witness;

/// A sentence that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// What passes to an enforced device has a `from` rule, a grant or a management pair; or the device itself,
    /// by a frame of its own that passed (on an uplink its address is believed), has asked for it; or it is an
    /// error about such a conversation.
    NothingUnasked,
    /// What passes from an enforced device has a `to` rule, a grant or a management pair; or answers what passed
    /// to it; or is an error about such a conversation.
    NothingUnallowed,
    /// Without the dropped frames of senders that are unknown or not who they say, nothing else is judged
    /// otherwise.
    LiarsChangeNothing,
    /// Without any dropped frame of others, what a sender sends is not judged otherwise. Frames beyond a limit
    /// are not left out: they may have taken a token of the other side.
    DropsChangeNothing,
}

impl Invariant {
    /// Every one.
    pub const ALL: [Self; 4] =
        [Self::NothingUnasked, Self::NothingUnallowed, Self::LiarsChangeNothing, Self::DropsChangeNothing];
}

/// A script in which an invariant does not hold, as small as it could be made.
#[derive(Debug)]
pub struct Breach {
    /// The seed that it came from.
    pub seed: u64,
    /// What does not hold.
    pub invariant: Invariant,
    /// The smallest script.
    pub script: Script,
    /// Which step of it shows the breach.
    pub at: usize,
    /// What the judge says of each step; nothing of those that are no frame.
    pub answers: Vec<Option<Observed>>,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {:?} does not hold; step {} shows it", self.seed, self.invariant, self.at + 1)?;
        let said = |at: usize| {
            let answer = self.answers.get(at).and_then(Option::as_ref);
            answer.map_or_else(String::new, |answer| {
                format!(" -> {} {}", answer.verdict.name(), answer.reason.name())
            })
        };
        let shown = self.answers.get(self.at).and_then(Option::as_ref);
        write!(f, "the judge: {shown:?}\n{}", described(&self.script, &said))
    }
}

/// Runs one script through a judge and looks at its answers.
///
/// # Errors
/// The first [`Breach`] of one of `invariants`, made small.
pub fn check(
    seed: u64,
    script: &Script,
    invariants: &[Invariant],
    maker: &mut dyn Maker,
) -> Result<(), Box<Breach>> {
    let said = answers(script, maker);
    for &invariant in invariants {
        let Some(found) = breach(script, &said, invariant, maker) else { continue };
        let mut smaller = script.clone();
        smaller.steps.truncate(found + 1);
        shrink(&mut smaller, &mut |candidate| !holds(candidate, invariant, maker));
        let answers = answers(&smaller, maker);
        let at = breach(&smaller, &answers, invariant, maker).unwrap_or(smaller.steps.len() - 1);
        return Err(Box::new(Breach { seed, invariant, script: smaller, at, answers }));
    }
    Ok(())
}

/// Whether an invariant holds of what a judge says of a script.
pub fn holds(script: &Script, invariant: Invariant, maker: &mut dyn Maker) -> bool {
    breach(script, &answers(script, maker), invariant, maker).is_none()
}

/// What a judge says of each step; nothing of those that are no frame.
type Answers = Vec<Option<Observed>>;

/// The first step that shows a breach.
fn breach(script: &Script, answers: &Answers, invariant: Invariant, maker: &mut dyn Maker) -> Option<usize> {
    match invariant {
        Invariant::NothingUnasked | Invariant::NothingUnallowed => witnessed(script, answers, invariant),
        Invariant::LiarsChangeNothing => undisturbed::by_liars(script, answers, maker),
        Invariant::DropsChangeNothing => undisturbed::by_others(script, answers, maker),
    }
}

/// What the judge says of a script, from its beginning.
fn answers(script: &Script, maker: &mut dyn Maker) -> Answers {
    let mut judge = maker.judge(&script.world);
    let mut now = START;
    let answer = |step: &Step| match step {
        Step::Load(world) => {
            judge.load(world);
            None
        }
        Step::Beat(after) => {
            now += after;
            judge.beat(now);
            None
        }
        Step::Frame { port, after, bytes } => {
            now += after;
            Some(judge.judge(bytes, *port, now))
        }
    };
    script.steps.iter().map(answer).collect()
}

fn witnessed(script: &Script, answers: &Answers, invariant: Invariant) -> Option<usize> {
    let mut witness = Witness::of(&script.world);
    let mut now = START;
    for (at, (step, answer)) in script.steps.iter().zip(answers).enumerate() {
        match (step, answer) {
            (Step::Load(world), _) => witness.load(world),
            (Step::Beat(after), _) => now += after,
            (Step::Frame { port, after, bytes }, Some(observed)) => {
                now += after;
                // A frame beyond a limit was allowed, and has opened what it opens.
                if !has_passed(observed) && observed.reason != Reason::RateLimit {
                    continue;
                }
                let found = witness.sees(bytes, *port, now, observed);
                if has_passed(observed) && found.contains(&invariant) {
                    return Some(at);
                }
            }
            (Step::Frame { after, .. }, None) => now += after,
        }
    }
    None
}

fn has_passed(observed: &Observed) -> bool {
    matches!(observed.verdict, Verdict::Pass | Verdict::WouldDrop)
}
