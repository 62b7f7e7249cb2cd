//! Quarantine and bypass: what holds of devices by hand, whatever policy says.
//!
//! Kept in the state folder like grants, and written to a table of the kernel's that no generation has a part in. It
//! ends in the kernel: the time since boot of its end is written there.

use std::collections::BTreeMap;
use std::time::Duration;

use aya::maps::MapError;
use iomt_filter_common::exception::Exception;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Errors;
use super::core::{Core, chain, nobody};
use super::store;
use super::term::Term;
use super::trigger::{self, Trigger};
use crate::api::messages::{
    Excepted, ExceptionKind, ExceptionRequest, ExceptionStatus, ReleaseExceptionRequest, Scope,
};
use crate::audit::{self, Author};
use crate::clock::{BootTime, Clocks, boottime};
use crate::intent::Intent;
use crate::nearest::did_you_mean;

mod taken_over;

/// The file of the exceptions, in the state folder.
pub(super) const EXCEPTIONS: &str = "exceptions.json";
/// A bypass that is longer is a policy.
pub(super) const LONGEST_BYPASS: Duration = Duration::from_secs(7 * 86_400);

/// What is kept, in the order in which it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Exceptions(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    exception: ExceptionStatus,
    /// When it ends, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends: Option<BootTime>,
}

impl Entry {
    fn holds(&self, now: u64) -> bool {
        self.ends.is_none_or(|ends| now < ends.nanoseconds)
    }
}

impl Exceptions {
    /// As they were kept, for this boot; see [`Term::ends`].
    pub(super) fn begun(mut self, seen: BootTime, now: &Clocks) -> Self {
        for Entry { exception, ends } in &mut self.0 {
            if let (Some(until), Some(ends)) = (exception.until, ends) {
                *ends = Term { from: exception.added, until }.ends(*ends, seen, now);
            }
        }
        self.after(now.boot.nanoseconds)
    }

    /// Those that hold at `now`.
    fn after(&self, now: u64) -> Self {
        Self(self.0.iter().filter(|entry| entry.holds(now)).cloned().collect())
    }

    /// Whether one ends by itself.
    pub(super) fn any_ends(&self) -> bool {
        self.0.iter().any(|entry| entry.ends.is_some())
    }

    /// Those that hold.
    pub(super) fn list(&self) -> Vec<ExceptionStatus> {
        let now = boottime();
        self.0.iter().filter(|entry| entry.holds(now)).map(|entry| entry.exception.clone()).collect()
    }

    /// What they come to for each device of `intents` that there are any for; device 0 is every frame. Of several the
    /// one that was made last counts. The kernel may judge by any of the intents: a quarantine is for whom it is for in
    /// one of them, a bypass for whom it is for in all that know the device.
    fn rows(&self, intents: &[&Intent]) -> BTreeMap<u32, Exception> {
        let mut rows: BTreeMap<u32, Exception> = BTreeMap::new();
        for Entry { exception, ends } in &self.0 {
            let until = ends.map_or(u64::MAX, |ends| ends.nanoseconds);
            let row = match exception.kind {
                ExceptionKind::Quarantine => Exception { quarantined_until: until, open_until: 0 },
                ExceptionKind::Bypass => Exception { quarantined_until: 0, open_until: until },
            };
            let every = (exception.scope == Scope::All).then_some(0);
            let concerned = intents.iter().flat_map(|intent| devices(&exception.scope, intent));
            let concerned = concerned.filter(|device| {
                let mut knowing = intents.iter().filter(|intent| intent.rows.devices.contains_key(device));
                exception.kind == ExceptionKind::Quarantine
                    || knowing.all(|intent| is_meant(&exception.scope, intent, *device))
            });
            rows.extend(every.into_iter().chain(concerned).map(|device| (device, row)));
        }
        rows
    }
}

/// Numbers of the devices that a scope stands for.
fn devices(scope: &Scope, intent: &Intent) -> Vec<u32> {
    intent.rows.devices.keys().copied().filter(|device| is_meant(scope, intent, *device)).collect()
}

/// Whether a scope stands for a device.
fn is_meant(scope: &Scope, intent: &Intent, device: u32) -> bool {
    let names = &intent.rows.names;
    let profile = intent.rows.devices.get(&device).map(|row| row.profile);
    match scope {
        Scope::Device(name) => names.devices.get(&device) == Some(name),
        Scope::Profile(name) => profile.and_then(|profile| names.profiles.get(&profile)) == Some(name),
        Scope::All => true,
    }
}

/// Why a scope stands for nothing.
fn unknown(scope: &Scope, intent: &Intent) -> String {
    let names = &intent.rows.names;
    match scope {
        Scope::Device(name) => {
            let known = names.devices.values().map(String::as_str);
            format!("no device is called `{name}`: {}", did_you_mean(name, known))
        }
        Scope::Profile(name) => {
            let known = names.profiles.values().map(String::as_str);
            format!("no device has a profile `{name}`: {}", did_you_mean(name, known))
        }
        Scope::All => "there is no device".to_owned(),
    }
}

impl Core {
    /// Makes something hold by hand, at once.
    pub(super) fn except(&mut self, request: &ExceptionRequest, by: &Author) -> Result<Excepted, Errors> {
        self.look_after_change();
        let ExceptionRequest { kind, scope, seconds, note } = request.clone();
        says_something(note.as_deref())?;
        let lasts = seconds.map(Duration::from_secs);
        if lasts.is_some_and(|lasts| lasts.is_zero()) {
            return Err(vec!["it has to last longer than 0".to_owned()]);
        }
        if kind == ExceptionKind::Bypass && lasts.is_none_or(|lasts| lasts > LONGEST_BYPASS) {
            return Err(vec![
                "a bypass ends by itself: say after what time, at most `7d`; what is needed for longer is a policy"
                    .to_owned(),
            ]);
        }
        let concerned = devices(&scope, &self.intent);
        if concerned.is_empty() && scope != Scope::All {
            return Err(vec![unknown(&scope, &self.intent)]);
        }
        let now = Clocks::now();
        let (until, ends) = lasts.map(|lasts| now.until(lasts)).unzip();
        let added = now.time_of_day;
        let exception = ExceptionStatus { kind, scope, until, note, added, by: by.name.clone() };
        let mut exceptions = self.exceptions.after(now.boot.nanoseconds);
        exceptions.0.retain(|entry| entry.exception.scope != exception.scope);
        exceptions.0.push(Entry { exception: exception.clone(), ends });
        let ExceptionStatus { kind, scope, .. } = exception;
        let until = until.map_or_else(|| "released".to_owned(), |until| format!("{until:.0}"));
        tracing::warn!(by = by.name, devices = concerned.len(), "{} of {scope} until {until}", kind.name());
        let before = json!(self.exceptions.list());
        let mut done = self.replace_exceptions(exceptions, concerned.len())?;
        done.warnings.extend(self.excepted_by(by, kind.name(), &scope, before, request.note.clone()));
        Ok(done)
    }

    /// Writes down what was excepted, or is no more: behind the change, which waits for no disk. What is to be said
    /// where that is still to be done.
    fn excepted_by(
        &self,
        by: &Author,
        what: &str,
        scope: &Scope,
        before: Value,
        note: Option<String>,
    ) -> Option<String> {
        let (about, after) = (Some(scope.to_string()), json!(self.exceptions.list()));
        self.note(audit::Entry { about, before, after, note, ..audit::Entry::by(by, what) })
    }

    /// Lets policy hold again of what was excepted.
    pub(super) fn end_exception(
        &mut self,
        request: &ReleaseExceptionRequest,
        by: &Author,
    ) -> Result<Excepted, Errors> {
        self.look_after_change();
        says_something(request.note.as_deref())?;
        let mut exceptions = self.exceptions.after(boottime());
        let before = exceptions.0.len();
        exceptions.0.retain(|entry| entry.exception.scope != request.scope);
        let concerned = devices(&request.scope, &self.intent);
        if exceptions.0.len() == before {
            return Err(vec![match self.quarantined_by_policy(&concerned) {
                true => format!(
                    "{} is in quarantine by its profile, which the policy says; edit it and `iomt-filter apply`",
                    request.scope
                ),
                false => format!("nothing holds of {} by hand", request.scope),
            }]);
        }
        let before = json!(self.exceptions.list());
        let mut done = self.replace_exceptions(exceptions, concerned.len())?;
        done.warnings.extend(self.excepted_by(by, "release", &request.scope, before, request.note.clone()));
        Ok(done)
    }

    fn quarantined_by_policy(&self, devices: &[u32]) -> bool {
        let quarantine = iomt_filter_common::policy::Mode::Quarantine as u8;
        let row = |device| self.intent.rows.devices.get(device);
        !devices.is_empty()
            && devices.iter().all(|device| row(device).is_some_and(|row| row.mode == quarantine))
    }

    /// Exceptions hold before they are kept: whoever breaks the glass has no time for a full disk.
    fn replace_exceptions(&mut self, exceptions: Exceptions, devices: usize) -> Result<Excepted, Errors> {
        let before = std::mem::replace(&mut self.exceptions, exceptions.into());
        if let Err(errors) = self.try_write_exceptions() {
            self.exceptions = before;
            self.write_exceptions();
            return Err(errors);
        }
        let warnings = self.keep_exceptions().into_iter().collect();
        self.keep_clock();
        Ok(Excepted { exceptions: self.exceptions.list(), devices, warnings })
    }

    /// Keeps what holds by hand; what is to be said where that fails. It is then tried every second.
    fn keep_exceptions(&mut self) -> Option<String> {
        let kept = store::save(&self.config.paths.state, EXCEPTIONS, &*self.exceptions);
        let was_kept = std::mem::replace(&mut self.exceptions_are_kept, kept.is_ok());
        let error = chain(&kept.err()?);
        if was_kept {
            tracing::error!(error, "what holds by hand cannot be kept; it holds, and is tried every second");
        }
        Some(format!("it holds, and a reboot before it can be kept would end it: {error}"))
    }

    /// Writes what holds by hand into the kernel, for the devices that there are now.
    pub(super) fn write_exceptions(&mut self) {
        if let Err(errors) = self.try_write_exceptions() {
            tracing::error!(
                errors = errors.join("; "),
                "what holds by hand is not what the kernel judges by"
            );
        }
    }

    /// Whether all that are in quarantine by hand would be so in `next`: by another name, or in no inventory, who is cut
    /// off would be let out without a word.
    pub(super) fn keep_in_quarantine(&self, next: &Intent) -> Result<(), Errors> {
        let is_held = |entry: &&Entry| entry.exception.kind == ExceptionKind::Quarantine;
        let lost = self.exceptions.0.iter().filter(is_held).flat_map(|entry| {
            let scope = &entry.exception.scope;
            let lost =
                devices(scope, &self.intent).into_iter().filter(|device| !is_meant(scope, next, *device));
            lost.map(move |device| (device, scope))
        });
        let names = &self.intent.rows.names.devices;
        let errors: Errors = lost
            .map(|(device, scope)| {
                let name = names.get(&device).map_or("?", String::as_str);
                format!(
                    "`{name}` is in quarantine by hand, and would not be any more; `iomt-filter release` {scope} first, or \
                     leave it there under its name"
                )
            })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// The same beside what is about to judge: who is in quarantine is so before it does.
    pub(super) fn except_also(&mut self, next: &Intent) {
        let (intent, exceptions) = (self.intent.clone(), self.exceptions.clone());
        if let Err(errors) = self.put_exceptions(exceptions.rows(&[&*intent, next])) {
            tracing::error!(errors = errors.join("; "), "what holds by hand may hold a moment late");
        }
    }

    /// How many devices have something else by hand in the kernel than is to hold.
    pub(super) fn exceptions_drift(&self) -> Result<usize, MapError> {
        self.datapath.exceptions_drift(&self.wanted_exceptions())
    }

    /// Writes it all anew, whatever was written before.
    pub(super) fn rewrite_exceptions(&mut self) {
        self.excepted = None;
        self.write_exceptions();
    }

    fn wanted_exceptions(&self) -> BTreeMap<u32, Exception> {
        // What a change that is pending goes back to may judge at any moment.
        let before = self.waiting.as_ref().map(|waiting| &*waiting.before.intent);
        let intents: Vec<&Intent> = [Some(&*self.intent), before].into_iter().flatten().collect();
        self.exceptions.rows(&intents)
    }

    fn try_write_exceptions(&mut self) -> Result<(), Errors> {
        let rows = self.wanted_exceptions();
        self.put_exceptions(rows)
    }

    fn put_exceptions(&mut self, rows: BTreeMap<u32, Exception>) -> Result<(), Errors> {
        let failed = |error| vec![chain(&error)];
        // What an earlier agent wrote is not known.
        let held: Vec<u32> = match self.excepted.take() {
            Some(held) => held.into_keys().collect(),
            None => (0..self.datapath.device_capacity()).collect(),
        };
        for &device in held.iter().chain(rows.keys()) {
            let row = rows.get(&device).copied().unwrap_or_default();
            self.datapath.set_exception(device, row, &self.token).map_err(failed)?;
        }
        self.excepted = Some(rows);
        Ok(())
    }

    /// Lets exceptions go whose time is up, and sees whether somebody has broken the glass by a file.
    pub(super) fn look_after_exceptions(&mut self) {
        match trigger::take(&self.config.paths.state) {
            Ok(Some(trigger)) => self.triggered(trigger),
            Ok(None) => {}
            Err(error) => tracing::error!(error = chain(&error), "nothing is let through"),
        }
        if !self.exceptions_are_kept {
            self.keep_exceptions();
        }
        let exceptions = self.exceptions.after(boottime());
        if exceptions == *self.exceptions {
            return;
        }
        tracing::warn!("what held by hand for a time has ended: policy holds again");
        if let Err(errors) = self.replace_exceptions(exceptions, 0) {
            tracing::error!(errors = errors.join("; "), "exceptions that have ended could not be let go");
        }
    }

    fn triggered(&mut self, Trigger { lasts, note }: Trigger) {
        tracing::warn!("{note}");
        let request = ExceptionRequest {
            kind: ExceptionKind::Bypass,
            scope: Scope::All,
            seconds: Some(lasts.as_secs()),
            note: Some(note),
        };
        if let Err(errors) = self.except(&request, &nobody("the file of the console")) {
            tracing::error!(errors = errors.join("; "), "nothing is let through");
        }
    }
}

/// Refuses a note that is there and says nothing.
fn says_something(note: Option<&str>) -> Result<(), Errors> {
    match note.is_some_and(|note| note.trim().is_empty()) {
        true => Err(vec!["a note has to say something".to_owned()]),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn entry(kind: ExceptionKind, scope: Scope, ends: Option<u64>) -> Entry {
        let exception = ExceptionStatus {
            kind,
            scope,
            until: None,
            note: None,
            added: Timestamp::now(),
            by: "root".into(),
        };
        Entry { exception, ends: ends.map(|nanoseconds| BootTime { boot: 1, nanoseconds }) }
    }

    fn intent() -> Intent {
        let mut intent = Intent::default();
        for (number, name, profile) in [(1, "ct-1", 1), (2, "ct-2", 1), (3, "pump-1", 2)] {
            let row = iomt_filter_common::device::Device { profile, mode: 3, ..Default::default() };
            intent.rows.devices.insert(number, row);
            intent.rows.names.devices.insert(number, name.to_owned());
        }
        for (number, name) in [(1, "ct"), (2, "pump")] {
            intent.rows.names.profiles.insert(number, name.to_owned());
        }
        intent
    }

    #[test]
    fn what_was_said_last_counts() {
        let all = Exceptions(vec![
            entry(ExceptionKind::Quarantine, Scope::Device("ct-1".into()), None),
            entry(ExceptionKind::Bypass, Scope::Profile("ct".into()), Some(50)),
            entry(ExceptionKind::Quarantine, Scope::Device("ct-2".into()), Some(70)),
        ]);
        let rows = all.rows(&[&intent()]);
        let open = Exception { quarantined_until: 0, open_until: 50 };
        let cut_off = Exception { quarantined_until: 70, open_until: 0 };
        assert_eq!(rows, BTreeMap::from([(1, open), (2, cut_off)]));
        assert_eq!(all.after(50).rows(&[&intent()]).get(&1).unwrap().quarantined_until, u64::MAX);
        let everything =
            Exceptions(vec![entry(ExceptionKind::Bypass, Scope::All, Some(9))]).rows(&[&intent()]);
        assert_eq!(everything.len(), 4, "every device, and every frame");
    }

    #[test]
    fn who_is_in_quarantine_is_so_by_all_that_may_judge_and_who_is_open_by_all_of_it() {
        let (before, mut after) = (intent(), intent());
        after.rows.devices.remove(&1);
        after.rows.devices.get_mut(&2).unwrap().profile = 2;
        let all = Exceptions(vec![
            entry(ExceptionKind::Quarantine, Scope::Device("ct-1".into()), None),
            entry(ExceptionKind::Bypass, Scope::Profile("pump".into()), Some(50)),
        ]);
        let rows = all.rows(&[&after, &before]);
        assert_eq!(rows.keys().copied().collect::<Vec<_>>(), [1, 3]);
        let moved = Exceptions(vec![entry(ExceptionKind::Quarantine, Scope::Profile("pump".into()), None)]);
        assert_eq!(moved.rows(&[&after, &before]).into_keys().collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn a_note_that_is_there_says_something() {
        for note in [None, Some("emergency")] {
            says_something(note).unwrap();
        }
        for note in ["", "  \t"] {
            says_something(Some(note)).unwrap_err();
        }
    }

    #[test]
    fn a_name_that_is_none_is_told_with_the_nearest() {
        let said = unknown(&Scope::Device("ct1".into()), &intent());
        assert!(said.contains("`ct-1`"), "{said}");
        assert!(devices(&Scope::Profile("mri".into()), &intent()).is_empty());
    }
}
