//! Several at work on one set of flows, step by step, in every order that there is. A step is one word that is loaded,
//! stored or exchanged. Nothing here is left to chance or to threads: whoever is to take a step is played from the
//! beginning, with what it was told before, and what it does behind that step does not count.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use iomt_filter_common::flowtable::{Set, Sets, V6_WORDS, WAYS};

/// What somebody does with the set; in the end it says whether what it saw was right.
pub(crate) type Work<'w> = dyn Fn(&Stage<'_>) -> Result<(), String> + 'w;

/// Somebody who works with the set.
pub(crate) struct Actor<'w> {
    work: &'w Work<'w>,
    /// Whether nobody comes between its steps.
    is_whole: bool,
}

impl<'w> Actor<'w> {
    /// One that takes step by step.
    pub(crate) fn stepping(work: &'w Work<'w>) -> Self {
        Self { work, is_whole: false }
    }

    /// One that does all at once.
    pub(crate) fn at_once(work: &'w Work<'w>) -> Self {
        Self { work, is_whole: true }
    }
}

/// How far everybody has come.
#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    words: [u64; V6_WORDS],
    /// What each one was told in its steps; nothing more for one that has ended.
    told: Vec<Option<Vec<u64>>>,
}

/// Goes through every order of the actors' steps, from a set that somebody has prepared; how many states there were.
/// Stops at the first wrong answer, and says in which order of actors it comes about.
pub(crate) fn in_every_order(prepare: &Work<'_>, actors: &[Actor<'_>]) -> Result<usize, String> {
    let mut first = State { words: [0; V6_WORDS], told: vec![Some(Vec::new()); actors.len()] };
    play(&mut first.words, &[], &Actor::at_once(prepare)).0?;
    let (mut seen, mut open) = (HashSet::new(), vec![(first, Vec::new())]);
    while let Some((state, order)) = open.pop() {
        if !seen.insert(state.clone()) {
            continue;
        }
        for (number, actor) in actors.iter().enumerate() {
            let Some(told) = &state.told[number] else { continue };
            let (mut next, mut order) = (state.clone(), order.clone());
            order.push(number);
            let (answer, was_told) = play(&mut next.words, told, actor);
            match (was_told, &mut next.told[number]) {
                (Some(word), Some(told)) => told.push(word),
                (_, told) => {
                    answer.map_err(|wrong| format!("{wrong}, in the order {order:?}"))?;
                    *told = None;
                }
            }
            open.push((next, order));
        }
    }
    Ok(seen.len())
}

/// Takes the next step of an actor, and says what it answers, and what it was told in that step where it goes on.
fn play(words: &mut [u64; V6_WORDS], told: &[u64], actor: &Actor<'_>) -> (Result<(), String>, Option<u64>) {
    let stage = Stage {
        words: RefCell::new(*words),
        told,
        is_whole: actor.is_whole,
        at: Cell::new(0),
        last: Cell::new(0),
        goes_on: Cell::new(false),
    };
    let answer = (actor.work)(&stage);
    let goes_on = stage.goes_on.get().then_some(stage.last.get());
    *words = stage.words.into_inner();
    (answer, goes_on)
}

/// The set, as an actor sees it.
pub(crate) struct Stage<'t> {
    words: RefCell<[u64; V6_WORDS]>,
    told: &'t [u64],
    is_whole: bool,
    at: Cell<usize>,
    last: Cell<u64>,
    goes_on: Cell<bool>,
}

impl Stage<'_> {
    /// A step, which says what it was told.
    fn step(&self, word: u32, step: impl FnOnce(&mut u64) -> u64) -> u64 {
        let mut words = self.words.borrow_mut();
        let word_before = &mut words[word as usize];
        if self.is_whole || !is_shared(word) {
            return step(word_before);
        }
        let at = self.at.replace(self.at.get() + 1);
        if at > self.told.len() {
            self.goes_on.set(true);
            return 0;
        }
        let told = self.told.get(at).copied().unwrap_or_else(|| step(word_before));
        self.last.set(told);
        told
    }
}

/// Whether a word is one of the first place's, which all is about: the others stay as they are.
fn is_shared(word: u32) -> bool {
    const LINE: u32 = 8;
    /// The ends of a flow of IPv6. The upper halves are the same for all that [`key`](super::memory::key) makes.
    const LOWER_HALVES: [u32; 2] = [LINE * (1 + WAYS) + 1, LINE * (1 + WAYS) + 3];
    word < 2 || (LINE..2 * LINE).contains(&word) || LOWER_HALVES.contains(&word)
}

impl Set for &Stage<'_> {
    fn load(self, word: u32) -> u64 {
        self.step(word, |held| *held)
    }

    fn store(self, word: u32, value: u64) {
        self.step(word, |held| {
            *held = value;
            0
        });
    }

    fn exchange(self, word: u32, seen: u64, value: u64) -> bool {
        let is_exchanged = self.step(word, |held| {
            let is_seen = *held == seen;
            *held = if is_seen { value } else { *held };
            u64::from(is_seen)
        });
        is_exchanged != 0
    }
}

impl Sets for &Stage<'_> {
    type Set = Self;

    fn set(&self, _is_v4: bool, number: u32) -> Option<Self> {
        (number == 0).then_some(*self)
    }

    fn count(&self, _is_v4: bool) -> u32 {
        1
    }

    fn secret(&self) -> u64 {
        0x5eed_5eed_5eed_5eed
    }
}
