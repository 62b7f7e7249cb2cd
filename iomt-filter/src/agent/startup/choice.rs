//! What an agent starts with: what the files say, or the generation that was confirmed last.
//!
//! A start takes up what somebody has written since, as every service does. Where the files cannot be read, or say what
//! was taken back or never confirmed, the confirmed generation holds: neither a typing error nor a change that was on
//! its way when the power went keeps a ward from its filter.

use std::path::Path;

use crate::agent::changes::{Current, kept_config};
use crate::agent::core::chain;
use crate::config::Config;
use crate::diagnostic::Diagnostic;
use crate::generations::{Generations, Known, Outcome, Sources};
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
        let (confirmed, errors) = generations.confirmed();
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
                return Ok(Self { generations, first, second: None });
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
            return Ok(Self { generations, first, second: None });
        }
        if let Some(because) = unwanted(&generations, &digest)
            && let Some(first) = kept(because)
        {
            return Ok(Self { generations, first, second: None });
        }
        let second = kept("what the files say is invalid".to_owned());
        Ok(Self { generations, first: as_files(None), second })
    }
}

/// Why what the files say is not to hold by itself: the last change that said the same was taken back, or nobody has
/// confirmed it.
fn unwanted(generations: &Generations, digest: &str) -> Option<String> {
    let (known, _) = generations.list();
    let Known { record, outcome, decided } =
        known.into_iter().rfind(|known| known.record.digest == digest)?;
    let again = "edit the files, or `iomt-filter apply` to try it again";
    match outcome {
        Outcome::Confirmed => None,
        Outcome::Pending => Some(format!(
            "the files say what generation {} said, which nobody confirmed; {again}",
            record.number
        )),
        Outcome::Reverted => {
            let by = decided.map_or_else(|| "somebody".to_owned(), |(_, by)| by);
            Some(format!(
                "the files say what generation {} said, which {by} took back; {again}",
                record.number
            ))
        }
    }
}
