//! What has turned, of which the gravest are kept: what runs now first, then by the day on which it was last seen, and
//! of one day by packets.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{KnownFrom, MOST_LISTED, Turned};

const DAY: i64 = 86_400;

/// Talks that have turned, at most [`MOST_LISTED`] of them, and how many there were.
#[derive(Clone, Debug, Default)]
pub(super) struct Collected {
    /// The least grave on top.
    kept: BinaryHeap<Ranked>,
    count: usize,
}

impl Collected {
    pub(super) fn add(&mut self, turned: Turned) {
        self.count += 1;
        self.kept.push(Ranked(turned));
        if self.kept.len() > MOST_LISTED {
            self.kept.pop();
        }
    }

    /// Those that are kept, the gravest first, and how many others there were.
    pub(super) fn listed(self) -> (Vec<Turned>, usize) {
        let more = self.count - self.kept.len();
        (self.kept.into_sorted_vec().into_iter().map(|Ranked(turned)| turned).collect(), more)
    }
}

/// In the order of gravity, the gravest the least.
#[derive(Clone, Debug)]
struct Ranked(Turned);

impl Ranked {
    fn rank(&self) -> impl Ord {
        let Turned { known_from, last_seen, packets, device, peer, service, direction, .. } = &self.0;
        let day = last_seen.as_second().div_euclid(DAY);
        let name = (device.clone(), peer.clone(), service.clone(), direction.clone());
        (*known_from != KnownFrom::Flows, Reverse(day), Reverse(*packets), name)
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn turned(peer: &str, day: i64, packets: u64, known_from: KnownFrom) -> Turned {
        let last_seen = Timestamp::from_second(1_800_000_000 + day * DAY).unwrap();
        Turned { peer: peer.to_owned(), last_seen, packets, known_from, ..Turned::default() }
    }

    #[test]
    fn what_runs_comes_first_then_the_latest_then_the_busiest() {
        let mut collected = Collected::default();
        for (peer, day, packets, known_from) in [
            ("old", 0, 1_000, KnownFrom::History),
            ("busy", 3, 1_000, KnownFrom::History),
            ("runs", 0, 1, KnownFrom::Flows),
            ("quiet", 3, 1, KnownFrom::Events),
        ] {
            collected.add(turned(peer, day, packets, known_from));
        }
        let (listed, more) = collected.listed();
        let peers: Vec<_> = listed.iter().map(|turned| turned.peer.as_str()).collect();
        assert_eq!((peers, more), (vec!["runs", "busy", "quiet", "old"], 0));
    }

    #[test]
    fn of_too_many_the_gravest_are_kept_and_the_others_counted() {
        let mut collected = Collected::default();
        let most = MOST_LISTED as u64;
        (0..most + 5).for_each(|packets| collected.add(turned("", 0, packets, KnownFrom::History)));
        let (listed, more) = collected.listed();
        assert_eq!((listed.len(), more), (MOST_LISTED, 5));
        assert_eq!((listed[0].packets, listed[MOST_LISTED - 1].packets), (most + 4, 5));
    }
}
