//! Errors and warnings with their place in a file, as a person reads them.
//!
//! A [`SourceFile`] goes in with byte spans, [`Diagnostic`]s come out. Nothing here reads a file or
//! prints; [`Display`](fmt::Display) gives plain text without colour.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Whether something cannot be used, or only deserves a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is loaded.
    Error,
    /// It is loaded as it stands.
    Warning,
}

/// A spot in a file that the user wrote. Lines and columns count from 1; line 0 is the whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, as the user named it.
    pub file: Arc<str>,
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
    /// Characters that are meant, at least 1.
    pub width: u32,
    /// The line itself.
    pub snippet: String,
}

impl Place {
    /// A file as a whole.
    pub fn file(name: &str) -> Self {
        Self { file: name.into(), ..Self::default() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}

/// One error or warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How grave.
    pub severity: Severity,
    /// The file; empty where it is about none.
    pub file: String,
    /// Line from 1; 0 where it is about the whole file.
    pub line: u32,
    /// Column from 1, in characters; 0 with line 0.
    pub column: u32,
    /// Characters from there on that are meant; 0 with line 0.
    pub width: u32,
    /// The line itself.
    pub snippet: String,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
    /// A second place, and what is there.
    pub note: Option<String>,
}

impl Diagnostic {
    /// An error at `place`.
    pub fn error(place: &Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, place, message.into())
    }

    /// A warning at `place`.
    pub fn warning(place: &Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, place, message.into())
    }

    /// With what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With a second place.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Whether this stops the load.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    fn new(severity: Severity, place: &Place, message: String) -> Self {
        Self {
            severity,
            file: place.file.to_string(),
            line: place.line,
            column: place.column,
            width: place.width,
            snippet: place.snippet.clone(),
            message,
            help: None,
            note: None,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", self.message)?;
        let number = self.line.to_string();
        let gutter = " ".repeat(if self.line == 0 { 1 } else { number.len() });
        if self.line != 0 {
            write!(f, "\n{gutter}--> {}:{}:{}", self.file, self.line, self.column)?;
            let indent: String = self
                .snippet
                .chars()
                .take(self.column.saturating_sub(1) as usize)
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            let caret = "^".repeat(self.width.max(1) as usize);
            write!(f, "\n{gutter} |\n{number} | {}\n{gutter} | {indent}{caret}", self.snippet)?;
        } else if !self.file.is_empty() {
            write!(f, "\n{gutter}--> {}", self.file)?;
        }
        if let Some(note) = &self.note {
            write!(f, "\n{gutter} = note: {note}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n{gutter} = help: {help}")?;
        }
        Ok(())
    }
}

/// A text with its name, which turns byte spans into places.
#[derive(Clone, Debug)]
pub struct SourceFile {
    name: Arc<str>,
    text: String,
    line_starts: Vec<usize>,
}

impl SourceFile {
    /// `name` is shown as it is given.
    pub fn new(name: &str, text: impl Into<String>) -> Self {
        let text = text.into();
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(index, _)| index + 1)).collect();
        Self { name: name.into(), text, line_starts }
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The place of a byte span. A span over several lines is cut to its first.
    pub fn place(&self, span: Range<usize>) -> Place {
        let start = span.start.min(self.text.len());
        let line = self.line_starts.partition_point(|&first| first <= start).saturating_sub(1);
        let first = self.line_starts.get(line).copied().unwrap_or(0);
        let snippet = self.text.get(first..).unwrap_or_default().lines().next().unwrap_or_default();
        let column = self.text.get(first..start).map_or(0, |before| before.chars().count());
        let end = span.end.clamp(start, first + snippet.len().max(start - first));
        let width = self.text.get(start..end).map_or(1, |marked| marked.chars().count());
        Place {
            file: self.name.clone(),
            line: line as u32 + 1,
            column: column as u32 + 1,
            width: width.max(1) as u32,
            snippet: snippet.to_owned(),
        }
    }

    /// The place of a whole line, counted from 1.
    pub fn line(&self, line: u32) -> Place {
        let start = self.line_starts.get(line.saturating_sub(1) as usize).copied().unwrap_or(0);
        let length = self.text.get(start..).and_then(|rest| rest.lines().next()).map_or(0, str::len);
        self.place(start..start + length)
    }

    /// The file as a whole.
    pub fn whole(&self) -> Place {
        Place { file: self.name.clone(), ..Place::default() }
    }
}

/// Splits what was found into warnings to show, or everything where there is an error among it.
pub fn unless_errors(found: Vec<Diagnostic>) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    if found.iter().any(Diagnostic::is_error) { Err(found) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendered_like_a_compiler() {
        let file = SourceFile::new("policy.toml", "version = 1\r\n\tallow = \"dicmo\"\r\n");
        let span = file.text().find("\"dicmo\"").map(|at| at..at + 7).unwrap();
        let shown =
            Diagnostic::error(&file.place(span), "unknown service `dicmo`").help("did you mean `dicom`?");
        assert_eq!(
            shown.to_string(),
            "error: unknown service `dicmo`\n --> policy.toml:2:10\n  |\n2 | \tallow = \"dicmo\"\n  | \t        ^^^^^^^\n  = help: did you mean `dicom`?"
        );
    }

    #[test]
    fn spans_beyond_the_text_do_no_harm() {
        let file = SourceFile::new("x", "é");
        for span in [0..9, 1..2, 7..9, Range { start: 9, end: 7 }] {
            let _ = Diagnostic::error(&file.place(span), "x").to_string();
        }
        let _ = file.line(77);
    }
}
