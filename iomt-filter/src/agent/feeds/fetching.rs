//! Which feeds are due, and how the fetching of each goes. The clock may be set: what is due is reckoned anew each time.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::feeds::fetch::{Origin, Source};
use crate::feeds::schedule::{self, Pace};
use crate::intent::Standing;

/// The longest that a server may want to be left alone.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(25);
/// Feeds that are fetched at once.
const AT_ONCE: usize = 4;

/// How the fetching of feeds goes, by name.
#[derive(Debug, Default)]
pub(in crate::agent) struct Fetching {
    feeds: Mutex<BTreeMap<String, Progress>>,
    /// Held while files of a feed are written.
    pub(super) keeping: Mutex<()>,
}

/// How the fetching of one feed goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// Where it comes from.
    source: Option<Source>,
    pub(super) history: schedule::History,
    /// How much later than it could it is tried next, from 0 to 1.
    chance: f64,
    /// Why the last attempt failed.
    pub(super) error: Option<String>,
    /// Whether it is being fetched.
    pub(super) is_running: bool,
    /// Whether somebody asked for it out of turn.
    pub(super) is_asked: bool,
}

impl Fetching {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Progress>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it goes with a feed.
    pub(super) fn of(&self, feed: &str) -> Progress {
        self.all().get(feed).cloned().unwrap_or_default()
    }

    /// Has feeds fetched as soon as there is a thread for them.
    pub(super) fn ask(&self, feeds: impl IntoIterator<Item = String>) {
        let mut all = self.all();
        feeds.into_iter().for_each(|feed| all.entry(feed).or_default().is_asked = true);
    }

    /// The feeds to be fetched now, which are taken for being fetched from then on.
    pub(super) fn take_due(&self, standings: &[Standing], now: Timestamp) -> Vec<String> {
        let mut all = self.all();
        // A feed that is configured anew, or comes from elsewhere, is due at once.
        all.retain(|name, progress| {
            let of_name = |standing: &&Standing| standing.feed.enabled && standing.feed.name == *name;
            let source = standings.iter().find(of_name).map(|standing| &standing.feed.source);
            progress.is_running
                || (source.is_some() && (progress.source.is_none() || progress.source.as_ref() == source))
        });
        // At a first start, lists that spare addresses come before those that list them.
        let spares = |standing: &&Standing| standing.feed.never_block && standing.feed.enabled;
        let tried =
            |standing: &Standing| all.get(&standing.feed.name).is_some_and(|it| it.history.attempt.is_some());
        let waits =
            standings.iter().filter(spares).any(|standing| standing.copy.is_none() && !tried(standing));
        let mut free = AT_ONCE.saturating_sub(all.values().filter(|progress| progress.is_running).count());
        let mut due = Vec::new();
        for standing in standings.iter().filter(|standing| standing.feed.enabled) {
            let feed = &standing.feed;
            let progress = all.entry(feed.name.clone()).or_insert_with(|| Progress::of(standing));
            progress.set_right(now);
            let is_due = progress.is_asked || progress.next(standing, now) <= now;
            if waits && !feed.never_block && standing.copy.is_none() {
                continue;
            }
            if free > 0 && !progress.is_running && is_due {
                (progress.is_running, progress.is_asked) = (true, false);
                free -= 1;
                due.push(feed.name.clone());
            }
        }
        due
    }

    /// Writes down how a fetch went; whether the feed failed before.
    pub(super) fn done(
        &self,
        standing: &Standing,
        error: Option<(String, Option<Duration>)>,
        now: Timestamp,
    ) -> bool {
        let mut all = self.all();
        let progress = all.entry(standing.feed.name.clone()).or_default();
        let failed_before = progress.error.is_some();
        match &error {
            Some((_, retry_after)) => progress.history.failed(now, *retry_after),
            None => progress.history.succeeded(now),
        }
        progress.source = Some(standing.feed.source.clone());
        progress.error = error.map(|(error, _)| error);
        progress.chance = fastrand::f64();
        failed_before
    }

    pub(super) fn ended(&self, feed: &str) {
        if let Some(progress) = self.all().get_mut(feed) {
            progress.is_running = false;
        }
    }
}

impl Progress {
    /// Of a feed that an agent before has read.
    fn of(standing: &Standing) -> Self {
        let read = standing.copy.as_ref().and_then(|copy| copy.notes.read);
        let history = schedule::History { attempt: read, success: read, ..schedule::History::default() };
        let source = Some(standing.feed.source.clone());
        Self { source, history, chance: fastrand::f64(), ..Self::default() }
    }

    /// What another clock wrote down happened by now, and counts from now on.
    fn set_right(&mut self, now: Timestamp) {
        let schedule::History { attempt, success, not_before, .. } = &mut self.history;
        for moment in [attempt, success] {
            *moment = moment.map(|moment| moment.min(now));
        }
        *not_before = not_before.filter(|&moment| moment.duration_since(now) <= LONGEST_WAIT);
    }

    /// When it may be tried at the earliest, whoever asks: what publisher and server want.
    pub(super) fn earliest(&self, standing: &Standing, now: Timestamp) -> Timestamp {
        let minimum = pace(standing).minimum;
        let wanted = self
            .history
            .attempt
            .filter(|_| minimum > schedule::SHORTEST)
            .and_then(|attempt| attempt.checked_add(SignedDuration::try_from(minimum).ok()?).ok());
        wanted.into_iter().chain(self.history.not_before).chain([now]).max().unwrap_or(now)
    }

    /// When it is tried next: by what is configured now, and by a clock that may have been set.
    pub(super) fn next(&self, standing: &Standing, now: Timestamp) -> Timestamp {
        schedule::next(pace(standing), self.history, now, self.chance)
    }
}

/// How often a feed is to be read again.
pub(in crate::agent) fn refreshed_every(standing: &Standing) -> Duration {
    let Pace { refresh, minimum } = pace(standing);
    refresh.max(minimum)
}

fn pace(standing: &Standing) -> Pace {
    let minimum = match &standing.feed.source.origin {
        Origin::Server(server) => schedule::minimum(&server.url),
        Origin::Path(_) => schedule::SHORTEST,
    };
    Pace { refresh: standing.feed.refresh, minimum }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::diagnostic::SourceFile;
    use crate::intent::copies::{FeedCopy, FeedNotes};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn standings(feeds: &str) -> Vec<Standing> {
        let text = format!("[interfaces]\ndevice = [\"eth1\"]\n{feeds}");
        let file = SourceFile::new("config.toml", text);
        let config = Config::parse(&file, Path::new("/etc/x/config.toml"), false).unwrap();
        let of = |feed| Standing { feed: Arc::new(feed), number: 1, copy: None, failure: None };
        config.feeds.into_iter().map(of).collect()
    }

    fn feed(name: &str, more: &str) -> String {
        format!("[[feed]]\nname = \"{name}\"\nurl = \"https://{name}.example/list\"\n{more}\n")
    }

    #[test]
    fn a_feed_is_due_again_after_its_refresh_and_whoever_sets_the_clock_keeps_it_from_nothing() {
        let standings = standings(&feed("c2", "refresh = \"1h\""));
        let fetching = Fetching::default();
        assert_eq!(fetching.take_due(&standings, at(0)), ["c2"]);
        assert_eq!(fetching.take_due(&standings, at(0)), [""; 0], "it is being fetched");
        // Ten years ahead, and right again.
        fetching.done(&standings[0], None, at(315_000_000));
        fetching.ended("c2");
        assert_eq!(fetching.take_due(&standings, at(60)), [""; 0], "it was fetched just now");
        assert_eq!(
            fetching.take_due(&standings, at(5_000)).len() + fetching.take_due(&standings, at(9_000)).len(),
            1
        );
    }

    #[test]
    fn lists_that_spare_addresses_come_before_those_that_list_them() {
        let feeds = feed("c2", "") + &feed("vendors", "never_block = true");
        let mut standings = standings(&feeds);
        let fetching = Fetching::default();
        assert_eq!(fetching.take_due(&standings, at(0)), ["vendors"]);
        // Whether it could be had or not: nothing waits for ever.
        fetching.done(&standings[1], Some(("down".into(), None)), at(1));
        fetching.ended("vendors");
        assert_eq!(fetching.take_due(&standings, at(2)), ["c2"]);
        // Who has listed before goes on.
        standings[0].copy = Some(Arc::new(FeedCopy { notes: FeedNotes::default(), ..FeedCopy::default() }));
        assert_eq!(Fetching::default().take_due(&standings, at(0)), ["c2", "vendors"]);
    }

    #[test]
    fn what_a_publisher_wants_holds_for_who_asks_too() {
        let text = "[[feed]]\nname = \"drop\"\nurl = \"https://www.spamhaus.org/drop/drop_v4.json\"\n";
        let standings = standings(text);
        let fetching = Fetching::default();
        assert_eq!(fetching.of("drop").earliest(&standings[0], at(0)), at(0));
        fetching.done(&standings[0], None, at(0));
        assert_eq!(fetching.of("drop").earliest(&standings[0], at(60)), at(3_600));
        let wait = Some(std::time::Duration::from_secs(7_200));
        fetching.done(&standings[0], Some(("busy".into(), wait)), at(4_000));
        assert_eq!(fetching.of("drop").earliest(&standings[0], at(4_001)), at(11_200));
    }
}
