//! Two judges, the same frames: they must say the same.

use std::collections::BTreeMap;
use std::fmt;

use crate::generate::{Script, Step, script};
use crate::judge::{Judge, Observed};
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
        writeln!(f, "left:  {:?}\nright: {:?}\n{}", self.left, self.right, self.script.world.describe())?;
        for step in &self.script.steps {
            match step {
                Step::Load(world) => writeln!(f, "then a new generation:\n{}", world.describe())?,
                Step::Frame { .. } => writeln!(f, "then a frame: {step:?}")?,
            }
        }
        Ok(())
    }
}

/// Runs the scripts of `seeds`, each of `length` steps, through both judges.
///
/// # Errors
/// The first [`Difference`], made small.
pub fn compare(
    seeds: impl IntoIterator<Item = u64>,
    length: usize,
    left: &mut dyn Maker,
    right: &mut dyn Maker,
) -> Result<Seen, Box<Difference>> {
    let mut seen = Seen::new();
    for seed in seeds {
        let script = script(seed, length);
        let Some((at, ..)) = run(&script, left, right, &mut seen) else { continue };
        let mut smaller = script;
        smaller.steps.truncate(at + 1);
        shrink(&mut smaller, left, right);
        let mut ignored = Seen::new();
        if let Some((_, left, right)) = run(&smaller, left, right, &mut ignored) {
            return Err(Box::new(Difference { seed, script: smaller, left, right }));
        }
    }
    Ok(seen)
}

/// The first step on which the judges differ.
fn run(
    script: &Script,
    left: &mut dyn Maker,
    right: &mut dyn Maker,
    seen: &mut Seen,
) -> Option<(usize, Observed, Observed)> {
    let (mut left, mut right) = (left.judge(&script.world), right.judge(&script.world));
    let mut now = 1_000_000_000_000;
    for (at, step) in script.steps.iter().enumerate() {
        match step {
            Step::Load(world) => {
                left.load(world);
                right.load(world);
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

/// Leaves out what is not needed for a difference, until nothing more can go.
fn shrink(script: &mut Script, left: &mut dyn Maker, right: &mut dyn Maker) {
    let mut differs = |candidate: &Script| run(candidate, left, right, &mut Seen::new()).is_some();
    loop {
        let mut is_smaller = false;
        for index in (0..script.steps.len()).rev() {
            let mut candidate = script.clone();
            candidate.steps.remove(index);
            if differs(&candidate) {
                *script = candidate;
                is_smaller = true;
            }
        }
        for cut in CUTS {
            for index in (0..8).rev() {
                let mut candidate = script.clone();
                let mut has_changed = cut(&mut candidate.world, index);
                for step in &mut candidate.steps {
                    if let Step::Load(world) = step {
                        has_changed |= cut(world, index);
                    }
                }
                if has_changed && differs(&candidate) {
                    *script = candidate;
                    is_smaller = true;
                }
            }
        }
        if !is_smaller {
            return;
        }
    }
}

/// Ways to take the `index`-th of something out of a world; false where there is none.
const CUTS: &[fn(&mut World, usize) -> bool] = &[
    |world, index| remove(&mut world.management, index),
    |world, index| remove(&mut world.protected, index),
    |world, index| remove(&mut world.countries, index),
    |world, index| world.feeds.get_mut(index / 2).is_some_and(|feed| remove(&mut feed.entries, index % 2)),
    |world, index| world.devices.len() > 1 && remove(&mut world.devices, index),
    |world, index| world.profiles.get_mut(0).is_some_and(|profile| remove(&mut profile.rules, index)),
    |world, index| world.profiles.get_mut(1).is_some_and(|profile| remove(&mut profile.rules, index)),
    |world, index| world.profiles.get_mut(2).is_some_and(|profile| remove(&mut profile.rules, index)),
    |world, index| world.profiles.get_mut(index).is_some_and(|profile| profile.geo.take().is_some()),
    |world, index| remove(&mut world.segments, index),
];

fn remove<T>(items: &mut Vec<T>, index: usize) -> bool {
    let is_there = index < items.len();
    if is_there {
        items.remove(index);
    }
    is_there
}
