//! Generations on a disk of which the power can be cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

fn sources(policy: &str) -> Sources {
    let text = |name: &str, content: &str| Text {
        path: Path::new("/etc/iomt-filter").join(name),
        content: content.to_owned(),
    };
    Sources {
        config: text("config.toml", "[interfaces]\n"),
        policy: text("policy.toml", policy),
        devices: text("devices.csv", "name,mac,ip,vlan,profile\n"),
    }
}

fn about(by: &str) -> About {
    About {
        at: Timestamp::now(),
        by: by.to_owned(),
        note: None,
        restores: None,
        devices: 1,
        rules: 2,
        confirm_by: None,
    }
}

fn add(generations: &Generations, policy: &str) -> Result<u32, GenerationError> {
    let record = generations.add(&sources(policy), about("root"))?;
    Ok(record.number)
}

fn confirm(generations: &Generations, number: u32) -> Result<(), GenerationError> {
    generations.decide(number, Outcome::Confirmed, "root", Timestamp::now())
}

/// The policy of the generation that is confirmed.
fn confirmed(generations: &Generations) -> Option<String> {
    generations.confirmed().0.map(|(_, sources)| sources.policy.content)
}

#[test]
fn what_was_confirmed_last_comes_back_byte_by_byte() {
    let folder = tempfile::tempdir().unwrap();
    let generations = Generations::of(folder.path());
    assert!(generations.confirmed().0.is_none());
    let first = add(&generations, "version = 1\r\n# ü\n").unwrap();
    assert!(generations.confirmed().0.is_none(), "it is pending");
    confirm(&generations, first).unwrap();
    let second = add(&generations, "version = 2").unwrap();
    assert_eq!(confirmed(&generations).as_deref(), Some("version = 1\r\n# ü\n"));
    generations.decide(second, Outcome::Reverted, "the deadline", Timestamp::now()).unwrap();
    let (found, errors) = Generations::of(folder.path()).confirmed();
    let (known, found) = found.unwrap();
    assert_eq!((known.record.number, &found), (first, &sources("version = 1\r\n# ü\n")));
    assert_eq!(known.record.digest, found.digest());
    assert!(errors.is_empty());
    let outcomes: Vec<_> = generations.list().0.into_iter().map(|known| known.outcome).collect();
    assert_eq!(outcomes, [Outcome::Confirmed, Outcome::Reverted]);
    // A confirmation that came too late.
    confirm(&generations, second).unwrap();
    assert_eq!(generations.known(second).unwrap().outcome, Outcome::Reverted);
}

#[test]
fn what_is_damaged_is_passed_over_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let generations = Generations::of(folder.path());
    for policy in ["one", "two", "three"] {
        let number = add(&generations, policy).unwrap();
        confirm(&generations, number).unwrap();
    }
    let object = |policy: &str| generations.object(&hash(policy.as_bytes()));
    fs::write(object("three"), "thre").unwrap();
    let (found, errors) = generations.confirmed();
    assert_eq!(found.unwrap().1.policy.content, "two");
    assert_eq!(errors[0].to_string(), "generation 3 is damaged: its policy is not what was written");
    fs::write(generations.record(2), "{}").unwrap();
    assert_eq!(confirmed(&generations).as_deref(), Some("one"));
    assert_eq!(generations.confirmed().1.len(), 2);
    fs::remove_file(object("one")).unwrap();
    assert_eq!(confirmed(&generations), None);
    // What is written anew mends what it has in common with them.
    let number = add(&generations, "three").unwrap();
    assert_eq!(number, 4);
    assert_eq!(confirmed(&generations).as_deref(), Some("three"), "generation 3 is whole again");
}

#[test]
fn a_record_that_was_changed_is_not_the_one_that_was_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let generations = Generations::of(folder.path());
    let number = add(&generations, "one").unwrap();
    confirm(&generations, number).unwrap();
    let text = fs::read_to_string(generations.record(number)).unwrap();
    fs::write(generations.record(number), text.replace("\"root\"", "\"mallory\"")).unwrap();
    assert!(matches!(generations.known(number), Err(GenerationError::Damaged { .. })));
    assert_eq!(confirmed(&generations), None);
}

#[test]
fn old_generations_go_but_for_the_confirmed_one() {
    let folder = tempfile::tempdir().unwrap();
    let generations = Generations::of(folder.path());
    let first = add(&generations, "the one").unwrap();
    confirm(&generations, first).unwrap();
    for number in 0..KEPT + 5 {
        add(&generations, &format!("attempt {number}")).unwrap();
    }
    let numbers: Vec<_> = generations.list().0.into_iter().map(|known| known.record.number).collect();
    assert_eq!(numbers.len(), KEPT + 1, "{numbers:?}");
    assert_eq!(numbers[0], first);
    assert_eq!(confirmed(&generations).as_deref(), Some("the one"));
    // The policies of those that are kept, and the two texts that all have.
    let objects = fs::read_dir(folder.path().join(FOLDER).join(OBJECTS)).unwrap().count();
    assert_eq!(objects, KEPT + 1 + 2);
}

/// At every step of writing, confirming and letting go the power is cut; after that the generation that was confirmed
/// before is there, or the new one, whole, and the next change can be made.
#[test]
fn a_power_cut_at_any_step_leaves_a_generation_that_can_be_loaded() {
    let mut last = 0;
    for steps in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let whole = Generations::of(folder.path());
        for number in 0..=KEPT {
            let number = add(&whole, &format!("before {number}")).unwrap();
            confirm(&whole, number).unwrap();
        }
        let before = format!("before {KEPT}");
        let mut cut = Generations::of(folder.path());
        cut.disk.steps = Some(Arc::new(AtomicU32::new(steps)));
        let done = add(&cut, "after").and_then(|number| confirm(&cut, number));
        let found = confirmed(&whole).unwrap();
        match done {
            Ok(()) => assert_eq!(found, "after", "{steps} steps"),
            Err(_) => assert!(found == before || found == "after", "{steps} steps: {found}"),
        }
        assert!(whole.confirmed().1.is_empty(), "{steps} steps");
        let next = add(&whole, "next").unwrap();
        confirm(&whole, next).unwrap();
        assert_eq!(confirmed(&whole).as_deref(), Some("next"));
        if done.is_ok() && cut.disk.steps.as_ref().is_some_and(|left| left.load(Ordering::Relaxed) > 0) {
            last = steps;
            break;
        }
    }
    assert!(last > 15, "the power was cut at {last} steps");
}
