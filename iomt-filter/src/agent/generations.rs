//! Generations on disk, as they are shown: each with what became of it, or that it is damaged.

use jiff::Timestamp;

use super::core::chain;
use crate::api::messages::GenerationStatus;
use crate::generations::{Generations, Known};

/// What is said of one that cannot be read, or whose texts cannot.
const DAMAGED: &str = "damaged";

/// All of them, the oldest first. `current` is the one that holds.
pub(super) fn shown(generations: &Generations, current: Option<u32>) -> Vec<GenerationStatus> {
    let (known, errors) = generations.list();
    let whole = known.iter().map(|known| {
        let status = of(known, current);
        match generations.sources(&known.record) {
            Ok(_) => status,
            Err(error) => GenerationStatus { state: DAMAGED.to_owned(), note: Some(chain(&error)), ..status },
        }
    });
    let damaged = errors.iter().map(|(number, error)| GenerationStatus {
        number: *number,
        state: DAMAGED.to_owned(),
        holds: Some(*number) == current,
        at: Timestamp::UNIX_EPOCH,
        by: "unknown".to_owned(),
        note: Some(chain(error)),
        devices: 0,
        rules: 0,
        bytes: 0,
        confirm_by: None,
        decided: None,
        decided_by: None,
        digest: String::new(),
    });
    let mut all: Vec<_> = whole.chain(damaged).collect();
    all.sort_by_key(|status| status.number);
    all
}

fn of(known: &Known, current: Option<u32>) -> GenerationStatus {
    let Known { record, outcome, decided } = known;
    GenerationStatus {
        number: record.number,
        state: outcome.name().to_owned(),
        holds: Some(record.number) == current,
        at: record.at,
        by: record.by.clone(),
        note: record.note.clone(),
        devices: record.devices,
        rules: record.rules,
        bytes: record.files.iter().map(|file| file.bytes).sum(),
        confirm_by: record.confirm_by,
        decided: decided.as_ref().map(|(at, _)| *at),
        decided_by: decided.as_ref().map(|(_, by)| by.clone()),
        digest: record.digest.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::generations::{About, FOLDER, GenerationError, Sources, Text};

    fn sources(policy: &str) -> Sources {
        let text = |content: &str| Text { path: "x".into(), content: content.to_owned() };
        Sources { config: text("config"), policy: text(policy), devices: text("devices") }
    }

    fn about() -> About {
        let at = Timestamp::UNIX_EPOCH;
        About { at, by: "bob".into(), note: None, restores: None, devices: 1, rules: 1, confirm_by: None }
    }

    #[test]
    fn damaged_ones_are_shown_and_no_number_overflows() {
        let state = tempfile::tempdir().unwrap();
        let generations = Generations::of(state.path());
        for policy in ["one", "two", "three"] {
            generations.add(&sources(policy), about()).unwrap();
        }
        let folder = state.path().join(FOLDER);
        fs::write(folder.join("000001.json"), "").unwrap();
        let digest = &generations.known(2).unwrap().record.files[1].sha256.clone();
        fs::remove_file(folder.join("objects").join(digest)).unwrap();
        let states = |generations: &Generations| -> Vec<(u32, String)> {
            shown(generations, Some(3)).into_iter().map(|it| (it.number, it.state)).collect()
        };
        let state = |number, state: &str| (number, state.to_owned());
        let three = [state(1, "damaged"), state(2, "damaged"), state(3, "pending")];
        assert_eq!(states(&generations), three);
        let told = shown(&generations, None);
        assert!(told[1].note.as_ref().unwrap().contains("its policy is gone"), "{told:?}");

        fs::write(folder.join("4294967295.json"), "nonsense").unwrap();
        let refused = generations.add(&sources("four"), about());
        assert!(matches!(refused, Err(GenerationError::Last(_))), "{refused:?}");
        assert_eq!(states(&generations).last(), Some(&state(u32::MAX, "damaged")));
    }
}
