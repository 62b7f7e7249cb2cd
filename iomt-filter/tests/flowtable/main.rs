//! The flow table in plain memory: what was put in is found, and many at once never show a flow that nobody
//! judged, neither by chance nor in any order of their steps.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use iomt_filter_common::flow::{Flow, FlowKey, Progress};
use iomt_filter_common::flowtable::{self, Place, Sets, WAYS};

mod memory;
mod orders;
mod recall;
mod steps;

use memory::{Memory, flow, key};

fn found<S: Sets>(key: &FlowKey, sets: S) -> Option<Flow> {
    let place = flowtable::find(key, &sets);
    let set = sets.set(place.is_v4(), place.set)?;
    if place.tag == 0 { None } else { flowtable::load(set, &place) }
}

const SECOND: u64 = 1_000_000_000;

#[test]
fn what_was_remembered_is_found_as_it_was_and_nothing_else() {
    for is_v4 in [true, false] {
        let memory = Memory::new(1 << 12);
        let whole = Flow {
            last_seen: 5 * SECOND,
            packets: 11,
            bytes: 1_234,
            expires: u64::MAX,
            generation: 2_000_000,
            rule: u32::MAX,
            opener: flowtable::MOST_DEVICES - 1,
            responder: 9,
            progress: Progress::Closing as u8,
            ended: 13,
            reserved: [0; 6],
        };
        assert!(flowtable::insert(&key(1, is_v4), &whole, false, &&memory));
        assert_eq!(found(&key(1, is_v4), &memory), Some(whole));
        assert_eq!(found(&key(2, is_v4), &memory), None);
        assert_eq!(found(&key(1, is_v4).reversed(), &memory), None);
        for changed in [
            FlowKey { source_port: 9, ..key(1, is_v4) },
            FlowKey { destination_port: 105, ..key(1, is_v4) },
            FlowKey { protocol: 17, ..key(1, is_v4) },
        ] {
            assert_eq!(found(&changed, &memory), None);
        }
        let later = Flow { generation: 2_000_001, expires: 0, packets: 12, ..whole };
        let place = flowtable::find(&key(1, is_v4), &&memory);
        let set = (&&memory).set(is_v4, place.set).unwrap();
        flowtable::store(set, &place, &later);
        assert_eq!(found(&key(1, is_v4), &memory), Some(later));
        // Whoever still has the place as it was sets no earlier generation.
        flowtable::store(set, &place, &Flow { generation: 1_999_999, ..whole });
        assert_eq!(found(&key(1, is_v4), &memory).unwrap().generation, 2_000_001);
        let all: Vec<_> =
            (0..WAYS).filter_map(|way| flowtable::read(set, is_v4, way)).map(|(key, _)| key).collect();
        assert_eq!(all, [key(1, is_v4)]);
    }
}

#[test]
fn half_full_it_loses_less_than_one_in_ten_thousand() {
    for is_v4 in [true, false] {
        let memory = Memory::new(1 << 14);
        let flows = (1 << 14) * WAYS / 2;
        for number in 0..flows {
            flowtable::insert(&key(number, is_v4), &flow(SECOND, Progress::Established), false, &&memory);
        }
        let lost = (0..flows).filter(|number| found(&key(*number, is_v4), &memory).is_none()).count();
        assert!(lost * 10_000 < flows as usize, "{lost} of {flows}");
    }
}

#[test]
fn a_scan_pushes_out_no_flow_with_traffic() {
    let memory = Memory::new(1 << 8);
    let busy: Vec<_> = (0..256).map(|number| key(number, true)).collect();
    let now = 1_000 * SECOND;
    for key in &busy {
        assert!(flowtable::insert(key, &flow(now, Progress::Established), false, &&memory));
    }
    for number in 0..100_000 {
        flowtable::insert(
            &key(1_000_000 + number, true),
            &flow(now + u64::from(number), Progress::Opening),
            false,
            &&memory,
        );
    }
    assert!(busy.iter().all(|key| found(key, &memory).is_some()));
    // An answered flow that was silent for long gives way where nothing else does.
    for number in 0..10_000 {
        let new = flow(now + 400 * SECOND, Progress::Established);
        flowtable::insert(&key(2_000_000 + number, true), &new, false, &&memory);
    }
    let kept = busy.iter().filter(|key| found(key, &memory).is_some()).count();
    assert_eq!(kept, 0);
}

/// Every flow's devices and end follow from its key and the generation: a mixture of two shows.
fn judged(number: u32, generation: u32, now: u64) -> Flow {
    Flow {
        opener: number * 3 % 1_009 + 1,
        responder: number * 7 % 1_013 + 1,
        expires: u64::from(number) << 32 | u64::from(generation),
        generation,
        ..flow(now, Progress::Opening)
    }
}

#[test]
fn many_at_once_see_no_flow_that_nobody_judged() {
    const FLOWS: u32 = 64;
    const ROUNDS: u32 = 300_000;
    for is_v4 in [true, false] {
        // Far too small, so that places change hands all the time.
        let memory = Memory::new(2);
        let (stop, seen) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            let writers: Vec<_> = (0..2_u32)
                .map(|writer| {
                    let memory = &memory;
                    scope.spawn(move || {
                        for round in 0..ROUNDS {
                            let number =
                                round.wrapping_mul(0x9e37_79b1).wrapping_add(writer) >> 16 & (FLOWS - 1);
                            let key = key(number, is_v4);
                            let new = judged(number, 1 + round / 1_000, u64::from(round) << 30);
                            let place = flowtable::find(&key, &memory);
                            if place.tag == 0 {
                                flowtable::insert(&key, &new, false, &memory);
                            } else {
                                let set = (&memory).set(is_v4, place.set).unwrap();
                                flowtable::store(set, &place, &new);
                            }
                        }
                    })
                })
                .collect();
            for reader in 0..2_u32 {
                let (memory, stop, seen) = (&memory, &stop, &seen);
                scope.spawn(move || {
                    let mut number = reader;
                    while !stop.load(Ordering::Relaxed) {
                        number = (number + 1) & (FLOWS - 1);
                        let Some(found) = found(&key(number, is_v4), memory) else {
                            continue;
                        };
                        seen.fetch_add(1, Ordering::Relaxed);
                        let right = judged(number, found.generation, 0);
                        // What was written without the tag may be the last owner's: then it is nobody's flow.
                        if (found.opener, found.responder) == (right.opener, right.responder) {
                            let end = found.expires as u32;
                            assert_eq!((found.expires >> 32) as u32, number, "another flow's end");
                            assert!(
                                end >= found.generation,
                                "the end that generation {end} set, not {}",
                                found.generation
                            );
                        }
                    }
                });
            }
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            stop.store(true, Ordering::Relaxed);
        });
        assert!(seen.into_inner() > 1_000);
    }
}

#[test]
fn a_place_has_65_535_owners_before_a_tag_comes_again() {
    let (memory, key) = (Memory::new(2), key(1, true));
    let own = |_| {
        assert!(flowtable::insert(&key, &flow(SECOND, Progress::Opening), false, &&memory));
        flowtable::find(&key, &&memory).tag
    };
    let tags: Vec<_> = (0..65_535).map(own).collect();
    assert_eq!(tags.iter().collect::<HashSet<_>>().len(), 65_535);
    assert!(!tags.contains(&0));
    assert_eq!(own(65_535), tags[0]);
}

#[test]
fn a_place_that_was_never_found_holds_nothing() {
    assert_eq!(Place::default().tag, 0);
    assert_eq!(found(&key(1, true), &Memory::new(4)), None);
}
