//! What operators ask of feeds: how they stand, to fetch one now, and to let a list through that waits.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Taken;
use super::fetching::Progress;
use crate::agent::{Agent, Errors};
use crate::api::messages::{Changed, RefreshRequest, ReleaseRequest};
use crate::audit::{Author, Entry};
use crate::events::Notice;
use crate::intent::lists::{Content, Release, digest};
use crate::intent::{FeedReport, Standing, copies};

impl Agent {
    /// Lets a list through that waits: what it was when it was judged.
    ///
    /// # Errors
    /// When none waits, it cannot be released, or the tables cannot be written.
    pub fn release(&self, request: &ReleaseRequest, by: &Author) -> Result<Changed, Errors> {
        let name = request.name.as_str();
        let intent = self.running().intent.clone();
        let Some(standing) = intent.lists().get(name).cloned() else {
            return Err(vec![format!(
                "no feed `{name}`; `iomt-filter feed list` shows those that there are"
            )]);
        };
        let known = standing.copy.clone().unwrap_or_default();
        let Some(held) = &known.notes.held else {
            return Err(vec![format!(
                "no list of feed `{name}` waits; `iomt-filter feed show {name}` says how it stands"
            )]);
        };
        if let Some(hopeless) = held.reasons.iter().find(|held| !held.can_be_released()) {
            return Err(vec![hopeless.explained(name)]);
        }
        let Some(parts) = copies::content(self.state(), name) else {
            let help = format!("fetch it again: `iomt-filter feed refresh {name}`");
            return Err(vec![format!("the list of feed `{name}` that waited is gone; {help}")]);
        };
        if digest(&standing.feed, &parts) != held.content {
            let help = format!("look again: `iomt-filter feed show {name}`");
            return Err(vec![format!("another list of feed `{name}` has come since it was judged; {help}")]);
        }
        let reasons: Vec<_> = held.reasons.iter().map(ToString::to_string).collect();
        let entry = Entry {
            about: Some(name.to_owned()),
            before: json!({ "entries": known.list.len(), "content": known.notes.content }),
            after: json!({ "entries": held.entries, "content": held.content, "held": reasons }),
            note: request.note.clone(),
            ..Entry::by(by, "feed release")
        };
        self.auditing().write([entry.clone()])?;
        let now = Timestamp::now();
        let content = Content {
            parts,
            resume: known.notes.resume.clone(),
            modified: held.updated,
            is_kept_list: held.is_kept_list,
            released: Some(Release { by: by.name.clone(), reasons: held.reasons.clone() }),
        };
        let outcome = self.judge(&intent, &standing, content, now);
        let entries = outcome.copy.list.len();
        let more = outcome.copy.notes.held.as_ref().map(|held| held.reasons.clone()).unwrap_or_default();
        let done = match self.take(&standing, outcome, now) {
            Ok(Taken::Active(changed)) => Ok(changed),
            Ok(Taken::Noted) if !more.is_empty() => {
                let more: Vec<_> = more.iter().map(ToString::to_string).collect();
                Err(vec![format!(
                    "it is held for more by now: {}; look again, and release it then",
                    more.join("; ")
                )])
            }
            Ok(Taken::Noted | Taken::Outdated) => {
                Err(vec![format!("feed `{name}` has changed meanwhile; look again, and release it then")])
            }
            Ok(Taken::Cuts(cuts)) => Err(vec![format!(
                "without what it spares, other lists would cut {} far ends that devices talk to; put them into \
                 `never_block` of `[gate]`, or remove the feed from the configuration",
                cuts.len()
            )]),
            Err(refusal) => Err(refusal.into()),
        };
        let changed = done.map_err(|errors| self.auditing().failed(&entry, errors))?;
        self.notice(
            Notice::FeedReleased,
            name,
            format!("{} let a list of {entries} entries through", by.name),
        );
        Ok(changed)
    }

    /// Has feeds fetched now; which.
    ///
    /// # Errors
    /// When there is no such feed, or it is not enabled.
    pub fn refresh(&self, request: &RefreshRequest, by: &Author) -> Result<Vec<String>, Errors> {
        let name = request.name.as_deref();
        let intent = self.running().intent.clone();
        let now = Timestamp::now();
        let is_meant = |standing: &&Standing| name.is_none_or(|name| name == standing.feed.name);
        let enabled = intent.standings().iter().filter(|standing| standing.feed.enabled);
        let meant: Vec<&Standing> = enabled.filter(is_meant).collect();
        if let Some(name) = name.filter(|_| meant.is_empty()) {
            return Err(vec![format!(
                "no feed `{name}` that is enabled; `iomt-filter feed list` shows them"
            )]);
        }
        let earliest = |standing: &Standing| self.fetching().of(&standing.feed.name).earliest(standing, now);
        if let (Some(name), [standing]) = (name, meant.as_slice())
            && earliest(standing) > now
        {
            let earliest = earliest(standing);
            return Err(vec![format!(
                "who publishes feed `{name}` wants to be left alone until {earliest:.0}"
            )]);
        }
        let may_be = meant.into_iter().filter(|standing| earliest(standing) <= now);
        let asked: Vec<String> = may_be.map(|standing| standing.feed.name.clone()).collect();
        let entry = Entry {
            about: request.name.clone(),
            after: json!({ "fetched": asked }),
            note: request.note.clone(),
            ..Entry::by(by, "feed refresh")
        };
        self.auditing().write([entry])?;
        self.fetching().ask(asked.clone());
        Ok(asked)
    }

    /// Every feed, and the blocks by hand: how they stand, and how fetching them goes.
    pub fn feeds(&self) -> Vec<Value> {
        let (intent, now) = (self.running().intent.clone(), Timestamp::now());
        let shown = |report: &Arc<FeedReport>| {
            let mut shown = serde_json::to_value(&**report).ok()?;
            let progress = self.fetching().of(&report.name);
            let standing = intent.lists().get(&report.name).filter(|standing| standing.feed.enabled);
            let next = standing.map(|standing| progress.next(standing, now));
            let Progress { history, error, is_running, is_asked, .. } = progress;
            let fields = shown.as_object_mut()?;
            fields.insert("attempted".to_owned(), json!(history.attempt));
            fields.insert("failures".to_owned(), json!(history.failures));
            fields.insert("error".to_owned(), json!(error));
            fields.insert("next".to_owned(), json!(next));
            fields.insert("fetching".to_owned(), json!(is_running || is_asked));
            Some(shown)
        };
        intent.feeds.iter().filter_map(shown).collect()
    }
}
