//! A place that changes hands, is judged and read by several at once, in every order of their steps: nobody sees what
//! was not judged. A reader is interrupted wherever it can be, by any number of changes.

use iomt_filter_common::flow::{Flow, FlowKey, Progress};
use iomt_filter_common::flowtable::{self, Entry, Sighting};
use iomt_filter_common::tables::FlowEntry as _;

use super::memory::{flow, key};
use super::recall::{origin, sighting};
use super::steps::{Actor, Stage, Work, in_every_order};
use super::{found, judged};

/// Flows that differ in their addresses alone: nothing in a tag tells them apart but its version.
const X: u32 = 2;
const Y: u32 = 3;

/// A set in which only the first place is given to anybody. `X` has it, judged by a generation.
fn with_x(is_v4: bool, generation: u32) -> impl Fn(&Stage<'_>) -> Result<(), String> {
    move |stage| {
        // A set is filled from its last place on.
        for number in 100..103 {
            let kept = flowtable::insert(&key(number, is_v4), &flow(0, Progress::Established), true, &stage);
            assert!(kept);
        }
        assert!(flowtable::insert(&key(X, is_v4), &judged(X, generation, 0), true, &stage));
        assert_eq!(flowtable::find(&key(X, is_v4), &stage).way & 3, 0, "the first place");
        Ok(())
    }
}

/// Gives the place to a flow so many times.
fn gives(number: u32, is_v4: bool, times: u32, generation: u32) -> impl Fn(&Stage<'_>) -> Result<(), String> {
    move |stage| {
        for _ in 0..times {
            flowtable::insert(&key(number, is_v4), &judged(number, generation, 0), true, &stage);
        }
        Ok(())
    }
}

/// Finds a flow, and judges it anew.
fn judges(number: u32, is_v4: bool, generation: u32) -> impl Fn(&Stage<'_>) -> Result<(), String> {
    move |stage| {
        if let Some(entry) = Entry::find(stage, &key(number, is_v4), generation) {
            entry.store(&judged(number, generation, 0));
        }
        Ok(())
    }
}

/// Finds a flow, for a generation and those behind it, and looks whether it is one that somebody judged.
fn reads(number: u32, is_v4: bool, asking: u32) -> impl Fn(&Stage<'_>) -> Result<(), String> {
    move |stage| match found(&key(number, is_v4), stage) {
        Some(found) if found.generation >= asking => is_judged(number, &found),
        _ => Ok(()),
    }
}

/// What is read goes together, or is nobody's: the last owner's devices, or no generation.
fn is_judged(number: u32, found: &Flow) -> Result<(), String> {
    let right = judged(number, found.generation, 0);
    let is_owners = (found.opener, found.responder) == (right.opener, right.responder);
    if !is_owners || found.generation == 0 || found.expires == right.expires {
        return Ok(());
    }
    Err(format!("generation {} and the end {:#x}", found.generation, found.expires))
}

/// Reads the first place, whatever is there.
fn lists(is_v4: bool) -> impl Fn(&Stage<'_>) -> Result<(), String> {
    move |stage| {
        let Some((read, found)) = flowtable::read(stage, is_v4, 0) else { return Ok(()) };
        let number = [X, Y].into_iter().find(|number| key(*number, is_v4) == read);
        is_judged(number.ok_or("nobody's key")?, &found)
    }
}

/// Remembers where packets of a flow come from.
fn settles(number: u32, is_v4: bool, generation: u32) -> impl Fn(&Stage<'_>) -> Result<(), String> {
    move |stage| {
        if let Some(entry) = Entry::find(stage, &key(number, is_v4), generation) {
            entry.set_origin(false, origin(number));
        }
        Ok(())
    }
}

/// Adds a packet that comes from where another flow's do.
fn comes_from(other: u32, key: FlowKey, generation: u32) -> impl Fn(&Stage<'_>) -> Result<(), String> {
    move |stage| {
        let seen = Sighting { generation, now: 1, minute: 0, ..sighting(origin(other)) };
        let is_added = flowtable::recall(&key, &seen, &stage).is_some();
        if is_added { Err("let in by what nobody judged".to_owned()) } else { Ok(()) }
    }
}

/// Goes through every order of their steps, from a set in which `X` is.
fn all_orders(is_v4: bool, generation: u32, actors: &[Actor<'_>]) {
    let states = in_every_order(&with_x(is_v4, generation), actors).unwrap();
    assert!(states > 50, "{states} are too few for anybody to have done anything");
}

#[test]
fn one_reads_while_another_judges_and_the_place_changes_hands_any_number_of_times() {
    for is_v4 in [true, false] {
        for times in 1..=17 {
            let (reads, judges) = (reads(Y, is_v4, 1), judges(X, is_v4, 2));
            let gives = gives(Y, is_v4, times, 1);
            all_orders(
                is_v4,
                1,
                &[Actor::stepping(&reads), Actor::stepping(&judges), Actor::at_once(&gives)],
            );
        }
    }
}

#[test]
fn a_list_shows_nobody_with_what_is_anothers() {
    for is_v4 in [true, false] {
        for times in 1..=17 {
            let (lists, gives) = (lists(is_v4), gives(Y, is_v4, times, 1));
            all_orders(is_v4, 1, &[Actor::stepping(&lists), Actor::at_once(&gives)]);
        }
    }
}

#[test]
fn two_give_the_place_away_step_by_step_and_two_judge_anew() {
    for is_v4 in [true, false] {
        let [to_x, to_y] = [gives(X, is_v4, 1, 2), gives(Y, is_v4, 1, 2)];
        let [second, third] = [judges(X, is_v4, 2), judges(X, is_v4, 3)];
        let [reads_x, reads_y] = [reads(X, is_v4, 1), reads(Y, is_v4, 1)];
        let all = |three: [&Work<'_>; 3]| all_orders(is_v4, 1, &three.map(Actor::stepping));
        all([&reads_x, &second, &third]);
        all([&reads_y, &second, &to_y]);
        all([&reads_y, &to_x, &to_y]);
    }
}

#[test]
fn a_generation_that_looks_like_an_old_one_is_not_taken_for_it() {
    for is_v4 in [true, false] {
        for bits in 1..32 {
            let generation = 1 + (1_u32 << bits);
            let (reads, judges) = (reads(X, is_v4, generation), judges(X, is_v4, generation));
            all_orders(is_v4, 1, &[Actor::stepping(&reads), Actor::stepping(&judges)]);
            let (with_x, settles) = (with_x(is_v4, 1), settles(X, is_v4, 1));
            let settled = |stage: &Stage<'_>| with_x(stage).and_then(|()| settles(stage));
            let comes = comes_from(X, key(X, is_v4), generation);
            let actors = [Actor::stepping(&comes), Actor::stepping(&judges)];
            in_every_order(&settled, &actors).unwrap();
        }
    }
}

#[test]
fn where_packets_come_from_is_never_good_for_the_next_flow_or_judgement() {
    for is_v4 in [true, false] {
        let (settles, later) = (settles(X, is_v4, 1), judges(X, is_v4, 2));
        for times in 1..=17 {
            let comes = comes_from(X, key(Y, is_v4), 1);
            let gives = gives(Y, is_v4, times, 1);
            all_orders(
                is_v4,
                1,
                &[Actor::stepping(&comes), Actor::stepping(&settles), Actor::at_once(&gives)],
            );
        }
        let comes = comes_from(X, key(X, is_v4), 2);
        all_orders(is_v4, 1, &[Actor::stepping(&comes), Actor::stepping(&settles), Actor::stepping(&later)]);
    }
}

/// Hardware addresses of one maker are alike. What an address was settled for is in its word as well, and must not
/// look like another address.
#[test]
fn where_packets_come_from_is_never_good_for_a_neighbour() {
    for (is_v4, times) in [(true, 1), (true, 2), (true, 7), (true, 8), (false, 1)] {
        for (generation, neighbour) in (1..=3).flat_map(|generation| (0..8).map(move |to| (generation, to))) {
            let settles = settles(X, is_v4, 2);
            let gives = gives(Y, is_v4, times, generation);
            let comes = comes_from(neighbour, key(Y, is_v4), generation);
            all_orders(
                is_v4,
                2,
                &[Actor::stepping(&comes), Actor::stepping(&settles), Actor::at_once(&gives)],
            );
        }
    }
}
