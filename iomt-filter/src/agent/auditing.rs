//! Writes down who changes what, before it is changed. What cannot be written down is not changed, but for what waits
//! for no disk (quarantine and bypass): that is kept in memory, said in `status`, and written down as soon as it can be.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Errors;
use super::core::chain;
use crate::api::messages::AuditStatus;
use crate::audit::{self, Audit, AuditError, Entry, PATIENCE};
use crate::generations::{Sources, Text};
use crate::hex::hexadecimal;

/// How long what is done already waits for another process that holds the log.
const AT_ONCE: Duration = Duration::from_millis(250);
/// Entries that are kept until they can be written; of more, how many there were.
const MOST_UNWRITTEN: usize = 1_000;

/// The audit log, where it can be written, and what is still to be written into it.
#[derive(Debug)]
pub(crate) struct Auditing {
    path: PathBuf,
    book: Mutex<Book>,
    /// Held only while it is taken along or exchanged: who asks waits for no disk.
    standing: Mutex<AuditStatus>,
}

#[derive(Debug, Default)]
struct Book {
    audit: Option<Audit>,
    unwritten: Vec<Entry>,
    /// Entries that there was no room for.
    lost: usize,
}

impl Auditing {
    /// The log of a state folder. One that cannot be written now may be later.
    pub(super) fn begin(state: &Path) -> Self {
        let auditing =
            Self { path: state.join(audit::FILE), book: Mutex::default(), standing: Mutex::default() };
        if let Err(errors) = auditing.write([]) {
            tracing::error!(
                errors = errors.join("; "),
                "nothing can be written into the audit log, and nothing be changed until it can, but for quarantine \
                 and bypass"
            );
        }
        auditing
    }

    /// Writes down what somebody is about to change; without that it must not be changed.
    pub(super) fn write(&self, entries: impl IntoIterator<Item = Entry>) -> Result<(), Errors> {
        self.put(&mut self.book(), entries.into_iter().collect(), PATIENCE)
    }

    /// Writes down what was done already. Where that fails it is written down later, and the answer to who has done it
    /// says so.
    pub(super) fn note(&self, entry: Entry) -> Result<(), Errors> {
        let mut book = self.book();
        let Err(errors) = self.put(&mut book, vec![entry.clone()], AT_ONCE) else { return Ok(()) };
        tracing::error!(
            errors = errors.join("; "),
            who = entry.who,
            about = entry.about,
            note = entry.note,
            "NOT AUDITED: `{}` holds, and is not in the audit log until that can be written",
            entry.what
        );
        if book.unwritten.len() < MOST_UNWRITTEN {
            book.unwritten.push(Entry { at: Some(Timestamp::now()), ..entry });
        } else {
            book.lost += 1;
        }
        self.stand(&book, Some(errors.join("; ")));
        Err(errors)
    }

    /// Writes down what could not be written yet, and waits for nobody. Where nothing waits, and the log could not be
    /// written when somebody wanted to change something, it is written there that it can be again.
    pub(super) fn catch_up(&self) {
        let mut book = self.book();
        let error = self.standing().error;
        if error.is_none() && book.unwritten.is_empty() {
            return;
        }
        let again = book.unwritten.is_empty().then(|| Entry {
            who: "the agent".into(),
            what: "audit resumed".into(),
            note: error
                .map(|error| format!("something was refused, because it could not be written: {error}")),
            ..Entry::default()
        });
        // What is wrong was said, and is in `status`.
        let _ = self.put(&mut book, again.into_iter().collect(), Duration::ZERO);
    }

    /// How the log stands.
    pub(super) fn standing(&self) -> AuditStatus {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes entries behind those that could not be written before.
    fn put(&self, book: &mut Book, entries: Vec<Entry>, patience: Duration) -> Result<(), Errors> {
        let now = Timestamp::now();
        let late = book.unwritten.len() + book.lost;
        let lost = (book.lost > 0).then(|| Entry {
            who: "the agent".into(),
            what: "audit lost".into(),
            after: json!(format!("{} more entries could not be kept until they could be written", book.lost)),
            ..Entry::default()
        });
        let all = book.unwritten.iter().cloned().chain(lost).chain(entries).collect::<Vec<_>>();
        let mut written = self.try_put(book, all.clone(), now, patience);
        if let Err(error @ AuditError::Damaged(_)) = &written {
            // Nothing could follow on it.
            let why = chain(error);
            written = audit::move_aside(&self.path, now).and_then(|aside| {
                tracing::error!(aside = %aside.display(), "{why}: it is moved aside");
                self.try_put(book, all, now, patience)
            });
        }
        match written {
            Ok(()) => {
                if late > 0 {
                    tracing::warn!(late, "what could not be written into the audit log before is in it now");
                }
                (book.unwritten, book.lost) = (Vec::new(), 0);
                self.stand(book, None);
                Ok(())
            }
            Err(error) => {
                let error = chain(&error);
                self.stand(book, Some(error.clone()));
                Err(vec![error])
            }
        }
    }

    fn try_put(
        &self,
        book: &mut Book,
        entries: Vec<Entry>,
        now: Timestamp,
        patience: Duration,
    ) -> Result<(), AuditError> {
        let audit = match &mut book.audit {
            Some(audit) => audit,
            none => none.insert(Audit::open(&self.path, now)?),
        };
        audit.append_all(entries, now, patience)
    }

    /// Shows how the log stands from now on.
    fn stand(&self, book: &Book, error: Option<String>) {
        let shown = |entry: &Entry| {
            let about = entry.about.as_ref().map(|about| format!(" of {about}")).unwrap_or_default();
            let at = entry.at.map(|at| format!(" at {at:.0}")).unwrap_or_default();
            format!("{}{about} by {}{at}", entry.what, entry.who)
        };
        let status = AuditStatus {
            last: book.audit.as_ref().map(|audit| audit.last().clone()),
            unwritten: book.unwritten.iter().map(shown).collect(),
            error,
        };
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = status;
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
    use std::fs::{self, File};
    use std::path::Path;

    use super::*;
    use crate::audit::{FILE, Line, Mark};

    fn lines(folder: &Path) -> Vec<Line> {
        let text = fs::read_to_string(folder.join(FILE)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn what(folder: &Path) -> Vec<String> {
        lines(folder).into_iter().map(|line| line.entry.what).collect()
    }

    fn entry(what: &str) -> Entry {
        Entry { who: "bob".into(), what: what.into(), ..Entry::default() }
    }

    #[test]
    fn a_change_has_one_entry_and_another_one_where_nothing_came_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let auditing = Auditing::begin(folder.path());
        let seen = auditing.change(entry("grant"), || Ok(lines(folder.path()).len()));
        assert_eq!(seen, Ok(1), "it is written before anything is changed");
        let refused: Result<(), Errors> = auditing.change(entry("grant"), || Err(vec!["no room".into()]));
        assert_eq!(refused, Err(vec!["no room".to_owned()]));
        assert_eq!(what(folder.path()), ["grant", "grant", "grant failed"]);
        let last = lines(folder.path()).pop().unwrap();
        assert_eq!(auditing.standing().last, Some(Mark { sequence: 3, hash: last.hash }));
    }

    #[test]
    fn without_a_log_nothing_is_changed_and_with_it_again_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let auditing = Auditing::begin(&state);
        let refused: Result<(), Errors> = auditing.change(Entry::default(), || panic!("it was changed"));
        assert!(refused.unwrap_err()[0].contains("failed to write the audit log"));
        assert!(auditing.standing().error.is_some());
        auditing.catch_up();
        assert!(auditing.standing().error.is_some());
        fs::create_dir(&state).unwrap();
        auditing.change(entry("grant"), || Ok(())).unwrap();
        assert_eq!((what(&state), auditing.standing().error), (vec!["grant".to_owned()], None));
        auditing.catch_up();
        assert_eq!(what(&state), ["grant"], "nothing was wrong any more");

        // Nor does what was wrong stay in `status` until somebody changes something.
        let auditing = Auditing::begin(&folder.path().join("later"));
        auditing.write([entry("grant")]).unwrap_err();
        fs::create_dir(folder.path().join("later")).unwrap();
        auditing.catch_up();
        assert_eq!(auditing.standing().error, None);
        assert_eq!(what(&folder.path().join("later")), ["audit resumed"]);
    }

    #[test]
    fn what_is_done_already_is_written_down_later_and_said_until_then() {
        let folder = tempfile::tempdir().unwrap();
        let auditing = Auditing::begin(folder.path());
        auditing.note(entry("bypass")).unwrap();
        let held = File::open(folder.path().join(FILE)).unwrap();
        held.lock_shared().unwrap();
        let errors = auditing.note(entry("quarantine")).unwrap_err();
        assert!(errors[0].contains("another process holds the audit log"), "{errors:?}");
        auditing.catch_up();
        let standing = auditing.standing();
        assert!(standing.unwritten[0].starts_with("quarantine by bob at "), "{standing:?}");
        assert!(standing.error.is_some());
        drop(held);
        auditing.catch_up();
        assert_eq!(auditing.standing().unwritten, Vec::<String>::new());
        auditing.write([entry("release")]).unwrap();
        assert_eq!(what(folder.path()), ["bypass", "quarantine", "release"]);
        let at: Vec<bool> = lines(folder.path()).iter().map(|line| line.entry.at.is_some()).collect();
        assert_eq!(at, [false, true, false]);

        // Of more than are kept, how many there were.
        fs::rename(folder.path(), folder.path().with_added_extension("away")).unwrap();
        for _ in 0..MOST_UNWRITTEN + 2 {
            auditing.note(entry("bypass")).unwrap_err();
        }
        fs::rename(folder.path().with_added_extension("away"), folder.path()).unwrap();
        auditing.catch_up();
        let last = lines(folder.path()).pop().unwrap();
        assert_eq!(last.sequence as usize, 3 + MOST_UNWRITTEN + 1);
        assert!(last.entry.after.as_str().unwrap().starts_with("2 more entries"));
    }

    #[test]
    fn a_log_that_nothing_can_follow_on_is_moved_aside_while_the_agent_runs_too() {
        let folder = tempfile::tempdir().unwrap();
        let auditing = Auditing::begin(folder.path());
        auditing.write([entry("grant")]).unwrap();
        fs::write(folder.path().join(FILE), "nonsense\n").unwrap();
        auditing.write([entry("reload")]).unwrap();
        assert_eq!(what(folder.path()), ["audit replaced", "reload"]);
        assert_eq!(lines(folder.path())[0].sequence, 2);
        let aside = fs::read_dir(folder.path()).unwrap().flatten();
        let aside = aside.filter(|file| file.file_name().to_string_lossy().contains(".damaged-"));
        assert_eq!(aside.count(), 1);
    }
}
