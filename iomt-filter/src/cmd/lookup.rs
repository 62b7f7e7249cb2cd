//! `iomt-filter lookup`: what is known of addresses, prefixes and domains.

use std::io::BufRead as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use jiff::Timestamp;

use crate::agent;
use crate::api::client;
use crate::api::messages::LookupRequest;
use crate::cli::{FINDING, Output};
use crate::cmd::{joined, socket, sources};
use crate::config::Config;
use crate::lookup::{Answer, ByHand, Ground, Question, answers};
use crate::output;

/// Questions that are asked at once: of more, answers would list less.
const AT_ONCE: usize = 100;

/// Options of `lookup`.
#[derive(Debug, Args)]
pub struct Options {
    /// Addresses, prefixes or domains; `-` for one a line from standard input
    #[arg(required = true, value_name = "IP|DOMAIN")]
    queries: Vec<String>,
    /// Answer from the files and last good copies, without an agent
    #[arg(long)]
    offline: bool,
}

/// Prints an answer to each question, in their order. A line of standard input that is no question is a finding.
///
/// # Errors
/// When an argument is no question, no agent answers, or the files cannot be read.
pub fn run(config: &Path, options: &Options, output: Output) -> Result<ExitCode> {
    let is_bulk = options.queries.iter().any(|query| query == "-");
    let is_one = options.queries.len() == 1 && !is_bulk;
    let mut asks = Asks::new(config, options.offline)?;
    let mut waiting = Vec::new();
    let mut code = ExitCode::SUCCESS;
    let mut lines = output::Lines::new();
    let mut print = |answers: Vec<Answer>| -> Result<()> {
        for answer in answers {
            match output {
                Output::Text => lines.line(answer)?,
                Output::Json if is_one => output::document(&answer)?,
                Output::Json => lines.json(&answer)?,
            }
        }
        Ok(lines.flush()?)
    };
    let mut ask = |query: String, waiting: &mut Vec<String>| -> Result<()> {
        query.parse::<Question>()?;
        waiting.push(query);
        if waiting.len() == AT_ONCE { print(asks.answers(std::mem::take(waiting))?) } else { Ok(()) }
    };
    for query in &options.queries {
        if query != "-" {
            ask(query.clone(), &mut waiting)?;
            continue;
        }
        for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
            let line = line.context("failed to read standard input")?;
            let query = line.split('#').next().unwrap_or_default().trim();
            match query.parse::<Question>() {
                Ok(_) => ask(query.to_owned(), &mut waiting)?,
                Err(_) if query.is_empty() => {}
                // The lines around it are answered all the same.
                Err(error) => {
                    output::note(format!("line {number} of standard input: {error}"));
                    code = ExitCode::from(FINDING);
                }
            }
        }
    }
    let rest = asks.answers(waiting)?;
    print(rest)?;
    Ok(code)
}

/// Who is asked.
enum Asks {
    Agent(std::path::PathBuf),
    Files(Box<Files>),
}

struct Files {
    intent: crate::intent::Intent,
    blocks: ByHand,
    state: std::path::PathBuf,
}

impl Asks {
    fn new(config: &Path, offline: bool) -> Result<Self> {
        if !offline {
            return Ok(Self::Agent(socket(config)?));
        }
        let intent = sources::Sources::default().read(config);
        let intent = intent.map_err(|error| match error {
            sources::SourceError::Invalid(found) => anyhow!(joined(&found)),
            other => anyhow::Error::new(other),
        })?;
        let state = Config::load(config).map_err(|found| anyhow!(joined(&found)))?.paths.state;
        let blocks = ByHand::new(agent::kept_blocks(&state)?);
        Ok(Self::Files(Box::new(Files { intent, blocks, state })))
    }

    fn answers(&mut self, queries: Vec<String>) -> Result<Vec<Answer>> {
        if queries.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Agent(socket) => match client::post(socket, "/v1/lookup", &LookupRequest { queries })? {
                Ok(answers) => Ok(answers),
                Err(refused) => Err(anyhow!(refused.errors.join("; "))),
            },
            Self::Files(files) => {
                let talks = agent::talks(&files.state);
                let (intent, blocks) = (&files.intent, &files.blocks);
                let ground = Ground { intent, blocks, talks: &talks, now: Timestamp::now() };
                let questions: Result<Vec<Question>, _> = queries.iter().map(|query| query.parse()).collect();
                Ok(answers(questions?.iter(), &ground))
            }
        }
    }
}
