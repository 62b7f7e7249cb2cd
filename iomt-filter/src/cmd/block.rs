//! `iomt-filter block`: push, withdraw and list manual blocks.

use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand};
use ipnet::IpNet;
use jiff::Timestamp;

use crate::api::client;
use crate::api::messages::{BlockRequest, Changed, ListedBlock, UnblockRequest};
use crate::cli::Output;
use crate::cmd::{socket, told};
use crate::config::parse_duration;
use crate::feeds::formats::{self, FORMATS, Format};
use crate::feeds::{Entry, ManualBlock};
use crate::output::Align::{Left, Right};
use crate::output::{self, Table};

/// The score of what nobody gives one.
const DEFAULT_SCORE: u8 = 100;

/// What to do with manual blocks.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Block addresses or prefixes: all of them or none
    Add(Add),
    /// Withdraw blocks, named exactly as they were added
    Remove(Remove),
    /// List the blocks that hold
    List,
    /// Block every entry of a list, or nothing where it cannot be read whole
    Import(Import),
}

/// What is said of every block.
#[derive(Debug, Args)]
pub struct About {
    /// Score, 0 to 100: profiles with a higher `block_score` let it pass. Left out: what an imported list says, else 100
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=100))]
    score: Option<u8>,
    /// How long it holds, as `24h` or `7d`; for ever where nothing is said, not even by an imported list
    #[arg(long = "for", value_name = "DURATION")]
    duration: Option<String>,
    /// Why. Left out: what an imported list calls it
    #[arg(long, value_parser = crate::cmd::note)]
    note: Option<String>,
}

/// Options of `block add`.
#[derive(Debug, Args)]
pub struct Add {
    /// Addresses or prefixes
    #[arg(required = true, value_name = "ADDR")]
    targets: Vec<String>,
    #[command(flatten)]
    about: About,
}

/// Options of `block remove`.
#[derive(Debug, Args)]
pub struct Remove {
    /// Addresses or prefixes
    #[arg(required = true, value_name = "ADDR")]
    targets: Vec<String>,
    /// Why, for the audit log
    #[arg(long, value_parser = crate::cmd::note)]
    note: Option<String>,
}

/// Options of `block import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The list; `-` for standard input
    file: PathBuf,
    /// Its format
    #[arg(long, default_value = "auto")]
    format: String,
    #[command(flatten)]
    about: About,
}

/// Does it.
///
/// # Errors
/// When no agent answers, or the caller may not change anything.
pub fn run(config: &Path, verb: &Verb, output: Output) -> Result<ExitCode> {
    let socket = socket(config)?;
    match verb {
        Verb::Add(add) => block(&socket, targets(&add.targets)?, Vec::new(), &add.about, output),
        Verb::Import(import) => block(&socket, Vec::new(), entries(import)?, &import.about, output),
        Verb::Remove(remove) => {
            let request = UnblockRequest { targets: targets(&remove.targets)?, note: remove.note.clone() };
            told(client::post(&socket, "/v1/blocks/remove", &request)?, output, said("withdrawn"))
        }
        Verb::List => {
            let blocks: Vec<ManualBlock> = client::get(&socket, "/v1/blocks")?;
            match output {
                Output::Json => output::document(&blocks)?,
                Output::Text => {
                    let mut table = Table::new([
                        ("address", Left),
                        ("score", Right),
                        ("until", Left),
                        ("added", Left),
                        ("by", Left),
                        ("note", Left),
                    ]);
                    blocks.iter().for_each(|block| table.row(row(block)));
                    output::text(table)?;
                }
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn block(
    socket: &Path,
    targets: Vec<IpNet>,
    listed: Vec<ListedBlock>,
    about: &About,
    output: Output,
) -> Result<ExitCode> {
    let until = match &about.duration {
        None => None,
        Some(text) => {
            let duration = parse_duration(text).map_err(|error| anyhow!("`--for {text}`: {error}"))?;
            if duration.is_zero() {
                bail!("`--for {text}` ends before it begins; leave it out for a block without an end");
            }
            Some(Timestamp::now().checked_add(duration).context("`--for` reaches beyond the calendar")?)
        }
    };
    let score = about.score.unwrap_or(DEFAULT_SCORE);
    let request = BlockRequest { targets, score, until, note: about.note.clone(), listed };
    told(client::post(socket, "/v1/blocks", &request)?, output, said("blocked"))
}

fn said(what: &str) -> impl Fn(&Changed) -> String {
    move |changed| {
        let cuts: String = changed.cuts.iter().map(|cut| format!("\n  {cut}")).collect();
        format!("{} {what}, generation {}{cuts}", changed.changed, changed.generation)
    }
}

fn targets(texts: &[String]) -> Result<Vec<IpNet>> {
    texts.iter().map(|text| target(text)).collect()
}

fn target(text: &str) -> Result<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    match text.parse::<IpNet>() {
        Ok(net) if net != net.trunc() => {
            bail!("`{text}` has bits behind its prefix; did you mean `{}`?", net.trunc())
        }
        Ok(net) => Ok(net),
        Err(_) => {
            bail!("`{text}` is neither an address nor a prefix, such as `203.0.113.9` or `2001:db8::/48`")
        }
    }
}

fn entries(import: &Import) -> Result<Vec<ListedBlock>> {
    let format = FORMATS.iter().find(|(name, _)| *name == import.format).map(|(_, format)| *format);
    let known: Vec<_> = FORMATS.iter().map(|(name, _)| *name).collect();
    let format: Format =
        format.with_context(|| format!("no format `{}`; there are {}", import.format, known.join(", ")))?;
    let name = import.file.display();
    let bytes = if import.file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("failed to read standard input")?;
        bytes
    } else {
        std::fs::read(&import.file).with_context(|| format!("failed to read `{name}`"))?
    };
    let reading = formats::Reading { format, now: Timestamp::now(), ..Default::default() };
    let parsed = formats::parse(&reading, &bytes);
    let faults: Vec<_> = parsed.rejects.iter().filter(|reject| reject.reason.is_fault()).collect();
    if let Some(reject) = faults.first() {
        bail!(
            "{} lines of `{name}` are no entries, nothing was blocked; the first is line {}: `{}`: {}",
            faults.len(),
            reject.line,
            reject.text,
            reject.reason
        );
    }
    let left_out = parsed.domains.len() + parsed.rejects.len();
    if left_out > 0 {
        output::note(format!("{left_out} records of `{name}` name no addresses and are left out"));
    }
    if parsed.entries.is_empty() {
        bail!("`{name}` holds no entries");
    }
    let about = &import.about;
    let listed = |entry: &Entry| {
        let said = entry.about.as_deref();
        let named = said.and_then(|said| said.label.as_deref().or(said.reference.as_deref()));
        ListedBlock {
            target: entry.network,
            score: about.score.or(entry.score),
            until: said.and_then(|said| said.expires),
            note: about.note.clone().or_else(|| named.map(str::to_owned)),
        }
    };
    Ok(parsed.entries.iter().map(listed).collect())
}

fn row(block: &ManualBlock) -> [String; 6] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        block.target.to_string(),
        block.score.to_string(),
        or_dash(block.until.map(|until| until.to_string())),
        block.added.to_string(),
        block.by.clone(),
        or_dash(block.note.clone()),
    ]
}
