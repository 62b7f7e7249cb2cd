//! What the bench was asked for.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::measure::Effort;

pub(crate) const USAGE: &str = "usage: bench [--lookups | --control | --live] [--short] [--json] [--check | --record] [--only TEXT] [--countries FILE]

  --lookups    time a lookup beside the kernel's tries, instead of time a frame
  --control    time and memory of tables, instead of time a frame
  --live       packets a second through interfaces, instead of time a frame
  --short      fewer cases and frames: done in a minute or two, less exact
  --json       one JSON document instead of a table
  --check      compare with the recorded ratios; ends with 1 where one is worse
  --record     make the ratios of this run the recorded ones
  --only       cases whose name contains TEXT
  --countries  a country database in MaxMind's format, instead of one that is made up
";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Time a frame.
    Frames,
    /// Time a lookup.
    Lookups,
    /// Time and memory of tables.
    Control,
    /// Packets a second through interfaces.
    Live,
}

/// All of it.
pub(crate) struct Arguments {
    pub(crate) subject: Subject,
    pub(crate) effort: Effort,
    pub(crate) json: bool,
    pub(crate) check: bool,
    pub(crate) record: bool,
    pub(crate) help: bool,
    pub(crate) only: String,
    pub(crate) countries: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut arguments = Self {
            subject: Subject::Frames,
            effort: Effort::FULL,
            json: false,
            check: false,
            record: false,
            help: false,
            only: String::new(),
            countries: None,
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--lookups" => arguments.subject = Subject::Lookups,
                "--control" => arguments.subject = Subject::Control,
                "--live" => arguments.subject = Subject::Live,
                "--short" => arguments.effort = Effort::SHORT,
                "--json" => arguments.json = true,
                "--check" => arguments.check = true,
                "--record" => arguments.record = true,
                "--only" => arguments.only = words.next().context("`--only` takes a text")?,
                "--countries" => {
                    arguments.countries = Some(words.next().context("`--countries` takes a file")?.into());
                }
                "--help" | "-h" => arguments.help = true,
                other => bail!("unknown argument `{other}`\n{USAGE}"),
            }
        }
        if arguments.subject != Subject::Frames && (arguments.check || arguments.record) {
            bail!("`--check` and `--record` are about time a frame alone");
        }
        Ok(arguments)
    }
}
