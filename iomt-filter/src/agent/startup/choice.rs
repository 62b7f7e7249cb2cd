//! What an agent starts with: what the files say, or the generation that was confirmed last.
//!
//! A start takes up what somebody has written since, as every service does. Where the files cannot be read, or say what
//! was taken back or never confirmed, the confirmed generation holds: neither a typing error nor a change that was on
//! its way when the power went keeps a ward from its filter. So it does where the last thing that was done was to go
//! back: whoever did has not said yet what the files are to say.

use std::path::Path;

use crate::agent::changes::{Current, kept_config};
use crate::agent::core::chain;
use crate::config::Config;
use crate::datapath::Datapath;
use crate::diagnostic::Diagnostic;
use crate::generations::{Generations, Known, Outcome, Record, Sources};
use crate::intent::{self, Overrides};

/// What is started with.
pub(super) struct Choice {
    pub(super) config: Config,
    pub(super) sources: Sources,
    /// Which generation that is, where it is one.
    pub(super) current: Option<Current>,
    /// Why it is not what the files say.
    pub(super) kept_because: Option<String>,
}

/// What there is to start with.
pub(super) struct Choices {
    pub(super) generations: Generations,
    pub(super) first: Choice,
    /// What holds where the first is invalid.
    pub(super) second: Option<Choice>,
    /// A confirmation that is still to be written down: which generation, and who made it.
    pub(super) owed: Option<(u32, String)>,
}

impl Choices {
    /// Looks at the files that the configuration at `path` names, and at what is kept.
    pub(super) fn at(path: &Path) -> Result<Self, Vec<Diagnostic>> {
        let config = Config::load(path);
        let state = match &config {
            Ok(config) => config.paths.state.clone(),
            Err(_) => Config::load_what_can_be_read(path).0.paths.state,
        };
        let generations = Generations::of(&state);
        let (known, _) = generations.list();
        let owed = owed(&known, config.as_ref().ok());
        let (confirmed, errors) = match &owed {
            Some(known) => match generations.sources(&known.record) {
                Ok(sources) => (Some((known.clone(), sources)), Vec::new()),
                Err(error) => (None, vec![error]),
            },
            None => generations.confirmed(),
        };
        let owed = owed.map(|known| (known.record.number, known.record.by));
        for error in errors {
            tracing::error!(error = chain(&error), "a generation cannot be used");
        }
        let files = config.and_then(|config| {
            let sources = intent::sources(&config, &Overrides::default())?;
            Ok((config, sources))
        });
        let running = files
            .as_ref()
            .map_or_else(|_| Config::load_what_can_be_read(path).0, |(config, _)| config.clone());
        let kept = |because: String| {
            let (known, sources) = confirmed.clone()?;
            let config = kept_config(&sources, &running).ok()?;
            let current = Some(Current::of(&known.record));
            Some(Choice { config, sources, current, kept_because: Some(because) })
        };
        let (config, sources) = match files {
            Ok(files) => files,
            Err(found) => {
                let said = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                let first = kept(format!("the files cannot be used: {said}")).ok_or(found)?;
                return Ok(Self { generations, first, second: None, owed });
            }
        };
        let digest = sources.digest();
        let as_files = |current| Choice {
            config: config.clone(),
            sources: sources.clone(),
            current,
            kept_because: None,
        };
        if let Some((known, _)) = &confirmed
            && known.record.digest == digest
        {
            let first = as_files(Some(Current::of(&known.record)));
            return Ok(Self { generations, first, second: None, owed });
        }
        let holding = confirmed.as_ref().map(|(known, _)| &known.record);
        if owed.is_none()
            && let Some(because) = unasked(&known, holding).or_else(|| unwanted(&known, &digest))
            && let Some(first) = kept(because)
        {
            return Ok(Self { generations, first, second: None, owed });
        }
        let second = kept("what the files say is invalid".to_owned());
        Ok(Self { generations, first: as_files(None), second, owed })
    }
}

/// The change that was confirmed in the kernel, where an agent before could not write that down: the disk was full.
fn owed(known: &[Known], config: Option<&Config>) -> Option<Known> {
    let last = known.last().filter(|known| known.outcome == Outcome::Pending)?;
    Datapath::was_confirmed_at(&config?.paths.pins).then(|| last.clone())
}

/// Why nothing that the files say is to hold by itself: what was done last was to go back, and nothing was applied since.
fn unasked(known: &[Known], holding: Option<&Record>) -> Option<String> {
    let Known { record, outcome, .. } = known.last()?;
    let number = record.number;
    let what = match outcome {
        Outcome::Reverted => format!("generation {number} was taken back"),
        Outcome::Pending => format!("nobody has confirmed generation {number}"),
        Outcome::Confirmed => {
            let restored = holding.filter(|holding| holding.number == number)?.restores?;
            format!("generation {number} goes back to {restored}")
        }
    };
    Some(format!(
        "{what}, and what the files say now was not applied since; `iomt-filter apply` makes it hold"
    ))
}

/// Why what the files say is not to hold by itself: the last change that said the same was taken back, or nobody has
/// confirmed it.
fn unwanted(known: &[Known], digest: &str) -> Option<String> {
    let Known { record, outcome, decided } = known.iter().rfind(|known| known.record.digest == digest)?;
    let again = "edit the files, or `iomt-filter apply` to try it again";
    match outcome {
        Outcome::Confirmed => None,
        Outcome::Pending => Some(format!(
            "the files say what generation {} said, which nobody confirmed; {again}",
            record.number
        )),
        Outcome::Reverted => {
            let by = decided.as_ref().map_or("somebody", |(_, by)| by.as_str());
            Some(format!(
                "the files say what generation {} said, which {by} took back; {again}",
                record.number
            ))
        }
    }
}
