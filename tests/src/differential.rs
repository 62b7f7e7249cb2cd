//! Two judges, the same frames: they must say the same.

use std::collections::BTreeMap;
use std::fmt;

use crate::generate::{START, Script, Step};
use crate::judge::{Judge, Observed};
use crate::world::{Limits, Profile, World};

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
                Step::Frame { .. } | Step::Beat(_) => writeln!(f, "then {step:?}")?,
            }
        }
        Ok(())
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
    shrink(&mut smaller, left, right);
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

/// Leaves out what is not needed for a difference, until nothing more can go.
fn shrink(script: &mut Script, left: &mut dyn Maker, right: &mut dyn Maker) {
    let mut differs = |candidate: &Script| run(candidate, left, right, &mut Seen::new()).is_some();
    let mut piece = script.steps.len() / 2;
    loop {
        let mut is_smaller = false;
        // Large pieces first, from the end: the beginning is what later steps stand on.
        let mut start = script.steps.len();
        while start > 0 {
            start = start.saturating_sub(piece.max(1));
            let mut candidate = script.clone();
            let end = (start + piece.max(1)).min(candidate.steps.len());
            drop(candidate.steps.drain(start..end));
            if differs(&candidate) {
                *script = candidate;
                is_smaller = true;
            }
        }
        if piece > 1 {
            piece /= 2;
            continue;
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
    |world, index| remove(&mut world.grants, index),
    |world, index| plain(world, index, |profile| &mut profile.resets),
    |world, index| plain(world, index, |profile| &mut profile.open_on_agent_loss),
    |world, index| plain(world, index, |profile| &mut profile.fails_open),
    |world, index| plain(world, index, |profile| &mut profile.is_unset),
    |world, index| world.devices.get_mut(index).is_some_and(|device| std::mem::take(&mut device.by_dhcp)),
    |world, index| unlimited(world, index, |limits| &mut limits.flows),
    |world, index| unlimited(world, index, |limits| &mut limits.from.packets),
    |world, index| unlimited(world, index, |limits| &mut limits.from.connections),
    |world, index| unlimited(world, index, |limits| &mut limits.to.packets),
    |world, index| unlimited(world, index, |limits| &mut limits.to.connections),
];

fn plain(world: &mut World, index: usize, flag: fn(&mut Profile) -> &mut bool) -> bool {
    world.profiles.get_mut(index).is_some_and(|profile| std::mem::take(flag(profile)))
}

fn unlimited(world: &mut World, index: usize, limit: fn(&mut Limits) -> &mut Option<u32>) -> bool {
    world.profiles.get_mut(index).is_some_and(|profile| limit(&mut profile.limits).take().is_some())
}

fn remove<T>(items: &mut Vec<T>, index: usize) -> bool {
    let is_there = index < items.len();
    if is_there {
        items.remove(index);
    }
    is_there
}
