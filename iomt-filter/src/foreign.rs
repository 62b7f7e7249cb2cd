//! Text of others as it may be shown: cut where it is long, and nothing in it moves a cursor or ends a line.

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
pub(crate) fn escaped(text: &str) -> String {
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
