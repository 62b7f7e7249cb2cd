//! Manufacturer usage descriptions (RFC 8520): what a maker says that a device needs, as rules of the policy, and rules
//! of the policy as such a file.
//!
//! The bytes of a file come in and are [`read`](read()) into a [`Mud`]; with the site's [`Bindings`] and the addresses of
//! its names, [`import`] makes an [`Imported`] of it. [`export`] goes the other way. A file is somebody else's: it is
//! bounded, nothing in it is guessed, and no text of it is shown as it stands. Nothing here reads a file, asks a name
//! server or looks at a clock.

mod bindings;
mod entry;
mod object;
mod ports;
mod read;
mod acl;
mod far;
mod import;
mod merge;
mod report;
mod document;
mod export;
mod validate;

pub use bindings::Bindings;
pub use export::{ExportError, Exported, Exporting, export};
pub use import::{Ground, import};
pub use read::{About, LARGEST, Mud, ReadError, read};
pub use report::{Answer, Imported, LeftOut, Rule};
pub use validate::validate;

/// Characters of somebody else's text that are shown at most.
const MOST_SHOWN: usize = 100;

/// A text of a file as it may be shown, cut where it is long.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => escaped(text.get(..end).unwrap_or_default()) + "…",
        None => escaped(text),
    }
}

/// A text without what moves a cursor, ends a line or turns the reading direction.
fn escaped(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || turns(c) { escaped.extend(c.escape_default()) } else { escaped.push(c) }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn texts_of_others_stay_in_their_line() {
        assert_eq!(shown("a\n]\u{1b}[2J\u{202e}é"), r"a\n]\u{1b}[2J\u{202e}é");
        assert_eq!(shown(&"x".repeat(500)).chars().count(), 101);
    }
}
