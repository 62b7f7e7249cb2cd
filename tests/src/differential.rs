//! Two judges, the same frames: they must say the same.

use std::collections::BTreeMap;
use std::fmt;

use crate::generate::{START, Script, Step};
use crate::judge::{Judge, Observed};
use crate::shrink::{described, shrink};
use crate::world::World;

/// Makes a judge with one generation loaded.
pub trait Maker {
    /// The judge.
    fn judge(&mut self, world: &World) -> Box<dyn Judge>;
}

impl<F: FnMut(&World) -> Box<dyn Judge>> Maker for F {
    fn judge(&mut self, world: &World) -> Box<dyn Judge> {
        self(world)
    }
}

/// How often which answer was given, `reason verdict` by name: a comparison that never saw one proves
/// nothing of it.
pub type Seen = BTreeMap<String, usize>;

/// A script that two judges disagree on, as small as it could be made.
#[derive(Debug)]
pub struct Difference {
    /// The seed that it came from.
    pub seed: u64,
    /// The smallest script; its last step shows the difference.
    pub script: Script,
    /// What the first judge says of that step.
    pub left: Observed,
    /// What the second one says.
    pub right: Observed,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: the judges differ; the last step of the smallest script shows it", self.seed)?;
        write!(
            f,
            "left:  {:?}\nright: {:?}\n{}",
            self.left,
            self.right,
            described(&self.script, &|_| String::new())
        )
    }
}

/// Runs the scripts that `write` makes of `seeds` through both judges.
///
/// # Errors
/// The first [`Difference`], made small.
pub fn compare(
    seeds: impl IntoIterator<Item = u64>,
    write: &dyn Fn(u64) -> Script,
    left: &mut dyn Maker,
    right: &mut dyn Maker,
) -> Result<Seen, Box<Difference>> {
    let mut seen = Seen::new();
    for seed in seeds {
        compare_script(seed, write(seed), left, right, &mut seen)?;
    }
    Ok(seen)
}

/// Runs one script through both judges, and counts their answers.
///
/// # Errors
/// The [`Difference`], made small.
pub fn compare_script(
    seed: u64,
    script: Script,
    left: &mut dyn Maker,
    right: &mut dyn Maker,
    seen: &mut Seen,
) -> Result<(), Box<Difference>> {
    let Some((at, of_left, of_right)) = run(&script, left, right, seen) else { return Ok(()) };
    let mut smaller = script;
    smaller.steps.truncate(at + 1);
    shrink(&mut smaller, &mut |candidate| run(candidate, left, right, &mut Seen::new()).is_some());
    let (left, right) = match run(&smaller, left, right, &mut Seen::new()) {
        Some((_, left, right)) => (left, right),
        // It does not show every time.
        None => (of_left, of_right),
    };
    Err(Box::new(Difference { seed, script: smaller, left, right }))
}

/// The first step on which the judges differ.
fn run(
    script: &Script,
    left: &mut dyn Maker,
    right: &mut dyn Maker,
    seen: &mut Seen,
) -> Option<(usize, Observed, Observed)> {
    let (mut left, mut right) = (left.judge(&script.world), right.judge(&script.world));
    let mut now = START;
    for (at, step) in script.steps.iter().enumerate() {
        match step {
            Step::Load(world) => {
                left.load(world);
                right.load(world);
            }
            Step::Beat(after) => {
                now += after;
                left.beat(now);
                right.beat(now);
            }
            Step::Frame { port, after, bytes } => {
                now += after;
                let (left, right) = (left.judge(bytes, *port, now), right.judge(bytes, *port, now));
                *seen.entry(format!("{} {}", left.reason.name(), left.verdict.name())).or_default() += 1;
                if left != right {
                    return Some((at, left, right));
                }
            }
        }
    }
    None
}
