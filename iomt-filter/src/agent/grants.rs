//! Grants: access of single devices that ends by itself.
//!
//! Kept in the state folder with the time of day and the time since boot of their end; the latter goes to the
//! kernel. It is reckoned when a grant begins, and once more after a reboot, so that setting the clock makes
//! none longer or shorter.

use std::sync::Arc;
use std::time::Duration;

use iomt_filter_common::policy::RuleDirection;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Errors;
use super::core::{Core, chain, shown};
use super::store;
use super::term::Term;
use crate::api::messages::{Changed, Grant, GrantRequest, Granted, RevokeRequest};
use crate::audit::{self, Author};
use crate::clock::{BootTime, Clocks, boottime};
use crate::numbers::Numbers;
use crate::policy::model;

/// The file of the grants, in the state folder.
pub(super) const GRANTS: &str = "grants.json";
/// A grant that is longer is a rule, and belongs into the policy.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// What is kept: grants, and the number of the next one, so that no number ever means two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Ledger {
    last: u32,
    grants: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    grant: Grant,
    /// When it ends.
    #[serde(default)]
    ends: BootTime,
}

impl Ledger {
    /// As it was kept, for this boot; see [`Term::ends`].
    pub(super) fn begun(mut self, seen: BootTime, now: &Clocks) -> Self {
        for Entry { grant, ends } in &mut self.grants {
            *ends = Term { from: grant.added, until: grant.until }.ends(*ends, seen, now);
        }
        self.after(now.boot.nanoseconds)
    }

    /// Whether there is none.
    pub(super) const fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }

    /// Grants that hold.
    pub(super) fn list(&self) -> Vec<Grant> {
        let now = boottime();
        let holding = self.grants.iter().filter(|entry| entry.ends.nanoseconds > now);
        holding.map(|entry| entry.grant.clone()).collect()
    }

    /// As the compiler takes them.
    pub(super) fn models(&self) -> Vec<model::Grant> {
        self.grants.iter().map(Entry::model).collect()
    }

    /// Those that hold at `now`.
    fn after(&self, now: u64) -> Self {
        let grants = self.grants.iter().filter(|entry| entry.ends.nanoseconds > now).cloned().collect();
        Self { last: self.last, grants }
    }

    /// Those of devices that there are, and the names of the others.
    pub(super) fn without_gone(&self, is_device: impl Fn(&str) -> bool) -> (Self, Vec<String>) {
        let (grants, gone): (Vec<_>, Vec<_>) =
            self.grants.iter().cloned().partition(|entry| is_device(&entry.grant.device));
        let names = gone.iter().map(|entry| format!("`{}` of `{}`", entry.model().name, entry.grant.device));
        (Self { last: self.last, grants }, names.collect())
    }
}

impl Entry {
    fn model(&self) -> model::Grant {
        let Grant { id, device, to, from, services, .. } = &self.grant;
        let (direction, word, peers) = match to.is_empty() {
            false => (RuleDirection::To, "to", to),
            true => (RuleDirection::From, "from", from),
        };
        model::Grant {
            device: device.clone(),
            direction,
            peers: peers.clone(),
            services: services.clone(),
            name: format!("grant {id} {word} {} service {}", peers.join(","), services.join(",")),
            expires: self.ends.nanoseconds,
        }
    }
}

impl Core {
    /// Begins a grant.
    pub(super) fn grant(&mut self, request: &GrantRequest, by: &Author) -> Result<Granted, Errors> {
        let lasts = Duration::from_secs(request.seconds);
        if lasts.is_zero() || lasts > LONGEST {
            return Err(vec![
                "a grant lasts longer than 0 and at most `30d`; what is needed for longer is a rule of the profile"
                    .to_owned(),
            ]);
        }
        if request.to.is_empty() == request.from.is_empty() || request.services.is_empty() {
            return Err(vec!["a grant needs a service, and either `to` or `from`".to_owned()]);
        }
        let now = Clocks::now();
        let added = now.time_of_day;
        let until = added.checked_add(lasts).map_err(|error| vec![error.to_string()])?;
        let mut ledger = self.grants.after(now.boot.nanoseconds);
        ledger.last = ledger.last.checked_add(1).ok_or_else(|| vec!["no number is left".to_owned()])?;
        let grant = Grant {
            id: ledger.last,
            device: request.device.clone(),
            to: request.to.clone(),
            from: request.from.clone(),
            services: request.services.clone(),
            until,
            note: request.note.clone(),
            added,
            by: by.name.clone(),
        };
        let ends = now.boot.after(u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX));
        let entry = Entry { grant: grant.clone(), ends };
        let warnings = self.intent.examine(&entry.model())?;
        ledger.grants.push(entry);
        let audited = audit::Entry {
            about: Some(grant.device.clone()),
            after: json!(grant),
            note: request.note.clone(),
            ..audit::Entry::by(by, "grant")
        };
        let changed = self.auditing.clone().change(audited, || self.replace_grants(ledger))?;
        tracing::info!(grant.id, device = grant.device, by = by.name, %until, "access is granted");
        Ok(Granted { grant, generation: changed.generation, warnings })
    }

    /// Ends a grant.
    pub(super) fn revoke(&mut self, request: &RevokeRequest, by: &Author) -> Result<Changed, Errors> {
        let (id, mut ledger) = (request.id, self.grants.after(boottime()));
        let Some(at) = ledger.grants.iter().position(|entry| entry.grant.id == id) else {
            return Err(vec![format!(
                "no grant has the number {id}; `iomt-filter grant list` shows those there are"
            )]);
        };
        let entry = ledger.grants.remove(at);
        let (name, revoked) = (entry.model().name, entry.grant);
        self.look_after_change();
        let audited = audit::Entry {
            about: Some(revoked.device.clone()),
            before: json!(revoked),
            note: request.note.clone(),
            ..audit::Entry::by(by, "grant revoke")
        };
        let changed = self.auditing.clone().change(audited, || match self.waiting {
            Some(_) => self.revoke_in_both(ledger, &name),
            None => self.replace_grants(ledger),
        })?;
        Ok(Changed { changed: 1, ..changed })
    }

    /// Forgets grants that the kernel no longer honours.
    pub(super) fn expire_grants(&mut self) {
        let ledger = self.grants.after(boottime());
        if ledger.grants.len() < self.grants.grants.len()
            && let Err(errors) = self.replace_grants(ledger)
        {
            tracing::error!(errors = errors.join("; "), "grants that have ended could not be forgotten");
        }
    }

    /// Drops grants of devices that left the inventory.
    pub(super) fn drop_gone_grants(&mut self) {
        let names = &self.intent.rows.names.devices;
        let (ledger, gone) = self.grants.without_gone(|device| names.values().any(|name| name == device));
        if gone.is_empty() {
            return;
        }
        for name in gone {
            tracing::warn!("{name} is dropped: the device is no longer in the inventory");
        }
        match store::save(&self.config.paths.state, GRANTS, &ledger) {
            Ok(()) => self.grants = Arc::new(ledger),
            Err(error) => tracing::error!(error = chain(&error), "grants that were dropped are still kept"),
        }
    }

    /// Ends a grant in what is pending and in what that goes back to: there is no room for a third policy, and none is
    /// needed to take something away.
    fn revoke_in_both(&mut self, ledger: Ledger, name: &str) -> Result<Changed, Errors> {
        let (numbers, blocks) = (Numbers::clone(&self.numbers), self.blocks.clone());
        let before = self.waiting.as_ref().map(|waiting| waiting.before.intent.without_grant(name));
        let intent = self.intent.without_grant(name);
        self.keep_grants(ledger, |core| {
            let changed = core.renew(intent, before, numbers, blocks)?;
            core.grants_are_short = true;
            Ok(changed)
        })
    }

    /// Keeps grants before they hold, as blocks are kept: what is in the kernel survives a restart.
    fn keep_grants(
        &mut self,
        ledger: Ledger,
        hold: impl FnOnce(&mut Self) -> Result<Changed, Errors>,
    ) -> Result<Changed, Errors> {
        let state = self.config.paths.state.clone();
        store::save(&state, GRANTS, &ledger).map_err(|error| vec![chain(&error)])?;
        match hold(self) {
            Ok(changed) => {
                self.grants = Arc::new(ledger);
                Ok(changed)
            }
            Err(mut errors) => {
                if let Err(error) = store::save(&state, GRANTS, &*self.grants) {
                    errors.push(chain(&error));
                }
                Err(errors)
            }
        }
    }

    /// Has all grants compiled anew, where one was only taken away while a change was pending.
    pub(super) fn renew_grants(&mut self) {
        if !std::mem::take(&mut self.grants_are_short) {
            return;
        }
        if let Err(errors) = self.replace_grants(Ledger::clone(&self.grants)) {
            tracing::error!(errors = errors.join("; "), "grants beside one that was revoked may not hold");
        }
    }

    fn replace_grants(&mut self, ledger: Ledger) -> Result<Changed, Errors> {
        self.refuse_while_pending()?;
        let mut numbers = Numbers::clone(&self.numbers);
        let intent = self.intent.with_grants(&mut numbers, ledger.models()).map_err(shown)?;
        let blocks = self.blocks.clone();
        self.keep_grants(ledger, |core| core.activate(intent, numbers, blocks))
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    fn ledger() -> Ledger {
        let now = Timestamp::now();
        let grant = |id, device: &str, seconds| Grant {
            id,
            device: device.into(),
            to: vec!["pacs".into()],
            services: vec!["dicom".into(), "https".into()],
            added: now - SignedDuration::from_secs(60),
            until: now + SignedDuration::from_secs(seconds),
            ..Grant::default()
        };
        let grants = [grant(3, "ct-1", 3_600), grant(5, "ct-2", -5), grant(9, "pump-1", 10)];
        Ledger {
            last: 9,
            grants: grants.into_iter().map(|grant| Entry { grant, ends: BootTime::default() }).collect(),
        }
    }

    #[test]
    fn what_is_kept_ends_at_its_time_of_day_where_no_more_is_known() {
        let text =
            serde_json::to_string(&ledger()).unwrap().replace(r#","ends":{"boot":0,"nanoseconds":0}"#, "");
        assert!(!text.contains("ends"), "{text}");
        let begun = serde_json::from_str::<Ledger>(&text).unwrap().begun(BootTime::default(), &Clocks::now());
        let names: Vec<_> = begun.models().into_iter().map(|grant| grant.name).collect();
        assert_eq!(names, ["grant 3 to pacs service dicom,https", "grant 9 to pacs service dicom,https"]);
        let left = begun.models()[0].expires - boottime();
        assert!((3_590_000_000_000..=3_600_000_000_000).contains(&left), "{left}");
        assert_eq!(begun.last, 9, "a number is never given twice");
    }

    #[test]
    fn a_clock_that_stands_wrong_makes_no_grant_longer() {
        let now = Clocks::now();
        let time_of_day = now.time_of_day - SignedDuration::from_hours(400 * 24);
        let behind = Clocks { time_of_day, ..now };
        let mut kept = ledger();
        // It was given for an hour and a minute, in another boot.
        let lasts = |ledger: &Ledger| ledger.grants[0].ends.nanoseconds - now.boot.nanoseconds;
        let begun = kept.clone().begun(BootTime::default(), &behind);
        assert_eq!(lasts(&begun), 3_660_000_000_000);
        // An agent that is started anew in this boot knows better.
        kept.grants[0].ends = now.boot.after(5_000_000_000);
        let text = serde_json::to_string(&kept).unwrap();
        let begun = serde_json::from_str::<Ledger>(&text).unwrap().begun(now.boot, &behind);
        assert_eq!(lasts(&begun), 5_000_000_000);
    }

    #[test]
    fn grants_of_devices_that_are_gone_are_dropped_and_named() {
        let (left, gone) = ledger().without_gone(|device| device != "pump-1");
        assert_eq!(left.grants.len(), 2);
        assert_eq!(gone, ["`grant 9 to pacs service dicom,https` of `pump-1`"]);
    }
}
