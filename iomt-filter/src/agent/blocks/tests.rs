//! Blocks that are kept, whatever happens to the disk and the power.

use std::fs;

use jiff::{SignedDuration, Timestamp};

use super::*;

const ONE: &str = "203.0.113.1/32";
const TWO: &str = "203.0.113.2/32";
const THREE: &str = "203.0.113.3/32";

fn block(target: &str, seconds: Option<i64>) -> ManualBlock {
    let added = Timestamp::now();
    let until = seconds.map(|seconds| added + SignedDuration::from_secs(seconds));
    ManualBlock { target: target.parse().unwrap(), score: 100, until, note: None, added, by: "root".into() }
}

#[test]
fn what_an_agent_before_kept_without_an_end_is_read_and_ends() {
    let old =
        [block("203.0.113.1/32", None), block("203.0.113.2/32", Some(60)), block("203.0.113.3/32", Some(-1))];
    let text = serde_json::to_string(&old).unwrap();
    let now = Clocks::now();
    let begun = serde_json::from_str::<Blocks>(&text).unwrap().begun(BootTime::default(), &now);
    assert_eq!(begun.list(), old[..2]);
    let left = begun.0[1].ends.unwrap().nanoseconds - now.boot.nanoseconds;
    assert!((59_000_000_000..=60_000_000_000).contains(&left), "{left}");
    assert!(begun.0[0].ends.is_none() && begun.any_ends());
}

fn entry(target: &str) -> Entry {
    Entry { block: block(target, None), ends: None }
}

fn of(targets: &[&str]) -> Blocks {
    Blocks(targets.iter().map(|target| entry(target)).collect())
}

fn targets(blocks: &Blocks) -> Vec<String> {
    blocks.0.iter().map(|entry| entry.block.target.to_string()).collect()
}

/// What a start after a power cut finds.
fn kept(folder: &Path) -> Vec<String> {
    targets(&Blocks::load(folder).unwrap())
}

/// Adds a block; whether it was noted.
fn add(blocks: &mut Blocks, target: &str, folder: &Path, journal: &mut Journal) -> Result<bool, StoreError> {
    let (next, changes) = blocks.changed(0, vec![Change::Add(vec![entry(target)])]);
    let is_noted = next.keep_changes(blocks, &changes, folder, journal)?;
    *blocks = next;
    Ok(is_noted)
}

#[test]
fn blocks_are_those_that_were_kept_whole_and_what_changed_since() {
    let folder = tempfile::tempdir().unwrap();
    let whole = of(&[ONE, TWO]);
    let mut journal = whole.keep(folder.path()).unwrap();
    let changes = [
        Change::Add(vec![entry(THREE), entry("2001:db8::/48")]),
        Change::Remove([ONE.parse().unwrap(), THREE.parse().unwrap()].into()),
    ];
    assert!(journal.note(&changes).unwrap());
    let loaded = Blocks::load(folder.path()).unwrap();
    assert_eq!(targets(&loaded), [TWO, "2001:db8::/48"]);
    // A copy of another agent, or none: nothing is made over it.
    store::save(folder.path(), BLOCKS, &of(&[ONE])).unwrap();
    assert_eq!(kept(folder.path()), [ONE]);
    store::remove(folder.path(), BLOCKS).unwrap();
    assert!(kept(folder.path()).is_empty());
    loaded.keep(folder.path()).unwrap();
    assert_eq!(Blocks::load(folder.path()).unwrap(), loaded);
}

#[test]
fn a_whole_copy_that_has_no_room_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut blocks = of(&[ONE]);
    let mut journal = blocks.keep(path).unwrap();
    assert!(add(&mut blocks, TWO, path, &mut journal).unwrap());
    journal.give_up();
    // First no room for the journal, then none for the copy.
    for beside in ["blocks.journal.new", "blocks.json.new"] {
        fs::create_dir(path.join(beside)).unwrap();
        add(&mut blocks, THREE, path, &mut journal).unwrap_err();
        assert_eq!(kept(path), [ONE, TWO], "{beside}");
        fs::remove_dir(path.join(beside)).unwrap();
        assert_eq!(fs::read_dir(path).unwrap().count(), 2, "{beside}");
    }
    assert!(!add(&mut blocks, THREE, path, &mut journal).unwrap());
    assert!(journal.is_usable());
    assert!(add(&mut blocks, "2001:db8::/48", path, &mut journal).unwrap());
    assert_eq!(kept(path), [ONE, TWO, THREE, "2001:db8::/48"]);
}

#[test]
fn a_journal_that_does_not_come_into_its_place_is_not_read_and_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (place, aside) = (path.join(CHANGES), path.join("aside"));
    let mut blocks = of(&[ONE]);
    let mut journal = blocks.keep(path).unwrap();
    assert!(add(&mut blocks, TWO, path, &mut journal).unwrap());
    fs::rename(&place, &aside).unwrap();
    fs::create_dir_all(place.join("full")).unwrap();
    journal.give_up();
    for target in [THREE, "2001:db8::/48"] {
        assert!(!add(&mut blocks, target, path, &mut journal).unwrap());
        assert!(!journal.is_usable());
    }
    fs::remove_dir_all(&place).unwrap();
    fs::rename(&aside, &place).unwrap();
    assert_eq!(kept(path), [ONE, TWO, THREE, "2001:db8::/48"]);
    // Back to what that journal continues: it is not made over it.
    of(&[ONE]).keep(path).unwrap();
    assert_eq!(kept(path), [ONE]);
}

#[test]
fn changes_are_not_made_over_the_same_copy_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let whole = of(&[ONE]);
    let mut blocks = whole.clone();
    let mut journal = blocks.keep(path).unwrap();
    assert!(add(&mut blocks, TWO, path, &mut journal).unwrap());
    let old = fs::read(path.join(CHANGES)).unwrap();
    whole.keep(path).unwrap();
    // A power cut before the new journal was in its place.
    fs::write(path.join(CHANGES), old).unwrap();
    assert_eq!(kept(path), [ONE]);
}

#[test]
fn what_is_refused_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut blocks = of(&[ONE]);
    let mut journal = blocks.keep(path).unwrap();
    let before = blocks.clone();
    // Refused by the kernel: noted; noted, and it cannot be taken back; kept whole.
    for (is_broken, is_usable) in [(false, true), (true, true), (false, false)] {
        if !is_usable {
            journal.give_up();
        }
        let is_noted = add(&mut blocks, TWO, path, &mut journal).unwrap();
        assert_eq!((is_noted, kept(path)), (is_usable, vec![ONE.to_owned(), TWO.to_owned()]));
        if is_broken {
            journal.break_file();
        }
        before.keep_undone(is_noted, path, &mut journal).unwrap();
        blocks = before.clone();
        assert!(journal.is_usable());
        assert_eq!(kept(path), [ONE]);
    }
    // Refused by the disk: what was there is kept whole at once, and changes can be noted again.
    assert!(add(&mut blocks, TWO, path, &mut journal).unwrap());
    journal.break_file();
    add(&mut blocks, THREE, path, &mut journal).unwrap_err();
    assert_eq!(kept(path), [ONE, TWO]);
    assert!(add(&mut blocks, THREE, path, &mut journal).unwrap());
    assert_eq!(kept(path), [ONE, TWO, THREE]);
}

#[test]
fn what_has_ended_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let now = Clocks::now().boot;
    let whole = Blocks(vec![entry(ONE), Entry { block: block(TWO, Some(60)), ends: Some(now) }]);
    let mut journal = whole.keep(folder.path()).unwrap();
    // The same target again stays.
    let add = |target| vec![Change::Add(vec![entry(target)])];
    let (again, _) = whole.changed(now.nanoseconds, add(TWO));
    assert_eq!((targets(&again), again.any_ends()), (vec![ONE.to_owned(), TWO.to_owned()], false));
    let (next, changes) = whole.changed(now.nanoseconds, add(THREE));
    assert!(next.keep_changes(&whole, &changes, folder.path(), &mut journal).unwrap());
    assert_eq!(kept(folder.path()), [ONE, THREE]);
    assert_eq!(targets(&next), [ONE, THREE]);
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
