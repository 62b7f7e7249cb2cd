//! Feeds and the country database, as status tells of them.

use serde_json::Value;

use crate::api::messages::Status;

/// A feed as it is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeedRow {
    /// Its name.
    pub name: String,
    /// `loaded`, `kept`, `held`, `not-loaded` or `disabled`; of the country database `loaded` or `stale`.
    pub state: String,
    /// Seconds since its content was changed.
    pub age: Option<u64>,
    /// Entries.
    pub entries: Option<u64>,
    /// What more there is to be said of it, a sentence each.
    pub remarks: Vec<String>,
}

impl FeedRow {
    /// All of them.
    #[must_use]
    pub fn all(status: &Status) -> Vec<Self> {
        status.feeds.iter().map(feed).chain(status.geo.as_ref().map(geo)).collect()
    }

    /// Whether it does what it is there for.
    #[must_use]
    pub fn is_well(&self) -> bool {
        matches!(self.state.as_str(), "loaded" | "disabled")
    }
}

fn feed(feed: &Value) -> FeedRow {
    let lines = |key| texts(feed, key).map(move |line| format!("{key}: {line}"));
    let one = |key| text(feed, key).map(|text| format!("{key}: {text}"));
    let number = |key| feed.get(key).and_then(Value::as_u64).filter(|number| *number > 0);
    let numbers = ["domains", "faulty", "ignored", "spared"].into_iter();
    let numbers = numbers.filter_map(|key| number(key).map(|number| format!("{key}: {number}")));
    let one = ["source", "format", "updated", "read", "reason", "released"].into_iter().filter_map(one);
    FeedRow {
        name: text(feed, "name").unwrap_or_default(),
        state: text(feed, "state").unwrap_or_default(),
        age: feed.get("age").and_then(Value::as_u64),
        entries: feed.get("entries").and_then(Value::as_u64),
        remarks: one.chain(numbers).chain(lines("held")).chain(lines("warnings")).collect(),
    }
}

fn geo(geo: &Value) -> FeedRow {
    let is_stale = geo.get("stale").and_then(Value::as_bool) == Some(true);
    let remark = |key: &str| Some(format!("{key}: {}", geo.get(key).filter(|value| !value.is_null())?));
    FeedRow {
        name: "(countries)".to_owned(),
        state: if is_stale { "stale" } else { "loaded" }.to_owned(),
        age: geo.get("age_days").and_then(Value::as_u64).map(|days| days * 86_400),
        entries: geo.get("prefixes").and_then(Value::as_u64),
        remarks: ["path", "max_age_days", "on_stale"].into_iter().filter_map(remark).collect(),
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn texts<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v str> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}
