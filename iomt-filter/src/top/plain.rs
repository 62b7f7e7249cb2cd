//! Texts as a terminal can show them: what files, feeds and frames bring with them may hold its control sequences.
//!
//! Any text comes in; what goes out takes as many columns as is said here, and moves nothing else on the screen.

use unicode_width::UnicodeWidthChar as _;

/// The text without what a terminal would obey, or draw outside of its column: control characters, those that change the
/// direction of text, and those that are drawn over another become `?`.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if columns(c) == 0 { '?' } else { c }).collect()
}

/// Columns that a text takes; it is [`plain`].
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Columns of a character; none where it has no place of its own.
fn columns(c: char) -> usize {
    // Soft hyphens and jamo that join to one syllable have a width that terminals do not agree on.
    let is_joining = matches!(c, '\u{ad}' | '\u{1160}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7ff}' | '\u{fe0f}');
    if c.is_control() || is_joining { 0 } else { c.width().unwrap_or(0) }
}

/// On which side of its column a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// The text in exactly `room` columns, cut with `…` where it is longer.
#[must_use]
pub fn fitted(text: &str, room: usize, side: Side) -> String {
    let text = plain(text);
    let shown = if width(&text) <= room { text } else { cut(&text, room) };
    let blank = " ".repeat(room - width(&shown));
    match side {
        Side::Left => shown + &blank,
        Side::Right => blank + &shown,
    }
}

fn cut(text: &str, room: usize) -> String {
    let Some(room) = room.checked_sub(1) else { return String::new() };
    let mut used = 0;
    let fits = |c: &char| {
        used += columns(*c);
        used <= room
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// The text in lines of at most `room` columns, broken between words where there are any.
#[must_use]
pub fn wrapped(text: &str, room: usize) -> Vec<String> {
    let room = room.max(1);
    let text = plain(text);
    // A character may be two columns wide.
    let most = (room / 2).min(room.saturating_sub(2));
    let indent: String = text.chars().take_while(|c| *c == ' ').take(most).collect();
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.trim_start_matches(' ').split(' ') {
        let gap = if line.is_empty() { &indent } else { " " };
        if width(&line) + width(gap) + width(word) <= room {
            line += gap;
            line += word;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        line.clone_from(&indent);
        for c in word.chars() {
            if width(&line) + columns(c) > room {
                lines.push(std::mem::replace(&mut line, indent.clone()));
            }
            line.push(c);
        }
    }
    lines.push(line);
    lines
}

/// A number in at most six columns: `9999`, `12.3k`, `1.2M`.
#[must_use]
pub fn short(number: f64) -> String {
    const UNITS: [(f64, &str); 5] = [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    if number < 9_999.5 {
        return if number > 0.0 && number < 9.95 { format!("{number:.1}") } else { format!("{number:.0}") };
    }
    let (size, unit) = UNITS.into_iter().find(|(size, _)| number >= *size).unwrap_or((1.0, ""));
    format!("{:.1}{unit}", number / size)
}

/// The same of a count.
#[must_use]
pub fn count(number: u64) -> String {
    if number < 10_000 { number.to_string() } else { short(number as f64) }
}

/// A length of time in two units at most: `42s`, `4m12s`, `3h05m`, `12d4h`.
#[must_use]
pub fn lasting(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match () {
        () if minutes == 0 => format!("{seconds}s"),
        () if hours == 0 => format!("{minutes}m{:02}s", seconds % 60),
        () if days == 0 => format!("{hours}h{:02}m", minutes % 60),
        () if days < 100 => format!("{days}d{}h", hours % 24),
        () => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_as_a_question_mark() {
        assert_eq!(plain("ct\u{1b}[2J\u{7}\u{9b}3\r\n"), "ct?[2J??3??");
        assert_eq!(plain("a\u{202e}b\u{2066}c\u{200b}d\u{301}"), "a?b?c?d?");
        assert_eq!(plain("Röntgen 超音波"), "Röntgen 超音波");
    }

    #[test]
    fn a_cell_is_as_wide_as_it_is_said_to_be() {
        for text in ["", "ct-3", "超音波診断装置", "a超b", "🩻🩻🩻", "\u{1b}[31mred", "e\u{301}\u{301}"]
        {
            for room in 0..12 {
                for side in [Side::Left, Side::Right] {
                    assert_eq!(width(&fitted(text, room, side)), room, "{text:?} in {room}");
                }
            }
        }
        assert_eq!(fitted("ultrasound", 6, Side::Left), "ultra…");
        assert_eq!(fitted("12", 5, Side::Right), "   12");
    }

    #[test]
    fn long_texts_are_broken_between_words_and_long_words_within() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("  one two three", 7), ["  one", "  two", "  three"]);
        assert_eq!(wrapped("0123456789", 4), ["0123", "4567", "89"]);
        assert_eq!(wrapped("", 4), [""]);
        for room in 0..9 {
            let lines = wrapped("   超音波 診断装置 and a\u{1b}[2Jlong-long-word", room);
            assert!(lines.iter().all(|line| width(line) <= room.max(2)), "{room}: {lines:?}");
        }
    }

    #[test]
    fn numbers_and_times_stay_short() {
        let shown = [0.0, 0.4, 12.0, 9_999.0, 12_345.0, 1.25e6, 3e9, 1.8e19].map(short);
        assert_eq!(shown, ["0", "0.4", "12", "9999", "12.3k", "1.2M", "3.0G", "18000.0P"]);
        let shown = [0, 59, 252, 11_100, 1_051_200].map(lasting);
        assert_eq!(shown, ["0s", "59s", "4m12s", "3h05m", "12d4h"]);
    }
}
