//! Writes down who changes what, before it is changed. What cannot be written down is not changed.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Errors;
use super::core::chain;
use crate::audit::{Audit, Entry};
use crate::generations::{Sources, Text};
use crate::hex::hexadecimal;

/// The audit log, where it can be written.
#[derive(Debug)]
pub(crate) struct Auditing(Mutex<Option<Audit>>);

impl Auditing {
    pub(super) fn new(audit: Option<Audit>) -> Self {
        Self(Mutex::new(audit))
    }

    /// Writes down what somebody is about to change; without that it must not be changed.
    pub(super) fn write(&self, entries: impl IntoIterator<Item = Entry>) -> Result<(), Errors> {
        let mut audit = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(audit) = audit.as_mut() else {
            return Err(vec![
                "the audit log cannot be written; see the log of the agent, and start it again".into(),
            ]);
        };
        audit.append_all(entries, Timestamp::now()).map_err(|error| vec![chain(&error)])
    }

    /// Writes an entry, makes the change, and writes that nothing came of it where that is so.
    pub(super) fn change<T>(
        &self,
        entry: Entry,
        change: impl FnOnce() -> Result<T, Errors>,
    ) -> Result<T, Errors> {
        self.write([entry.clone()])?;
        change().map_err(|errors| self.failed(&entry, errors))
    }

    /// Writes that nothing came of what was written before; the errors, with those of that.
    pub(super) fn failed(&self, entry: &Entry, mut errors: Errors) -> Errors {
        if let Err(more) = self.write([entry.failed(&errors)]) {
            errors.extend(more);
        }
        errors
    }
}

/// What something is made of, each text by its hash, so that the log says which policy held when.
pub(super) fn files(sources: &Sources) -> Value {
    let digest = |text: &Text| hexadecimal(&Sha256::digest(text.content.as_bytes()));
    let Sources { config, policy, devices } = sources;
    json!({ "config": digest(config), "policy": digest(policy), "devices": digest(devices) })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::audit::{FILE, Line};

    fn lines(folder: &Path) -> Vec<Line> {
        let text = fs::read_to_string(folder.join(FILE)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_change_has_one_entry_and_another_one_where_nothing_came_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(&folder.path().join(FILE), Timestamp::now()).unwrap();
        let auditing = Auditing::new(Some(audit));
        let entry = Entry { who: "bob".into(), what: "grant".into(), ..Entry::default() };
        let seen = auditing.change(entry.clone(), || Ok(lines(folder.path()).len()));
        assert_eq!(seen, Ok(1), "it is written before anything is changed");
        let refused: Result<(), Errors> = auditing.change(entry, || Err(vec!["no room".into()]));
        assert_eq!(refused, Err(vec!["no room".to_owned()]));
        let what: Vec<String> = lines(folder.path()).into_iter().map(|line| line.entry.what).collect();
        assert_eq!(what, ["grant", "grant", "grant failed"]);
    }

    #[test]
    fn without_a_log_nothing_is_changed() {
        let refused: Result<(), Errors> =
            Auditing::new(None).change(Entry::default(), || panic!("it was changed"));
        assert!(refused.unwrap_err()[0].contains("the audit log cannot be written"));
    }
}
