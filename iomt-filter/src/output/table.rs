//! Tables for people: columns as wide as their widest cell, two spaces between them, no frame.

use std::fmt;

const GAP: &str = "  ";

/// On which side of a column its cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows of cells under a heading.
#[derive(Clone, Debug)]
pub struct Table<const N: usize> {
    heading: [(&'static str, Align); N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// An empty table; headings are shown in capitals.
    #[must_use]
    pub const fn new(heading: [(&'static str, Align); N]) -> Self {
        Self { heading, rows: Vec::new() }
    }

    /// Adds a row. A control character would break the columns, or the terminal: it becomes `?`.
    pub fn row(&mut self, cells: [String; N]) {
        let plain = |c: char| if c.is_control() { '?' } else { c };
        self.rows.push(cells.map(|cell| cell.chars().map(plain).collect()));
    }

    /// Whether there is no row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn widths(&self) -> [usize; N] {
        let mut widths = self.heading.map(|(name, _)| name.chars().count());
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        widths
    }
}

/// The heading and all rows, without a line end behind the last.
impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let aligns = self.heading.map(|(_, align)| align);
        let heading = self.heading.map(|(name, _)| name.to_uppercase());
        f.write_str(&line(&heading, widths, aligns))?;
        for row in &self.rows {
            write!(f, "\n{}", line(row, widths, aligns))?;
        }
        Ok(())
    }
}

fn line<const N: usize>(cells: &[String; N], widths: [usize; N], aligns: [Align; N]) -> String {
    let padded = cells.iter().zip(widths).zip(aligns).map(|((cell, width), align)| match align {
        Align::Left => format!("{cell:<width$}"),
        Align::Right => format!("{cell:>width$}"),
    });
    let line = padded.collect::<Vec<_>>().join(GAP);
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_with_their_last_word() {
        let mut table =
            Table::new([("device", Align::Left), ("dropped", Align::Right), ("mode", Align::Left)]);
        table.row(["ct-3".into(), "12".into(), "enforce".into()]);
        table.row(["bedside-monitor\u{1b}".into(), "1048576".into(), String::new()]);
        let shown = table.to_string();
        let expected = [
            "DEVICE            DROPPED  MODE",
            "ct-3                   12  enforce",
            "bedside-monitor?  1048576",
        ];
        assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
        assert!(!table.is_empty());
    }
}
