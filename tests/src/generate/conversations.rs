//! Conversations: frames that belong together, a few at a time, disturbed as networks disturb them.
//!
//! Most of them are what a rule of the world allows, so that they get as deep into the judgement as real
//! ones do; some try what must not get there. The world may change under one that runs.

use std::collections::VecDeque;

use iomt_filter_common::device::Port;

use super::after;
use crate::packet::Frame;
use crate::random::Random;
use crate::world::World;

mod opening;
mod sessions;
mod fragments;
mod groups;
mod dhcp;
mod impostors;

use opening::Opening;

/// Conversations that run at once.
const RUNNING: usize = 4;

/// A frame of a conversation.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    /// Where it comes in.
    pub(super) port: Port,
    /// Nanoseconds after the frame before.
    pub(super) after: u64,
    /// The frame.
    pub(super) frame: Frame,
}

/// What is being said, and who has talked before.
#[derive(Debug, Default)]
pub(super) struct Conversations {
    running: Vec<VecDeque<Turn>>,
    openings: Vec<Opening>,
}

impl Conversations {
    pub(super) fn next(&mut self, random: &mut Random, world: &World) -> Turn {
        loop {
            if self.running.len() < RUNNING {
                let frames = self.begin(random, world);
                self.running.push(VecDeque::from(timed(random, frames)));
            }
            let index = random.below(self.running.len());
            match self.running[index].pop_front() {
                // A frame is lost now and then.
                Some(_) if random.chance(2) => {}
                Some(turn) => {
                    if random.chance(2) {
                        self.running[index].push_front(turn.clone());
                    }
                    return turn;
                }
                None => drop(self.running.swap_remove(index)),
            }
        }
    }

    fn begin(&mut self, random: &mut Random, world: &World) -> Vec<(Port, Frame)> {
        match random.below(100) {
            0..=5 => return dhcp::exchange(random, world),
            6..=15 => return groups::query(random, world),
            16..=18 => return groups::discovery(random, world),
            19..=22 => return impostors::attempt(random, world),
            _ => {}
        }
        // Ports are used again, mostly by the same pair.
        let opening = match self.openings.last() {
            Some(_) if random.chance(25) => self.openings[random.below(self.openings.len())].clone(),
            _ => Opening::new(random, world),
        };
        self.openings.push(opening.clone());
        let frames = sessions::session(random, &opening);
        if random.chance(12) { fragments::torn(random, frames) } else { frames }
    }
}

fn timed(random: &mut Random, frames: Vec<(Port, Frame)>) -> Vec<Turn> {
    let turn = |(port, frame)| {
        let after = if random.chance(4) { after(random) } else { random.next() % 20_000_000 };
        Turn { port, after, frame }
    };
    frames.into_iter().map(turn).collect()
}
