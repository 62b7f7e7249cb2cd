//! A plan for people: what would be cut first, then what is opened, then what changes.
//!
//! Names come from files that a person wrote: a control character in one must not reach a terminal.

use std::fmt;

use super::changes::{Changes, FieldChange, Items, RuleLine};
use super::lists::FeedChange;
use super::tables::TableChange;
use super::{KnownFrom, Plan, Turned};
use crate::output::Align::{Left, Right};
use crate::output::Table;

/// Talks, and lines of any other kind, that are shown one by one.
const MOST_SHOWN: usize = 20;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.valid {
            return f.write_str("invalid: nothing can be planned");
        }
        let (cuts, opens) = (self.cuts.len() + self.more_cuts, self.opens.len() + self.more_opens);
        let since = self.since;
        write!(f, "{cuts} of {} since {since:.0} would be cut", counted(self.contacts, "contact"))?;
        shown(f, &self.cuts, cuts)?;
        if opens > 0 {
            write!(
                f,
                "\n\n{opens} that {} dropped or reported would pass",
                if opens == 1 { "is" } else { "are" }
            )?;
            shown(f, &self.opens, opens)?;
        }
        if self.newly_reported > 0 {
            write!(
                f,
                "\n\n{} would pass, and be reported as would-drop",
                counted(self.newly_reported, "contact")
            )?;
        }
        if self.not_judged > 0 {
            let count = counted(self.not_judged, "contact");
            write!(
                f,
                "\n\n{count} cannot be judged: of devices, or from addresses, that nobody knows any more"
            )?;
        }
        let generation = self.generation.map(|number| format!(", generation {number}")).unwrap_or_default();
        let compared_with = match self.compared_with.as_str() {
            "agent" => "what the agent has loaded",
            "files" => "the files of the configuration",
            _ => "nothing but what devices did",
        };
        write!(f, "\n\ncompared with {compared_with}{generation}")?;
        if self.changes.is_empty() && self.compared_with != "history" {
            f.write_str(", nothing changes")?;
        }
        let changes = self.changes.to_string();
        if changes.is_empty() { Ok(()) } else { write!(f, "\n{changes}") }
    }
}

fn shown(f: &mut fmt::Formatter<'_>, talks: &[Turned], count: usize) -> fmt::Result {
    if talks.is_empty() {
        return Ok(());
    }
    let mut table = Table::new([
        ("device", Left),
        ("profile", Left),
        ("", Left),
        ("peer", Left),
        ("service", Left),
        ("last seen", Left),
        ("packets", Right),
        ("reason", Left),
        ("why", Left),
    ]);
    talks.iter().take(MOST_SHOWN).for_each(|talk| table.row(row(talk)));
    write!(f, "\n{table}")?;
    match count.saturating_sub(MOST_SHOWN) {
        0 => Ok(()),
        more => write!(f, "\nand {more} more"),
    }
}

fn row(talk: &Turned) -> [String; 9] {
    let peer = match &talk.endpoint {
        Some(name) => format!("{} ({name})", talk.peer),
        None => talk.peer.clone(),
    };
    let arrow = if talk.direction == "to-device" { "←" } else { "→" };
    let last_seen = match talk.known_from {
        KnownFrom::Flows => "now".to_owned(),
        KnownFrom::History | KnownFrom::Events => format!("{:.0}", talk.last_seen),
    };
    [
        talk.device.clone(),
        talk.profile.clone().unwrap_or_else(|| "-".to_owned()),
        arrow.to_owned(),
        peer,
        talk.service.clone(),
        last_seen,
        talk.packets.to_string(),
        talk.reason.clone(),
        talk.why.clone(),
    ]
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        for (what, items) in [
            ("device", &self.devices),
            ("profile", &self.profiles),
            ("endpoint", &self.endpoints),
            ("service", &self.services),
        ] {
            lines.extend(of_items(what, items));
        }
        let rule =
            |sign: &str, it: &RuleLine| format!("rule      {sign} {}   {}:{}", it.rule, it.file, it.line);
        lines.extend(cut_off(self.rules.added.iter().map(|it| rule("+", it)).collect()));
        lines.extend(cut_off(self.rules.removed.iter().map(|it| rule("-", it)).collect()));
        lines.extend(self.settings.iter().map(|change| format!("setting   ~ {change}")));
        lines.extend(cut_off(self.feeds.iter().map(|it| format!("feed      ~ {it}")).collect()));
        let rows: Vec<_> = self.rows.iter().map(|it| format!("{} {}", it.changed, it.what)).collect();
        if !rows.is_empty() {
            lines.push(format!("rows      ~ {}", rows.join(", ")));
        }
        lines.extend(of_tables(&self.tables));
        f.write_str(&plain(&lines.join("\n")))
    }
}

fn of_tables(tables: &[TableChange]) -> impl Iterator<Item = String> {
    let differ =
        |table: &&TableChange| !table.fits() || table.before.is_some() && table.before != table.after;
    tables.iter().filter(differ).map(|table| format!("table     ~ {table}"))
}

fn of_items(what: &str, items: &Items) -> Vec<String> {
    let line = |sign: &str, rest: String| format!("{what:<9} {sign} {rest}");
    let mut lines = cut_off(items.added.iter().map(|name| line("+", name.clone())).collect());
    lines.extend(cut_off(items.removed.iter().map(|name| line("-", name.clone())).collect()));
    let change = |name: &str, fields: &[FieldChange]| {
        let fields: Vec<_> = fields.iter().map(ToString::to_string).collect();
        line("~", format!("{name}: {}", fields.join("; ")))
    };
    lines.extend(cut_off(items.changed.iter().map(|it| change(&it.name, &it.fields)).collect()));
    lines
}

/// The first of many lines, and how many others there are.
fn cut_off(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(MOST_SHOWN);
    if more > 0 {
        lines.truncate(MOST_SHOWN);
        lines.push(format!("          and {more} more"));
    }
    lines
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |text: &str| if text.is_empty() { "none" } else { text }.to_owned();
        write!(f, "{} {} → {}", self.field, or_none(&self.before), or_none(&self.after))
    }
}

impl fmt::Display for FeedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { feed, before, after, added, removed } = self;
        write!(f, "{feed}: +{added} -{removed} entries")?;
        match (before, after) {
            (Some(before), Some(after)) => write!(f, ", {before} → {after}"),
            (None, _) => f.write_str(", new"),
            (_, None) => f.write_str(", no longer read"),
        }
    }
}

impl fmt::Display for TableChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number =
            |number: Option<usize>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
        write!(f, "{}: {} → {}", self.table, number(self.before), number(self.after))?;
        if let Some(room) = self.room {
            write!(f, " of {room}")?;
        }
        write!(f, " {}", self.unit)?;
        if self.fits() { Ok(()) } else { f.write_str(", does not fit") }
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect()
}
