//! Random scripts: a hospital, frames that come in as time passes, and new generations in between.
//!
//! Everything is drawn from pools so small that addresses meet rules, lists, countries and each other,
//! and most frames answer or continue an earlier one. A script is plain data, so that one that shows a
//! difference can be made smaller.

use std::fmt;

use iomt_filter_common::device::Port;

use crate::random::Random;
use crate::world::World;

mod frames;
mod conversations;
mod worlds;

pub use worlds::{address, world};

/// When a script begins, in nanoseconds of the clock that judges are told.
pub const START: u64 = 1_000_000_000_000;

/// What a judge is to go through.
#[derive(Clone, Debug)]
pub struct Script {
    /// The first generation.
    pub world: World,
    /// What happens then.
    pub steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "a script has few steps")]
pub enum Step {
    /// A frame comes in.
    Frame {
        /// Where.
        port: Port,
        /// Nanoseconds after the step before.
        after: u64,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// A new generation.
    Load(World),
    /// The agent is heard of, so many nanoseconds after the step before.
    Beat(u64),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame { port, after, bytes } => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                write!(f, "a frame: {} +{after} {hex}", port.name())
            }
            Self::Load(world) => f.debug_tuple("Load").field(world).finish(),
            Self::Beat(after) => write!(f, "a heartbeat: +{after}"),
        }
    }
}

/// The script of a seed, with `length` steps.
pub fn script(seed: u64, length: usize) -> Script {
    let mut random = Random::new(seed);
    let mut now = START;
    let mut world = worlds::world(&mut random);
    worlds::passing(&mut random, &mut world, now);
    let mut current = world.clone();
    let mut frames = frames::Frames::default();
    let steps = (0..length).map(|_| {
        if random.chance(6) {
            worlds::change(&mut random, &mut current, now);
            return Step::Load(current.clone());
        }
        let after = after(&mut random);
        now += after;
        if random.chance(2) {
            return Step::Beat(after);
        }
        let (port, bytes) = frames.next(&mut random, &current);
        Step::Frame { port, after, bytes }
    });
    Script { world, steps: steps.collect() }
}

/// The script of a seed, with `length` steps, most of which are turns of conversations.
pub fn conversations(seed: u64, length: usize) -> Script {
    let mut random = Random::new(seed);
    let mut now = START;
    let mut world = worlds::lenient(&mut random);
    worlds::passing(&mut random, &mut world, now);
    let mut current = world.clone();
    let mut frames = frames::Frames::default();
    let mut conversations = conversations::Conversations::default();
    let steps = (0..length).map(|_| match random.below(100) {
        0 | 1 => {
            worlds::change(&mut random, &mut current, now);
            Step::Load(current.clone())
        }
        2 => {
            let after = after(&mut random);
            now += after;
            Step::Beat(after)
        }
        3..=9 => {
            let (port, bytes) = frames.aside(&mut random, &current);
            let after = random.next() % 1_000_000;
            now += after;
            Step::Frame { port, after, bytes }
        }
        kind => {
            let turn = conversations.next(&mut random, &current);
            now += turn.after;
            frames.note(turn.port, &turn.frame);
            let frame = if kind < 13 { frames::broken(&mut random, turn.frame) } else { turn.frame };
            Step::Frame { port: turn.port, after: turn.after, bytes: frame.bytes() }
        }
    });
    Script { world, steps: steps.collect() }
}

/// Mostly little, sometimes a lifetime of flows, one nanosecond more or less.
fn after(random: &mut Random) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    if random.chance(85) {
        return random.below(SECOND as usize) as u64;
    }
    let seconds = random.pick(&[29, 30, 60, 299, 300, 431_999, 432_000]) * SECOND;
    random.pick(&[seconds - 1, seconds, seconds + 1])
}
