//! Whether a log is whole: every line as it was written, none missing, up to the one that was written last.
//!
//! Lines come in one by one, as they are; what is wrong goes out.

use std::io::BufRead;

use thiserror::Error;

use super::mark::Mark;
use super::{Line, hash};

/// What is wrong with a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// It cannot be read up to here.
    #[error("cannot be read")]
    Unreadable,
    /// A line is no line of a log.
    #[error("is no entry")]
    NoEntry,
    /// A line was moved, or put in between.
    #[error("does not follow on the line before it")]
    Unordered,
    /// Lines before this one are not there.
    #[error("does not follow on the line before it: numbers {from} to {to} are missing")]
    Missing {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// A line is not what was written.
    #[error("was changed")]
    Changed,
    /// Its beginning is gone.
    #[error("begins with line {0}; the {before} before it are missing", before = .0.saturating_sub(1))]
    Begins(u64),
    /// Its end is gone.
    #[error("ends with line {last}, and {written} were written; those in between are missing")]
    Ends {
        /// The last one that is there.
        last: u64,
        /// The last one that was written.
        written: u64,
    },
    /// Another line has the number of the one that was written last.
    #[error("is another one than was written: line {0} has another hash")]
    Another(u64),
    /// There is no line.
    #[error("has no line, and the start of an agent is one")]
    Empty,
}

impl Fault {
    /// Whether it is about the log, and not about one of its lines.
    #[must_use]
    pub const fn is_of_all(self) -> bool {
        matches!(self, Self::Begins(_) | Self::Ends { .. } | Self::Another(_) | Self::Empty)
    }
}

/// A fault, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which line of the file, from 1.
    pub line: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// What a look at the whole log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Lines from the first on until one is not as it was written.
    pub lines: u64,
    /// The last of them. Somebody who keeps it elsewhere notices whatever is done to the log.
    pub last: Mark,
    /// What is wrong, in order. Nothing is looked for behind a line that is none, or was changed or moved.
    pub broken: Vec<Broken>,
}

/// A look at a log, line by line.
#[derive(Clone, Debug)]
pub struct Check {
    lines: u64,
    last: Mark,
    /// What was written last, as far as that is known.
    written: Option<Mark>,
    is_another: bool,
    is_over: bool,
    broken: Vec<Broken>,
}

impl Check {
    /// Of a log of which `written` is known to have been written.
    #[must_use]
    pub fn begin(written: Option<Mark>) -> Self {
        Self {
            lines: 0,
            last: Mark::default(),
            written,
            is_another: false,
            is_over: false,
            broken: Vec::new(),
        }
    }

    /// Takes the next line, without its end.
    pub fn line(&mut self, text: &[u8]) {
        if self.is_over {
            return;
        }
        let Ok(line) = serde_json::from_slice::<Line>(text) else { return self.end_with(Fault::NoEntry) };
        let (sequence, follows) = (line.sequence, self.last.sequence.saturating_add(1));
        if sequence > follows {
            let missing = Fault::Missing { from: follows, to: sequence.saturating_sub(1) };
            let fault = if self.lines == 0 { Fault::Begins(sequence) } else { missing };
            self.broken.push(Broken { line: self.lines.saturating_add(1), fault });
        } else if sequence < follows || line.previous != self.last.hash {
            return self.end_with(Fault::Unordered);
        }
        // A field that was added is in no hash.
        if line.hash != hash(&line) || serde_json::to_vec(&line).ok().as_deref() != Some(text) {
            return self.end_with(Fault::Changed);
        }
        let is_of = |written: &Mark| written.sequence == sequence && written.hash != line.hash;
        self.is_another |= self.written.as_ref().is_some_and(is_of);
        self.lines = self.lines.saturating_add(1);
        self.last = Mark { sequence, hash: line.hash };
    }

    /// Nothing behind the last line can be read.
    pub fn cannot_be_read(&mut self) {
        self.end_with(Fault::Unreadable);
    }

    fn end_with(&mut self, fault: Fault) {
        if !self.is_over {
            self.broken.push(Broken { line: self.lines.saturating_add(1), fault });
            self.is_over = true;
        }
    }

    /// There is no further line.
    #[must_use]
    pub fn done(mut self) -> Verified {
        if !self.is_over {
            let last = self.last.sequence;
            let written = self.written.as_ref().map_or(0, |written| written.sequence);
            if self.is_another {
                self.end_with(Fault::Another(written));
            } else if last < written {
                self.end_with(Fault::Ends { last, written });
            } else if self.lines == 0 {
                self.end_with(Fault::Empty);
            }
        }
        Verified { lines: self.lines, last: self.last, broken: self.broken }
    }
}

/// Looks at a whole log.
#[must_use]
pub fn verify(log: impl BufRead, written: Option<Mark>) -> Verified {
    let mut check = Check::begin(written);
    for text in log.split(b'\n') {
        match text {
            Ok(text) => check.line(&text),
            Err(_) => {
                check.cannot_be_read();
                break;
            }
        }
    }
    check.done()
}
