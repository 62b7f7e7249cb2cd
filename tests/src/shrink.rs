//! Makes a script that shows something smaller.

use std::fmt::Write as _;

use crate::generate::{Script, Step};
use crate::world::{Limits, Profile, World};

/// The world of a script and its steps as people read them, each with what `said` has to say of it.
pub(crate) fn described(script: &Script, said: &dyn Fn(usize) -> String) -> String {
    let mut text = script.world.describe() + "\n";
    for (at, step) in script.steps.iter().enumerate() {
        // Writing into a string cannot fail.
        let _ = match step {
            Step::Load(world) => writeln!(text, "then a new generation:\n{}", world.describe()),
            Step::Frame { .. } | Step::Beat(_) => writeln!(text, "then {step:?}{}", said(at)),
        };
    }
    text
}

/// Leaves out what is not needed for what `shows` looks for, until nothing more can go.
pub(crate) fn shrink(script: &mut Script, shows: &mut dyn FnMut(&Script) -> bool) {
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
            if shows(&candidate) {
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
                if has_changed && shows(&candidate) {
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
