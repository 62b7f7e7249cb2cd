//! `iomt-filter feed list`, `show`, `refresh` and `release`: how feeds stand, and what an operator does about it.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::api::client;
use crate::api::messages::{Changed, RefreshRequest, Refreshing, ReleaseRequest};
use crate::cli::{FINDING, Output};
use crate::cmd::{socket, told};
use crate::output::Align::{Left, Right};
use crate::output::{self, Table};

/// How long `refresh` waits for feeds to be fetched: as long as a fetch may take.
const PATIENCE: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(100);
/// Lines and entries that `show` prints of each kind.
const SHOWN: usize = 20;

/// Options of `feed refresh`.
#[derive(Debug, Args)]
pub struct Refresh {
    /// The feed; all where nothing is said
    name: Option<String>,
    /// Do not wait until they are fetched
    #[arg(long)]
    no_wait: bool,
    /// Why, for the audit log
    #[arg(long, value_parser = crate::cmd::note)]
    note: Option<String>,
}

/// Options of `feed show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The feed
    name: String,
}

/// Options of `feed release`.
#[derive(Debug, Args)]
pub struct Release {
    /// The feed
    name: String,
    /// Why, for the audit log
    #[arg(long, value_parser = crate::cmd::note)]
    note: Option<String>,
}

/// Lists feeds.
///
/// # Errors
/// When no agent answers.
pub fn list(config: &Path, output: Output) -> Result<ExitCode> {
    let feeds = feeds(&socket(config)?)?;
    match output {
        Output::Json => output::document(&feeds)?,
        Output::Text => output::text(table(&feeds))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows all that is known of a feed.
///
/// # Errors
/// When no agent answers, or there is no such feed.
pub fn show(config: &Path, options: &Show, output: Output) -> Result<ExitCode> {
    let feed = one(&feeds(&socket(config)?)?, &options.name)?;
    match output {
        Output::Json => output::document(&feed)?,
        Output::Text => output::text(shown(&feed))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Has feeds fetched now, and says how they stand then. A feed that cannot be had, or is held, is a finding.
///
/// # Errors
/// When no agent answers, or there is no such feed.
pub fn refresh(config: &Path, options: &Refresh, output: Output) -> Result<ExitCode> {
    let socket = socket(config)?;
    let request = RefreshRequest { name: options.name.clone(), note: options.note.clone() };
    let refreshing: Refreshing = match client::post(&socket, "/v1/feeds/refresh", &request)? {
        Ok(refreshing) => refreshing,
        Err(refused) => bail!("{}", refused.errors.join("; ")),
    };
    let begun = Instant::now();
    let asked = loop {
        let mut asked = feeds(&socket)?;
        asked.retain(|feed| refreshing.feeds.iter().any(|name| text(feed, "name") == *name));
        let waits = asked.iter().any(|feed| feed.get("fetching") == Some(&Value::Bool(true)));
        if options.no_wait || !waits {
            break asked;
        }
        if begun.elapsed() > PATIENCE {
            bail!("the feeds are still being fetched; `iomt-filter feed list` shows how they stand");
        }
        std::thread::sleep(PAUSE);
    };
    match output {
        Output::Json => output::document(&asked)?,
        Output::Text => output::text(table(&asked))?,
    }
    let is_finding =
        |feed: &Value| feed.get("error").is_some_and(|it| !it.is_null()) || count(feed, "held") > 0;
    let is_finding = !options.no_wait && asked.iter().any(is_finding);
    Ok(if is_finding { ExitCode::from(FINDING) } else { ExitCode::SUCCESS })
}

/// Lets a list through that is held.
///
/// # Errors
/// When no agent answers, or the caller may not change anything.
pub fn release(config: &Path, options: &Release, output: Output) -> Result<ExitCode> {
    let request = ReleaseRequest { name: options.name.clone(), note: options.note.clone() };
    let answer = client::post(&socket(config)?, "/v1/feeds/release", &request)?;
    told(answer, output, |changed: &Changed| {
        format!("released, {} rows changed, generation {}", changed.changed, changed.generation)
    })
}

fn feeds(socket: &Path) -> Result<Vec<Value>> {
    client::get(socket, "/v1/feeds")
}

fn one(feeds: &[Value], name: &str) -> Result<Value> {
    match feeds.iter().find(|feed| text(feed, "name") == name) {
        Some(feed) => Ok(feed.clone()),
        None => {
            let known: Vec<_> = feeds.iter().map(|feed| text(feed, "name")).collect();
            bail!("no feed `{name}`; there are {}", known.join(", "))
        }
    }
}

fn table(feeds: &[Value]) -> Table<8> {
    let mut table = Table::new([
        ("feed", Left),
        ("state", Left),
        ("entries", Right),
        ("domains", Right),
        ("spared", Right),
        ("faulty", Right),
        ("read", Left),
        ("next", Left),
    ]);
    for feed in feeds {
        table.row(
            ["name", "state", "entries", "domains", "spared", "faulty", "read", "next"]
                .map(|key| text(feed, key)),
        );
    }
    table
}

fn shown(feed: &Value) -> String {
    let mut lines = vec![format!("{}: {}", text(feed, "name"), text(feed, "state"))];
    let mut field = |name: &str, key: &str| {
        if !matches!(feed.get(key), None | Some(Value::Null)) {
            lines.push(format!("  {name:<12}{}", text(feed, key)));
        }
    };
    for (name, key) in [
        ("why", "reason"),
        ("source", "source"),
        ("format", "format"),
        ("entries", "entries"),
        ("domains", "domains"),
        ("gone", "gone"),
        ("spared", "spared"),
        ("faulty", "faulty"),
        ("ignored", "ignored"),
        ("updated", "updated"),
        ("read", "read"),
        ("attempted", "attempted"),
        ("next", "next"),
        ("failures", "failures"),
        ("error", "error"),
        ("released by", "released"),
    ] {
        field(name, key);
    }
    if count(feed, "held") > 0 {
        let (entries, since) = (text(feed, "held_entries"), text(feed, "held_since"));
        lines.push(format!("  held: a list of {entries} entries waits since {since}:"));
        lines.extend(items(feed, "held").map(|held| format!("    {}", plain(held))));
    }
    let line = |line: &Value| {
        format!("line {}: `{}`: {}", text(line, "line"), text(line, "text"), text(line, "reason"))
    };
    let spared = |removed: &Value| {
        let (entry, part, reason) = (text(removed, "entry"), text(removed, "part"), text(removed, "reason"));
        if entry == part {
            format!("`{entry}`: {reason}")
        } else {
            format!("`{part}` of `{entry}`: {reason}")
        }
    };
    if let Some(account) = feed.get("held_account").filter(|account| account.is_object()) {
        section(
            &mut lines,
            "its lines that are no entries",
            account,
            "rejected",
            number(account, "rejected_lines"),
            &line,
        );
        section(&mut lines, "spared of it", account, "spared", number(account, "spared_entries"), &spared);
    }
    lines.extend(items(feed, "warnings").map(|warning| format!("  warning: {}", plain(warning))));
    let rejected = number(feed, "faulty") + number(feed, "ignored");
    section(&mut lines, "lines that are no entries", feed, "rejected", rejected, &line);
    section(&mut lines, "put right", feed, "notes", 0, &line);
    section(&mut lines, "spared", feed, "removed", number(feed, "spared"), &spared);
    lines.join("\n")
}

/// The first items of a kind, and how many more there are.
fn section(
    lines: &mut Vec<String>,
    title: &str,
    of: &Value,
    key: &str,
    total: usize,
    shown: &dyn Fn(&Value) -> String,
) {
    let all = count(of, key).max(total);
    if all == 0 {
        return;
    }
    lines.push(format!("  {title}:"));
    lines.extend(items(of, key).take(SHOWN).map(|item| format!("    {}", shown(item))));
    if all > SHOWN {
        lines.push(format!("    and {} more", all - SHOWN));
    }
}

fn items<'f>(feed: &'f Value, key: &str) -> impl Iterator<Item = &'f Value> {
    feed.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn count(feed: &Value, key: &str) -> usize {
    items(feed, key).count()
}

fn number(feed: &Value, key: &str) -> usize {
    feed.get(key).and_then(Value::as_u64).map_or(0, |number| usize::try_from(number).unwrap_or(usize::MAX))
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).map_or_else(|| "-".to_owned(), plain)
}

/// What feeds say must not reach a terminal with control characters in it.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) if text.contains('T') => match text.parse::<Timestamp>() {
            Ok(time) => format!("{time:.0}"),
            Err(_) => text.clone(),
        },
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
