//! Figures with a name and a unit, as tables and as JSON.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use crate::machine::Machine;

/// One of them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// What it says, where name and unit do not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) note: String,
}

/// A figure without a note.
pub(crate) fn figure(name: impl Into<String>, value: f64, unit: &'static str) -> Figure {
    Figure { name: name.into(), value, unit, note: String::new() }
}

impl Figure {
    /// The same with a note.
    pub(crate) fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }
}

/// One aligned table, below what it says of itself.
pub(crate) fn table(machine: &Machine, about: &str, figures: &[Figure]) -> String {
    let mut text = format!("{machine}\n{about}\n\n");
    for Figure { name, value, unit, note } in figures {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<80} {value:>8.2} {unit:<10} {note}");
    }
    text
}

/// One document.
pub(crate) fn json(machine: &Machine, about: &str, figures: &[Figure]) -> Result<String> {
    let document = json!({ "machine": machine, "about": about, "figures": figures });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}
