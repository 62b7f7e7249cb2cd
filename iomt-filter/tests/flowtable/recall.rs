//! Packets that are added to a flow at a glance.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use iomt_filter_common::Mac;
use iomt_filter_common::device::Port;
use iomt_filter_common::flow::{Flow, FlowKey, Progress};
use iomt_filter_common::flowtable::{self, Entry, Origin, Recalled, Sighting};
use iomt_filter_common::tables::FlowEntry as _;

use super::memory::{Memory, flow, key};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;

pub(crate) fn origin(number: u32) -> Origin {
    let [a, b, c, d] = number.to_be_bytes();
    Origin::new(Port::Device, 110, Mac([2, 0, a, b, c, d]))
}

/// A packet of generation 7, ten seconds into the second minute.
pub(crate) fn sighting(origin: Origin) -> Sighting {
    let now = MINUTE + 10 * SECOND;
    Sighting { origin, now, minute: MINUTE, generation: 7, length: 100, may_be_added: 1, reserved: 0 }
}

fn entry<'m>(key: &FlowKey, memory: &'m Memory, generation: u32) -> Entry<&'m Memory> {
    Entry::find(memory, key, generation).unwrap()
}

#[test]
fn a_packet_is_added_where_all_is_as_it_was_and_nowhere_else() {
    for is_v4 in [true, false] {
        let memory = Memory::new(1 << 8);
        let (key, seen) = (key(1, is_v4), sighting(origin(1)));
        let recall = |key: &FlowKey, seen: Sighting| flowtable::recall(key, &seen, &&memory);
        assert_eq!(recall(&key, seen), Recalled::ABSENT);
        let held = Flow { expires: 2 * MINUTE, responder: 9, ..flow(MINUTE, Progress::Established) };
        assert!(flowtable::insert(&key, &held, true, &&memory));
        assert_eq!(recall(&key, seen), Recalled::NONE, "nobody was judged in full");
        entry(&key, &memory, 7).set_origin(false, origin(1));

        let found = recall(&key, seen);
        assert_eq!((found.is_some(), found.device(), found.rule()), (true, 1, 3));
        let now = entry(&key, &memory, 7).load();
        assert_eq!((now.packets, now.bytes, now.last_seen), (1, 100, seen.now));
        assert_eq!(recall(&key.reversed(), seen), Recalled::NONE, "the other direction");
        entry(&key, &memory, 7).set_origin(true, origin(2));
        assert_eq!(recall(&key.reversed(), seen), Recalled::NONE);
        assert_eq!(recall(&key.reversed(), sighting(origin(2))).device(), 9);

        for (what, other) in [
            ("another sender", sighting(origin(2))),
            ("another VLAN", sighting(Origin::new(Port::Device, 111, Mac([2, 0, 0, 0, 0, 1])))),
            ("another side", sighting(Origin::new(Port::Uplink, 110, Mac([2, 0, 0, 0, 0, 1])))),
            ("another generation", Sighting { generation: 8, ..seen }),
            ("one with the same last bits", Sighting { generation: 7 + (1 << 7), ..seen }),
            ("what only asks", Sighting { may_be_added: 0, ..seen }),
            ("too late", Sighting { now: 2 * MINUTE, ..seen }),
            ("another minute", Sighting { minute: 2 * MINUTE, ..seen }),
        ] {
            assert_eq!(recall(&key, other), Recalled::NONE, "{what}");
        }
        for (what, changed) in [
            ("asked, and silent too long", Flow { last_seen: MINUTE - 21 * SECOND, progress: 0, ..held }),
            ("closing", Flow { progress: Progress::Closing as u8, ..held }),
            ("ended by one side", Flow { ended: 1, ..held }),
        ] {
            entry(&key, &memory, 7).store(&changed);
            assert_eq!(recall(&key, seen), Recalled::NONE, "{what}");
        }
        entry(&key, &memory, 7).store(&Flow { progress: Progress::Opening as u8, ..held });
        assert!(recall(&key, seen).is_some(), "nobody need answer");
        entry(&key, &memory, 7).store(&held);
        entry(&key, &memory, 7).look_again();
        assert_eq!(recall(&key, seen), Recalled::NONE, "to be looked at");
    }
}

#[test]
fn what_was_settled_is_settled_for_one_generation_and_one_flow() {
    for is_v4 in [true, false] {
        let memory = Memory::new(1 << 8);
        let (key, seen) = (key(1, is_v4), sighting(origin(1)));
        let held = flow(MINUTE, Progress::Established);
        assert!(flowtable::insert(&key, &held, true, &&memory));
        let slow = entry(&key, &memory, 7);
        slow.set_origin(false, origin(1));
        entry(&key, &memory, 8).store(&Flow { generation: 8, ..held });
        let later = Sighting { generation: 8, ..seen };
        assert_eq!(flowtable::recall(&key, &later, &&memory), Recalled::NONE);
        slow.set_origin(false, origin(1));
        assert_eq!(flowtable::recall(&key, &later, &&memory), Recalled::NONE, "set by the generation before");
        // The place is given to the same flow again, as to another one.
        let slow = entry(&key, &memory, 8);
        assert!(flowtable::insert(&key, &Flow { generation: 8, ..held }, false, &&memory));
        slow.set_origin(false, origin(1));
        assert_eq!(flowtable::recall(&key, &later, &&memory), Recalled::NONE, "set for the flow before");
    }
}

/// Where no origin is held, there is the word 0. Whoever knows the tag can have an address of which the word is 0.
#[test]
fn nobody_comes_from_where_no_origin_is_held() {
    let memory = Memory::new(1 << 8);
    let key = key(1, true);
    let (mut tried, mut version) = (0, 0);
    while tried < 8 {
        assert!(flowtable::insert(&key, &flow(MINUTE, Progress::Established), version == 0, &&memory));
        let tag = flowtable::find(&key, &&memory).tag;
        version += 1;
        let word = tag.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if word & 0b1111 == 0b1000 {
            let guessed = Origin::of(Port::Device, (word >> 4) as u16 & 0xfff, word >> 16);
            assert_eq!(flowtable::recall(&key, &sighting(guessed), &&memory), Recalled::NONE);
            entry(&key, &memory, 7).set_origin(false, origin(1));
            assert!(flowtable::recall(&key, &sighting(origin(1)), &&memory).is_some());
            tried += 1;
        }
    }
}

#[test]
fn many_at_once_let_nobody_in_who_was_not_judged() {
    const FLOWS: u32 = 32;
    const ROUNDS: u32 = 300_000;
    for is_v4 in [true, false] {
        // Far too small, so that places change hands all the time.
        let memory = Memory::new(2);
        let (stop, added) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            let writers: Vec<_> = (0..2_u32)
                .map(|writer| {
                    let memory = &memory;
                    scope.spawn(move || {
                        let mut late: Option<(Entry<_>, u32)> = None;
                        for round in 0..ROUNDS {
                            let mixed = round.wrapping_mul(0x9e37_79b1).wrapping_add(writer);
                            let number = mixed >> 16 & (FLOWS - 1);
                            let key = key(number, is_v4);
                            let generation = 7 + round / 4_096 % 3;
                            let new = Flow { generation, ..flow(MINUTE, Progress::Opening) };
                            match Entry::find(memory, &key, generation) {
                                Some(entry) if mixed & 1 == 0 => entry.store(&new),
                                Some(entry) => entry.set_origin(false, origin(number)),
                                None => drop(flowtable::insert(&key, &new, mixed & 2 == 0, &memory)),
                            }
                            // Every other flow has no origin yet when the next one takes its place; some are told
                            // theirs late.
                            let Some(entry) = Entry::find(memory, &key, generation) else { continue };
                            if mixed & 4 == 0
                                && let Some((entry, number)) = late.replace((entry, number))
                            {
                                entry.set_origin(false, origin(number));
                            }
                        }
                    })
                })
                .collect();
            for reader in 0..2_u32 {
                let (memory, stop, added) = (&memory, &stop, &added);
                scope.spawn(move || {
                    let mut number = reader;
                    while !stop.load(Ordering::Relaxed) {
                        number = (number + 1) & (FLOWS - 1);
                        let key = key(number, is_v4);
                        let other = sighting(origin((number + 1) & (FLOWS - 1)));
                        assert!(
                            !flowtable::recall(&key, &other, &memory).is_some(),
                            "let in by another flow"
                        );
                        let found = flowtable::recall(&key, &sighting(origin(number)), &memory);
                        added.fetch_add(u64::from(found.is_some()), Ordering::Relaxed);
                    }
                });
            }
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            stop.store(true, Ordering::Relaxed);
        });
        assert!(added.into_inner() > 100);
    }
}
