//! Blocks by hand: added, withdrawn, and let go when their time is up.

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Errors;
use super::core::{Core, chain};
use super::store;
use super::term::{Term, between};
use crate::api::messages::{BlockRequest, Changed, UnblockRequest};
use crate::clock::{BootTime, Clocks, boottime};
use crate::feeds::manual::ManualBlock;
use crate::numbers::Numbers;

/// The file of the manual blocks, in the state folder.
pub(super) const BLOCKS: &str = "blocks.json";

/// What is kept of the blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Blocks(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    block: ManualBlock,
    /// When it ends, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends: Option<BootTime>,
}

impl Entry {
    fn holds(&self, now: u64) -> bool {
        self.ends.is_none_or(|ends| now < ends.nanoseconds)
    }
}

impl Blocks {
    /// As they were kept, for this boot; see [`Term::ends`].
    pub(super) fn begun(mut self, seen: BootTime, now: &Clocks) -> Self {
        for Entry { block, ends } in &mut self.0 {
            let term = block.until.map(|until| Term { from: block.added, until });
            *ends = term.map(|term| term.ends(ends.unwrap_or_default(), seen, now));
        }
        self.at(now.boot.nanoseconds)
    }

    /// Those that hold now.
    pub(super) fn list(&self) -> Vec<ManualBlock> {
        let now = boottime();
        self.0.iter().filter(|entry| entry.holds(now)).map(|entry| entry.block.clone()).collect()
    }

    /// Whether one of them ends by itself.
    pub(super) fn any_ends(&self) -> bool {
        self.0.iter().any(|entry| entry.ends.is_some())
    }

    /// Those that hold at `now`, in nanoseconds since boot.
    pub(super) fn at(&self, now: u64) -> Self {
        Self(self.0.iter().filter(|entry| entry.holds(now)).cloned().collect())
    }

    /// Adds those of a request, in the place of what was blocked before; how many there are.
    fn add(&mut self, request: &BlockRequest, by: &str, now: &Clocks) -> usize {
        let targets: BTreeSet<IpNet> = request.targets.iter().copied().collect();
        self.0.retain(|entry| !targets.contains(&entry.block.target));
        let count = targets.len();
        self.0.extend(targets.into_iter().map(|target| Entry {
            block: ManualBlock {
                target,
                score: request.score,
                until: request.until,
                note: request.note.clone(),
                added: now.time_of_day,
                by: by.to_owned(),
            },
            ends: request.until.map(|until| now.boot.after(between(now.time_of_day, until))),
        }));
        count
    }

    fn ended(&self, now: u64) -> usize {
        self.0.iter().filter(|entry| !entry.holds(now)).count()
    }
}

impl Core {
    /// Adds blocks for all who ask, with one generation: the answers, in order. What one of them may not block is no
    /// reason to refuse the others.
    pub(super) fn block(&mut self, asked: &[(BlockRequest, String)]) -> Vec<Result<Changed, Errors>> {
        let now = Clocks::now();
        let mut blocks = self.blocks.at(now.boot.nanoseconds);
        let add = |(request, by): &(BlockRequest, String)| {
            self.may_block(request).map(|()| blocks.add(request, by, &now))
        };
        let added: Vec<Result<usize, Errors>> = asked.iter().map(add).collect();
        let count = added.iter().flatten().sum();
        if count == 0 {
            let none =
                |count| Changed { changed: count, generation: self.generation(), warnings: Vec::new() };
            return added.into_iter().map(|added| added.map(none)).collect();
        }
        match self.replace_blocks(blocks, count) {
            Ok(changed) => {
                let of = |count| Changed { changed: count, ..changed.clone() };
                added.into_iter().map(|added| added.map(of)).collect()
            }
            Err(errors) if asked.len() == 1 => vec![Err(errors)],
            // Together they do not fit: some may by themselves.
            Err(_) => asked.chunks(1).flat_map(|asked| self.block(asked)).collect(),
        }
    }

    fn may_block(&self, request: &BlockRequest) -> Result<(), Errors> {
        if request.score > 100 {
            return Err(vec![format!("score {} is above 100", request.score)]);
        }
        let refused = self.intent.refuse_blocks(&request.targets);
        if refused.is_empty() { Ok(()) } else { Err(refused) }
    }

    pub(super) fn unblock(&mut self, request: &UnblockRequest) -> Result<Changed, Errors> {
        let mut blocks = self.blocks.at(boottime());
        let targets: BTreeSet<IpNet> = request.targets.iter().copied().collect();
        let held: BTreeSet<IpNet> = blocks.0.iter().map(|entry| entry.block.target).collect();
        let unknown: Errors = targets
            .difference(&held)
            .map(|target| {
                format!("`{target}` is not blocked by hand; `iomt-filter block list` shows what is")
            })
            .collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        blocks.0.retain(|entry| !targets.contains(&entry.block.target));
        self.replace_blocks(blocks, targets.len())
    }

    /// Lets manual blocks go whose time is up.
    pub(super) fn expire_blocks(&mut self) {
        let now = boottime();
        let ended = self.blocks.ended(now);
        if ended > 0
            && let Err(errors) = self.replace_blocks(self.blocks.at(now), ended)
        {
            tracing::error!(errors = errors.join("; "), "blocks that have ended could not be removed");
        }
    }

    fn replace_blocks(&mut self, blocks: Blocks, count: usize) -> Result<Changed, Errors> {
        let mut numbers = Numbers::clone(&self.numbers);
        let intent = self.intent.with_blocks(&mut numbers, &blocks.list());
        let state = self.config.paths.state.clone();
        let before = self.blocks.clone();
        // Kept before they bite: what is in the kernel always survives a restart.
        store::save(&state, BLOCKS, &blocks).map_err(|error| vec![chain(&error)])?;
        match self.activate(intent, numbers, blocks.into()) {
            Ok(changed) => Ok(Changed { changed: count, ..changed }),
            Err(mut errors) => {
                if let Err(error) = store::save(&state, BLOCKS, &*before) {
                    errors.push(chain(&error));
                }
                Err(errors)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    fn block(target: &str, seconds: Option<i64>) -> ManualBlock {
        let added = Timestamp::now();
        let until = seconds.map(|seconds| added + SignedDuration::from_secs(seconds));
        ManualBlock {
            target: target.parse().unwrap(),
            score: 100,
            until,
            note: None,
            added,
            by: "root".into(),
        }
    }

    #[test]
    fn what_an_agent_before_kept_without_an_end_is_read_and_ends() {
        let old = [
            block("203.0.113.1/32", None),
            block("203.0.113.2/32", Some(60)),
            block("203.0.113.3/32", Some(-1)),
        ];
        let text = serde_json::to_string(&old).unwrap();
        let now = Clocks::now();
        let begun = serde_json::from_str::<Blocks>(&text).unwrap().begun(BootTime::default(), &now);
        assert_eq!(begun.list(), old[..2]);
        let left = begun.0[1].ends.unwrap().nanoseconds - now.boot.nanoseconds;
        assert!((59_000_000_000..=60_000_000_000).contains(&left), "{left}");
        assert!(begun.0[0].ends.is_none() && begun.any_ends());
    }

    #[test]
    fn a_clock_that_was_set_back_makes_a_block_no_longer() {
        let now = Clocks::now();
        let ends = now.boot.after(60_000_000_000);
        let kept = Blocks(vec![Entry { block: block("203.0.113.2/32", Some(60)), ends: Some(ends) }]);
        let kept = serde_json::from_str::<Blocks>(&serde_json::to_string(&kept).unwrap()).unwrap();
        let time_of_day = now.time_of_day - SignedDuration::from_hours(400 * 24);
        let begun = kept.begun(BootTime::default(), &Clocks { time_of_day, ..now });
        assert_eq!(begun.0[0].ends, Some(ends));
        assert!(begun.at(ends.nanoseconds).0.is_empty());
    }
}
