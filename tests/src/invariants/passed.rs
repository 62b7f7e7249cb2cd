//! What has passed so far.

use std::collections::HashMap;
use std::net::IpAddr;

use super::reading::{Seen, Tuple};

const SECOND: u64 = 1_000_000_000;
/// The longest that anything is remembered without traffic.
const LONGEST: u64 = 432_000 * SECOND;
/// How long a question to many may be answered, and how long a packet in fragments may take.
const SHORT: u64 = 30 * SECOND;

/// Asker, its port, the service's; of who has no address yet, which device it is.
type Question = (IpAddr, u16, u16, Option<String>);

/// Source, destination, identification, and the protocol of IPv4.
type Piece = (IpAddr, IpAddr, u32, u8);

/// Frames that passed, by what may stand on them.
#[derive(Clone, Debug, Default)]
pub(super) struct Passed {
    /// Everything, by its tuple.
    all: HashMap<Tuple, u64>,
    /// What devices sent themselves, and what has answered since.
    own: HashMap<Tuple, u64>,
    /// Questions of devices, and of anybody.
    own_questions: HashMap<Question, u64>,
    questions: HashMap<Question, u64>,
    /// First fragments: source, destination, identification, protocol of IPv4; and where they came in.
    firsts: HashMap<(Piece, bool), (u64, Seen)>,
}

impl Passed {
    /// Notes a frame that passed. `sender` is the device that it is believed to come from, `is_to_many` says that
    /// it asks a group.
    pub(super) fn note(
        &mut self,
        seen: &Seen,
        is_inside: bool,
        sender: Option<&str>,
        is_to_many: bool,
        now: u64,
    ) {
        let tuple = seen.tuple;
        // A conversation lasts as long as either side goes on.
        if self.has_sent(seen, now) {
            self.own.insert(tuple.reversed(), now);
        }
        if self.was_sent(seen, now) {
            self.all.insert(tuple.reversed(), now);
        }
        self.all.insert(tuple, now);
        if sender.is_some() {
            self.own.insert(tuple, now);
        }
        if tuple.protocol == 17 && is_to_many && !seen.is_later() {
            let (asker, port) = tuple.source;
            let device = sender.filter(|_| asker.is_unspecified()).map(str::to_owned);
            let question = (asker, port, tuple.destination.1, device);
            if sender.is_some() {
                self.own_questions.insert(question.clone(), now);
            }
            self.questions.insert(question, now);
        }
        if let Some((id, 0)) = seen.fragment {
            self.firsts.insert((piece(&tuple, id), is_inside), (now, *seen));
        }
    }

    /// A later fragment with the ports of its first one, where that has passed in time and on the same side, behind
    /// a device port or not. Other packets are as they are.
    pub(super) fn completed(&self, seen: Seen, is_inside: bool, now: u64) -> Option<Seen> {
        let Some((id, _)) = seen.fragment.filter(|_| seen.is_later()) else { return Some(seen) };
        let (at, first) = self.firsts.get(&(piece(&seen.tuple, id), is_inside))?;
        let is_in_time = now.saturating_sub(*at) <= SHORT;
        is_in_time.then_some(Seen { tuple: first.tuple, opens: first.opens, ..seen })
    }

    /// Whether the receiver has itself sent what this answers.
    pub(super) fn has_sent(&self, seen: &Seen, now: u64) -> bool {
        !seen.opens && is_recent(self.own.get(&seen.tuple.reversed()), LONGEST, now)
    }

    /// Whether what this answers has passed.
    pub(super) fn was_sent(&self, seen: &Seen, now: u64) -> bool {
        !seen.opens && is_recent(self.all.get(&seen.tuple.reversed()), LONGEST, now)
    }

    /// Whether the device has itself asked a group what this answers.
    pub(super) fn has_asked(&self, tuple: &Tuple, device: &str, now: u64) -> bool {
        let (asker, nobody) = (tuple.destination.0, IpAddr::from([0; 4]));
        let device = Some(device.to_owned());
        services(&self.own_questions, tuple, (asker, &None), now).next().is_some()
            || services(&self.own_questions, tuple, (nobody, &device), now).next().is_some()
    }

    /// For what the receiver has asked a group, where this may answer it.
    pub(super) fn was_asked(&self, tuple: &Tuple, now: u64) -> Vec<u16> {
        services(&self.questions, tuple, (tuple.destination.0, &None), now).collect()
    }

    /// Whether the packet that an error is about, or one that it answers, has passed, and came from whoever is
    /// told.
    pub(super) fn is_about(&self, seen: &Seen, now: u64) -> bool {
        let Some(quoted) = seen.quoted.filter(|quoted| quoted.source.0 == seen.tuple.destination.0) else {
            return false;
        };
        [quoted, quoted.reversed()].iter().any(|tuple| is_recent(self.all.get(tuple), LONGEST, now))
    }
}

/// The ports that somebody has asked groups for, from the port that a packet goes to.
fn services<'q>(
    questions: &'q HashMap<Question, u64>,
    tuple: &'q Tuple,
    (asker, device): (IpAddr, &'q Option<String>),
    now: u64,
) -> impl Iterator<Item = u16> + 'q {
    let (from, to) = (tuple.source.1, tuple.destination.1);
    let asked = questions.iter().filter(move |((by, port, service, of), at)| {
        let may_answer = *service == from || (*service > 1023 && from > 1023);
        (*by, *port, of) == (asker, to, device) && may_answer && is_recent(Some(at), SHORT, now)
    });
    asked.filter(|_| tuple.protocol == 17).map(|((_, _, service, _), _)| *service)
}

const fn piece(tuple: &Tuple, id: u32) -> Piece {
    let protocol = if tuple.source.0.is_ipv4() { tuple.protocol } else { 0 };
    (tuple.source.0, tuple.destination.0, id, protocol)
}

fn is_recent(at: Option<&u64>, lifetime: u64, now: u64) -> bool {
    at.is_some_and(|at| now.saturating_sub(*at) <= lifetime)
}
