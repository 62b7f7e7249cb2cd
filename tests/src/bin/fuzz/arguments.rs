//! What the fuzzer is told to do.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

pub(crate) const USAGE: &str = "usage: fuzz [--minutes N] [--seed S] [--seeds COUNT] [--model]

  --minutes  how long; 1 unless `--seeds` says when to end
  --seed     first seed; without it, one that nobody has tried
  --seeds    how many scripts
  --model    compare with the reference model only, and do not look for broken invariants
";

/// What to run, and for how long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    first: u64,
    count: u64,
    pub(crate) until: Option<Duration>,
    pub(crate) model_only: bool,
}

impl Arguments {
    /// The arguments behind the program's name; `None` where help is asked for.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let (mut first, mut count, mut minutes) = (None, None, None);
        let mut model_only = false;
        while let Some(word) = words.next() {
            let mut number = || -> Result<u64> {
                let value = words.next().with_context(|| format!("`{word}` takes a number"))?;
                value.parse().with_context(|| format!("`{word}` takes a whole number, and no `{value}`"))
            };
            match word.as_str() {
                "--minutes" => minutes = Some(number()?),
                "--seed" => first = Some(number()?),
                "--seeds" => count = Some(number()?),
                "--model" => model_only = true,
                "--help" | "-h" => return Ok(None),
                other => bail!("unknown argument `{other}`\n{USAGE}"),
            }
        }
        let minutes = minutes.or_else(|| count.is_none().then_some(1));
        Ok(Some(Self {
            first: first.unwrap_or_else(unused),
            count: count.unwrap_or(u64::MAX),
            until: minutes.map(|minutes| Duration::from_secs(minutes * 60)),
            model_only,
        }))
    }

    pub(crate) fn seeds(&self) -> impl Iterator<Item = u64> {
        let first = self.first;
        (0..self.count).map(move |index| first.wrapping_add(index))
    }
}

/// A seed that grows by a million a second, more than are used in one.
fn unused() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() * 1_000_000
}
