//! What it is judged by: feeds, the country database, and the room for both.

use crate::intent::FeedState;

use super::Picture;
use super::family::{Family, Number, Samples, gauge, seconds};

const STATES: [&str; 5] = ["loaded", "kept", "held", "disabled", "not-loaded"];

pub(super) static FAMILIES: [Family; 19] = [
    gauge(
        "feed_entries",
        &["feed"],
        "Entries of a feed that are listed, or spared where it is a `never_block` list",
        |shown, to| {
            each_feed(shown, to, |feed| Some(feed.entries));
        },
    ),
    gauge("feed_domains", &["feed"], "Domains that a feed names", |shown, to| {
        each_feed(shown, to, |feed| Some(feed.domains));
    }),
    gauge(
        "feed_gone_entries",
        &["feed"],
        "Entries that a feed's source no longer has, and that stay for now",
        |shown, to| {
            each_feed(shown, to, |feed| Some(feed.gone));
        },
    ),
    gauge("feed_rejected_lines", &["feed"], "Lines of a feed that could not be understood", |shown, to| {
        each_feed(shown, to, |feed| Some(feed.faulty));
    }),
    gauge(
        "feed_spared_entries",
        &["feed"],
        "Entries of a feed, and parts of entries, that the guard held back",
        |shown, to| {
            each_feed(shown, to, |feed| Some(feed.spared));
        },
    ),
    gauge(
        "feed_state",
        &["feed", "state"],
        "How a feed stands: 1 for the state that it is in, 0 for the others",
        |shown, to| {
            for (feed, _) in &shown.feeds {
                to.put_state(&[&feed.name], &STATES, state(&feed.state));
            }
        },
    ),
    seconds(
        "feed_age",
        &["feed"],
        "Time since the content that a feed's entries are from was last changed",
        |shown, to| {
            each_feed(shown, to, |feed| feed.updated.map(|updated| shown.since(updated)));
        },
    ),
    seconds(
        "feed_read_age",
        &["feed"],
        "Time since a feed was last read, or found unchanged",
        |shown, to| {
            each_feed(shown, to, |feed| feed.read.map(|read| shown.since(read)));
        },
    ),
    seconds(
        "feed_refresh",
        &["feed"],
        "How often a feed is to be read again; none for blocks by hand, and for one that is disabled",
        |shown, to| {
            for (feed, refresh) in &shown.feeds {
                to.put_some(&[&feed.name], *refresh);
            }
        },
    ),
    gauge(
        "feed_held_entries",
        &["feed"],
        "Entries of the list of a feed that waits for somebody; none where no list waits",
        |shown, to| {
            each_feed(shown, to, |feed| feed.held_entries);
        },
    ),
    seconds(
        "feed_held_age",
        &["feed"],
        "Time since a list of the feed waits for somebody; none where no list waits",
        |shown, to| {
            each_feed(shown, to, |feed| feed.held_since.map(|since| shown.since(since)));
        },
    ),
    gauge(
        "geo_prefixes",
        &[],
        "Prefixes of the country database that the policy needs; this and all of the database are none where there is no database",
        |shown, to| {
            to.put_some(&[], shown.geo.as_ref().map(|geo| geo.prefixes));
        },
    ),
    seconds("geo_age", &[], "Time since the country database was made", |shown, to| {
        to.put_some(&[], shown.geo.as_ref().and_then(|geo| geo.built).map(|built| shown.since(built)));
    }),
    seconds(
        "geo_limit",
        &[],
        "`max_age` of the country database: from when on it is too old",
        |shown, to| {
            to.put_some(&[], shown.geo.as_ref().map(|geo| geo.max_age.as_secs()));
        },
    ),
    gauge(
        "geo_stale",
        &[],
        "1 where the country database is too old, and `geo_stale` of the policy counts",
        |shown, to| {
            to.put_some(&[], shown.geo.as_ref().map(|geo| geo.stale));
        },
    ),
    gauge(
        "geo_kept",
        &[],
        "1 where the last good copy of the country database is used in its place",
        |shown, to| {
            to.put_some(&[], shown.geo.as_ref().map(|geo| geo.kept.is_some()));
        },
    ),
    gauge("table_used", &["table", "unit"], "What the active generation uses of a table", |shown, to| {
        for table in &shown.status.tables {
            to.put(&[&table.name, &table.unit], table.used);
        }
    }),
    gauge("table_free", &["table", "unit"], "What a table has left", |shown, to| {
        for table in &shown.status.tables {
            to.put(&[&table.name, &table.unit], table.free);
        }
    }),
    gauge("table_capacity", &["table", "unit"], "Used and free of a table together", |shown, to| {
        for table in &shown.status.tables {
            to.put(&[&table.name, &table.unit], table.capacity);
        }
    }),
];

fn each_feed<N: Into<Number>>(
    shown: &Picture,
    to: &mut Samples<'_>,
    value: impl Fn(&crate::intent::FeedReport) -> Option<N>,
) {
    for (feed, _) in &shown.feeds {
        to.put_some(&[&feed.name], value(feed));
    }
}

const fn state(state: &FeedState) -> &'static str {
    match state {
        FeedState::Loaded => STATES[0],
        FeedState::Kept(_) => STATES[1],
        FeedState::Held(_) => STATES[2],
        FeedState::Disabled => STATES[3],
        FeedState::NotLoaded(_) => STATES[4],
    }
}
