//! Named cases: a sentence, a frame, and the answer as `verdict reason [device]`.
//!
//! What goes in is written once and told at every level: to the host build, to the program in the kernel,
//! and to the reference model beside them, each time in every [`variation`] that must not matter.

use std::collections::BTreeSet;

use iomt_filter_common::device::Port;

use crate::packet::Frame;
use crate::world::World;

/// Names each function after itself.
macro_rules! stories {
    ($($name:ident),* $(,)?) => {
        /// What this file tells.
        pub(super) const STORIES: super::Stories = &[$((stringify!($name), $name as fn(&mut super::Story)),)*];
    };
}

mod variation;
mod family;
mod company;
mod tell;
mod order;
mod line_2;
mod rules;
mod spoofing;
mod flows;
mod protocols;
mod framing;
mod lengths;
mod impossible;
mod fragments;
mod errors;
mod sameness;
mod overlaps;
mod groups;
mod leases;
mod bindings;
mod dhcp;
mod roamer;
mod resets;
mod limits;
mod loss;
mod grants;
mod closing;
mod claims;
mod channels;

pub use tell::tell;

/// A port that faces devices.
pub const DEVICE: Port = Port::Device;
/// A port that faces the hospital network.
pub const UPLINK: Port = Port::Uplink;

const SECOND: u64 = 1_000_000_000;
/// Plays begin at a time that is far from zero.
const BEGINNING: u64 = 1 << 50;

macro_rules! groups {
    ($dollar:tt $($group:ident),* $(,)?) => {
        /// Every story, by the name of what it is about.
        pub const STORIES: &[(&str, Stories)] = &[$((stringify!($group), $group::STORIES),)*];

        /// One test for each group of stories: it calls the function with the group's name.
        #[macro_export]
        macro_rules! every_group {
            ($dollar told:ident) => {
                $(#[test]
                fn $group() {
                    $dollar told(stringify!($group));
                })*
            };
        }
    };
}

/// Stories with their names.
pub type Stories = &'static [(&'static str, fn(&mut Story))];

groups![
    $ order, line_2, rules, spoofing, flows, protocols, framing, lengths, impossible, fragments, errors,
    sameness, overlaps, groups, leases, bindings, resets, limits, loss, grants, closing,
    claims, channels
];

/// What belongs together: plays that begin anew, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Story {
    plays: Vec<Play>,
}

/// One hospital, a clock, and what happens there.
#[derive(Clone, Debug)]
pub struct Play {
    world: World,
    steps: Vec<Step>,
    varies: Varies,
}

/// What may be changed about a play without changing its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Varies {
    tags: bool,
    family: bool,
    packet: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Load(Box<World>),
    Beat,
    Frame(Box<Shown>),
}

/// A frame that comes in, and what is to be said of it.
#[derive(Clone, Debug)]
struct Shown {
    what: String,
    port: Port,
    frame: Frame,
    answer: String,
    rule: Option<String>,
    listing: Option<(String, String, u8)>,
    country: Option<String>,
    reset: Option<Reset>,
}

/// The segment that goes back: its flags, sequence number, and what it acknowledges.
#[derive(Clone, Copy, Debug)]
struct Reset {
    flags: u8,
    sequence: u32,
    acknowledged: u32,
}

/// Every answer that a story asks for, as `verdict reason` and the port that the frame came in on.
pub fn answers() -> BTreeSet<(String, &'static str)> {
    let mut told = BTreeSet::new();
    for (_, write) in STORIES.iter().flat_map(|(_, stories)| *stories) {
        let mut story = Story::default();
        write(&mut story);
        for step in story.plays.iter().flat_map(|play| &play.steps) {
            if let Step::Frame(shown) = step {
                let answer: Vec<&str> = shown.answer.split(' ').take(2).collect();
                told.insert((answer.join(" "), shown.port.name()));
            }
        }
    }
    told
}

impl Story {
    /// A play of its own in `world`.
    pub fn play(&mut self, world: &World) -> &mut Play {
        let varies = Varies { tags: true, family: true, packet: true };
        self.plays.push(Play { world: world.clone(), steps: Vec::new(), varies });
        let last = self.plays.len() - 1;
        &mut self.plays[last]
    }

    /// One frame in a fresh hospital.
    pub fn once(&mut self, world: &World, what: &str, port: Port, frame: &Frame, answer: &str) -> &mut Play {
        self.play(world).frame(what, port, frame, answer)
    }
}

impl Play {
    /// A frame comes in and gets this answer.
    pub fn frame(&mut self, what: &str, port: Port, frame: &Frame, answer: &str) -> &mut Self {
        let (what, frame, answer) = (what.to_owned(), frame.clone(), answer.to_owned());
        let (rule, listing, country, reset) = (None, None, None, None);
        let shown = Shown { what, port, frame, answer, rule, listing, country, reset };
        self.steps.push(Step::Frame(Box::new(shown)));
        self
    }

    /// The rule that allowed the last frame, as `profile[index]`.
    pub fn by(&mut self, rule: &str) -> &mut Self {
        self.last(|shown| shown.rule = Some(rule.to_owned()))
    }

    /// The list entry that blocked the last frame.
    pub fn listed(&mut self, feed: &str, entry: &str, score: u8) -> &mut Self {
        self.last(|shown| shown.listing = Some((feed.to_owned(), entry.to_owned(), score)))
    }

    /// The country that blocked the last frame.
    pub fn in_country(&mut self, name: &str) -> &mut Self {
        self.last(|shown| shown.country = Some(name.to_owned()))
    }

    /// What goes back to the sender of the last frame, where the judge is one that answers.
    pub fn answered_by(&mut self, flags: u8, sequence: u32, acknowledged: u32) -> &mut Self {
        self.last(|shown| shown.reset = Some(Reset { flags, sequence, acknowledged }))
    }

    fn last(&mut self, change: impl FnOnce(&mut Shown)) -> &mut Self {
        if let Some(Step::Frame(shown)) = self.steps.last_mut() {
            change(shown);
        }
        self
    }

    /// Lets time pass.
    pub fn wait(&mut self, seconds: u64) -> &mut Self {
        self.wait_nanoseconds(seconds * SECOND)
    }

    /// Lets a little time pass.
    pub fn wait_nanoseconds(&mut self, nanoseconds: u64) -> &mut Self {
        self.steps.push(Step::Wait(nanoseconds));
        self
    }

    /// Activates a new generation.
    pub fn load(&mut self, world: &World) -> &mut Self {
        self.steps.push(Step::Load(Box::new(world.clone())));
        self
    }

    /// The agent is heard of.
    pub fn beat(&mut self) -> &mut Self {
        self.steps.push(Step::Beat);
        self
    }

    /// It is about tags: they stay as they are written.
    pub const fn tags_matter(&mut self) -> &mut Self {
        self.varies.tags = false;
        self
    }

    /// It is about one family, or written for both.
    pub const fn family_matters(&mut self) -> &mut Self {
        self.varies.family = false;
        self
    }

    /// It is about every byte of the frame.
    pub const fn bytes_matter(&mut self) -> &mut Self {
        self.varies = Varies { tags: false, family: false, packet: false };
        self
    }

    fn map_frames(&mut self, change: impl Fn(&mut Frame)) {
        for step in &mut self.steps {
            if let Step::Frame(shown) = step {
                change(&mut shown.frame);
            }
        }
    }

    fn map_worlds(&mut self, change: impl Fn(&mut World)) {
        change(&mut self.world);
        for step in &mut self.steps {
            if let Step::Load(world) = step {
                change(world);
            }
        }
    }
}
