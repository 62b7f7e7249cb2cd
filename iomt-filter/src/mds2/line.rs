//! What one line says: who opens, to which ports, with whom.

use super::column::{Column, plain};
use super::import::Ground;
use super::ports::{self, Transport};
use super::table::{Row, Table};
use crate::contacts::Direction;
use crate::foreign::shown;
use crate::policy::peer;
use crate::policy::service::{ICMP, ICMPV6, PortRange};

/// Words for who opens, in the form of [`plain`].
const IN: &[&str] = &["in", "inbound", "incoming", "ingress", "listen", "listening", "server", "to device"];
const OUT: &[&str] = &["out", "outbound", "outgoing", "egress", "client", "from device"];
const BOTH: &[&str] = &[
    "both",
    "bidirectional",
    "bi directional",
    "in out",
    "out in",
    "inbound outbound",
    "outbound inbound",
    "two way",
    "incoming outgoing",
    "in and out",
    "inbound and outbound",
];
const YES: &[&str] = &["yes", "y", "true", "x", "1", "ja", "open", "enabled", "on", "active", "used"];
const NO: &[&str] =
    &["no", "n", "false", "0", "nein", "closed", "disabled", "off", "inactive", "unused", "blocked"];

/// A line that is clear.
pub(super) struct Opening {
    pub(super) direction: Direction,
    /// As rules write them.
    pub(super) peers: Vec<String>,
    pub(super) ranges: Vec<PortRange>,
    /// What the line says in words.
    pub(super) said: String,
}

/// What a line comes to.
pub(super) enum Meaning {
    /// These openings, and what is passed over for them.
    Opens(Vec<Opening>, Vec<String>),
    /// None, as it says itself.
    Nothing(String),
}

/// Reads a line.
///
/// # Errors
/// When it is not clear, with what to do about it.
pub(super) fn meaning(table: &Table, row: &Row, ground: &Ground<'_>) -> Result<Meaning, String> {
    if let Some((width, cells)) = table.excess(row) {
        return Err(format!(
            "it has {cells} cells below {width} titles: quote a cell that holds the delimiter"
        ));
    }
    if let Some(state) = table.cell(row, Column::State) {
        match yes_or_no(state) {
            Some(true) => {}
            Some(false) => return Ok(Meaning::Nothing(format!("it says `{}`", shown(state)))),
            None => {
                return Err(format!("`{}` does not say whether it is in use: write yes or no", shown(state)));
            }
        }
    }
    let mut notes = Vec::new();
    let mut openings = Vec::new();
    for direction in directions(table, row, ground, &mut notes)? {
        let ranges = ranges(table, row, direction, ground, &mut notes)?;
        let (far, peers) = far(table, row, direction, ground)?;
        let words =
            [Column::Service, Column::Purpose].into_iter().filter_map(|column| table.cell(row, column));
        let mut said: Vec<String> = vec![shown(far)];
        said.extend(words.filter(|word| *word != far).map(shown));
        openings.push(Opening { direction, peers, ranges, said: said.join(", ") });
    }
    if openings.is_empty() {
        return Ok(Meaning::Nothing("it says that nobody opens".to_owned()));
    }
    Ok(Meaning::Opens(openings, notes))
}

fn yes_or_no(text: &str) -> Option<bool> {
    let text = plain(text);
    let is_in = |words: &[&str]| words.contains(&text.as_str());
    if is_in(YES) { Some(true) } else { is_in(NO).then_some(false) }
}

/// Who opens.
fn directions(
    table: &Table,
    row: &Row,
    ground: &Ground<'_>,
    notes: &mut Vec<String>,
) -> Result<Vec<Direction>, String> {
    let flag = |column: Column| match table.cell(row, column) {
        None => Ok(table.has(column).then_some(false)),
        Some(text) => match yes_or_no(text) {
            Some(says) => Ok(Some(says)),
            None => Err(format!("`{}` does not say who opens: write yes or no", shown(text))),
        },
    };
    let both = |notes: &mut Vec<String>| {
        if !ground.widen {
            return Err("both ways may mean answers or that both open: write `in` or `out`, and two lines where both do; \
                        `--widen` takes it for both"
                .to_owned());
        }
        notes.push("it is taken for both ways".to_owned());
        Ok(vec![Direction::FromDevice, Direction::ToDevice])
    };
    if let Some(text) = table.cell(row, Column::Direction) {
        let word = plain(text);
        return match word.as_str() {
            word if IN.contains(&word) => Ok(vec![Direction::ToDevice]),
            word if OUT.contains(&word) => Ok(vec![Direction::FromDevice]),
            word if BOTH.contains(&word) => both(notes),
            _ => Err(format!("`{}` does not say who opens: write `in` or `out`", shown(text))),
        };
    }
    match (flag(Column::Inbound)?, flag(Column::Outbound)?) {
        (Some(true), Some(true)) => both(notes),
        (Some(true), _) => Ok(vec![Direction::ToDevice]),
        (_, Some(true)) => Ok(vec![Direction::FromDevice]),
        (Some(false), Some(false)) => Ok(Vec::new()),
        _ => match ground.direction {
            Some(direction) => Ok(vec![direction]),
            None => Err("it does not say who opens: add a column `direction` with `in` or `out`, \
                         or say it of all such lines with `--direction`"
                .to_owned()),
        },
    }
}

/// To which ports.
fn ranges(
    table: &Table,
    row: &Row,
    direction: Direction,
    ground: &Ground<'_>,
    notes: &mut Vec<String>,
) -> Result<Vec<PortRange>, String> {
    let named = &ground.vocabulary.services;
    let (opened, other) = match direction {
        Direction::FromDevice => (Column::RemotePort, Column::LocalPort),
        Direction::ToDevice => (Column::LocalPort, Column::RemotePort),
    };
    let spoken = table.cell(row, Column::Service).and_then(|text| ports::service(text, named));
    let said = match (table.cell(row, Column::Protocol), &spoken) {
        (Some(text), _) => ports::transport(text, named),
        (None, Some(service)) => Transport::Spoken(service.clone()),
        (None, None) => Transport::Unsaid,
    };
    let source = [Column::SourcePort, other].into_iter().find_map(|column| table.cell(row, column));
    if let Some(source) = source.filter(|source| !ports::is_any(source)) {
        if !ground.widen {
            return Err(format!(
                "it goes by the port of who opens too (`{}`); `--widen` takes it for all of them",
                shown(source)
            ));
        }
        notes.push("it is taken for every port of who opens".to_owned());
    }
    let cell = [Column::DestinationPort, opened, Column::Port].into_iter().find_map(|it| table.cell(row, it));
    match (cell, said) {
        (Some(text), said) => ports::ports(text, &said, named),
        (None, Transport::Protocols(protocols))
            if protocols.iter().all(|it| matches!(*it, ICMP | ICMPV6)) =>
        {
            Ok(protocols.into_iter().map(|protocol| PortRange { protocol, first: 0, last: 0 }).collect())
        }
        (None, Transport::Spoken(service)) => Ok(service.ranges),
        (None, Transport::Unclear(why)) => Err(why),
        (None, _) => Err("it names no port that is opened to".to_owned()),
    }
}

/// With whom: the name that the line has for the other end, and the peers of the policy.
fn far<'r>(
    table: &Table,
    row: &'r Row,
    direction: Direction,
    ground: &Ground<'_>,
) -> Result<(&'r str, Vec<String>), String> {
    let end = match direction {
        Direction::FromDevice => Column::Destination,
        Direction::ToDevice => Column::Source,
    };
    let columns = [Column::Peer, end, Column::Service, Column::Purpose];
    let spoken = || {
        let protocol = table.cell(row, Column::Protocol)?;
        ports::service(protocol, &ground.vocabulary.services).map(|_| protocol)
    };
    let Some(name) = columns.into_iter().find_map(|column| table.cell(row, column)).or_else(spoken) else {
        return Err("it says nothing of the other end: add a column `peer`".to_owned());
    };
    if let Some(peers) = ground.bindings.peers(name) {
        let is_own = |peer: &&String| peer.strip_prefix("profile:") == Some(ground.profile);
        let others: Vec<String> = peers.iter().filter(|peer| !is_own(peer)).cloned().collect();
        let meant = ground.vocabulary.peers(&others);
        meant.map_err(|why| format!("the binding of `{}`: {}", shown(name), why.join("; ")))?;
        return Ok((name, peers.to_vec()));
    }
    if ground.vocabulary.endpoints.contains_key(name) {
        return Ok((name, vec![name.to_owned()]));
    }
    match peer::network(name) {
        Ok(network) if network.prefix_len() > 0 => Ok((name, vec![name.to_owned()])),
        _ => Err(format!(
            "`{}` is bound to nobody: add it to `[peers]` of the file of `--bindings`",
            shown(name)
        )),
    }
}
