//! `iomt-filter bundle`: policy, feeds and country database, carried to a site without internet in one signed file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::agent::store;
use crate::api::client;
use crate::api::messages::{Changed, Refused, ReloadRequest};
use crate::audit::{self, Audit, Author, Entry};
use crate::bundle::{self, BundleError, Content, FORMAT, Manifest, Placement, Places, Prepared, Trusted};
use crate::cli::{FINDING, Output};
use crate::cmd::joined;
use crate::config::Config;
use crate::diagnostic::{Diagnostic, Place};
use crate::geo::CountryDatabase;
use crate::host::HostNetworks;
use crate::intent::{self, Given, Overrides};
use crate::numbers::Numbers;
use crate::output;

/// The version of the last bundle that was made, in the state folder.
const MADE: &str = "bundle-made.json";

/// What to do with bundles.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a bundle of the policy, the feeds and the country database that the configuration names
    Create(Create),
    /// Put what a bundle holds in its places, all or nothing, and have the agent read it
    Apply(Apply),
    /// Make a pair of keys: NAME.key to make bundles with, NAME.pub for `[bundle] key` of those who apply them
    Key(Key),
}

/// Options of `bundle create`.
#[derive(Debug, Args)]
pub struct Create {
    /// Where the bundle goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Secret key of minisign
    #[arg(long, value_name = "SECRETKEY")]
    key: PathBuf,
    /// File whose first line is the password of the key
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// What to tell those who apply it
    #[arg(long, value_name = "TEXT", value_parser = crate::cmd::note)]
    version_note: Option<String>,
}

/// Options of `bundle apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// The bundle
    file: PathBuf,
}

/// Options of `bundle key`.
#[derive(Debug, Args)]
#[group(required = true, args = ["password_file", "no_password"])]
pub struct Key {
    /// Path of both files, without their ends
    #[arg(value_name = "NAME")]
    name: PathBuf,
    /// File whose first line becomes the password of the secret key
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Keep the secret key without a password: whoever can read the file can make bundles
    #[arg(long)]
    no_password: bool,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    #[serde(flatten)]
    manifest: Manifest,
    file: PathBuf,
    left_out: Vec<String>,
}

/// What was applied.
#[derive(Debug, Serialize)]
struct Applied {
    #[serde(flatten)]
    placement: Placement,
    placed: Vec<Content>,
    left_out: Vec<String>,
    /// What the agent made of it; nothing where none runs.
    agent: Option<Answer>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    Changed(Changed),
    Refused(Refused),
}

/// Does it.
///
/// # Errors
/// When a file cannot be read or written. A bundle that is refused is a finding.
pub fn run(config: &Path, verb: &Verb, output: Output) -> Result<ExitCode> {
    match verb {
        Verb::Create(options) => create(config, options, output),
        Verb::Apply(options) => apply(config, options, output),
        Verb::Key(options) => key(options, output),
    }
}

fn create(config: &Path, options: &Create, output: Output) -> Result<ExitCode> {
    let config = load(config)?;
    if let Err(found) = intent::read_policy(&config.paths.policy) {
        return Ok(invalid(&found));
    }
    let secret = bundle::secret_key(&options.key, password(options.password_file.as_deref())?)?;
    let is_open = fs::metadata(&options.key).is_ok_and(|about| about.permissions().mode() & 0o077 != 0);
    if is_open {
        let path = options.key.display();
        output::note(format!("warning: others may read the secret key `{path}`; keep it with mode 0600"));
    }
    let gathered = bundle::gather(&config)?;
    gathered.left_out.iter().for_each(|left_out| output::note(format!("left out: {left_out}")));

    let state = &config.paths.state;
    let created = Timestamp::now();
    bundle::prepare_state(state)?;
    let last: u64 = store::load(state, MADE)?;
    let version = u64::try_from(created.as_second()).unwrap_or(0).max(last.saturating_add(1));
    // Noted first: a version that no bundle has does no harm, and two bundles of one version would.
    store::save(state, MADE, &version)?;
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
    let manifest = Manifest {
        format: FORMAT,
        version,
        created,
        host: host.unwrap_or_else(|_| "unknown".to_owned()),
        note: options.version_note.clone(),
        members: gathered.sources.iter().map(|source| source.member.clone()).collect(),
    };
    bundle::write(&options.out, &manifest, gathered.sources, &secret)?;
    match output {
        Output::Text => output::text(format!(
            "bundle {version} in `{}`: {}",
            options.out.display(),
            listed(manifest.members.iter().map(|member| &member.content))
        ))?,
        Output::Json => {
            output::document(&Made { manifest, file: options.out.clone(), left_out: gathered.left_out })?
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn apply(config: &Path, options: &Apply, output: Output) -> Result<ExitCode> {
    let config = load(config)?;
    let Some(key) = &config.bundle.key else {
        bail!("no key is configured that bundles must be signed with; set `key` in `[bundle]`");
    };
    let trusted = Trusted::read(key)?;
    let prepared = match bundle::prepare(&options.file, &trusted, &Places::of(&config)) {
        Ok(prepared) => prepared,
        Err(error) if is_refusal(&error) => return refused(&error.to_string(), output),
        Err(error) => return Err(error.into()),
    };
    if let Err(found) = check(&config, &prepared) {
        found.iter().for_each(output::note);
        return refused("the agent would refuse what it holds", output);
    }
    let (left_out, placed) = (prepared.left_out.clone(), prepared.contents().cloned().collect::<Vec<_>>());
    let placement = audited(&config.paths.state, prepared)?;
    left_out.iter().for_each(|left_out| output::note(format!("left out: {left_out}")));
    let agent = reload(&config.paths.socket, placement.version)?;
    let is_refused = matches!(agent, Some(Answer::Refused(_)));
    let applied = Applied { placement, placed, left_out, agent };
    match output {
        Output::Text => say(&applied)?,
        Output::Json => output::document(&applied)?,
    }
    Ok(if is_refused { ExitCode::from(FINDING) } else { ExitCode::SUCCESS })
}

/// Puts the bundle in its places, with an entry in the audit log before anything is changed.
fn audited(state: &Path, prepared: Prepared) -> Result<Placement> {
    let (path, now) = (state.join(audit::FILE), Timestamp::now());
    let mut audit = Audit::open(&path, now)?;
    let manifest = &prepared.manifest;
    let placed: Vec<_> = prepared.contents().map(ToString::to_string).collect();
    let entry = Entry {
        about: Some(manifest.version.to_string()),
        before: json!({ "version": bundle::applied(state)?.map(|applied| applied.version) }),
        after: json!({ "version": manifest.version, "host": manifest.host, "placed": placed }),
        note: manifest.note.clone(),
        ..Entry::by(&Author::of_this_process(), "bundle apply")
    };
    audit.append(entry.clone(), now)?;
    prepared.place(now).map_err(|error| {
        let error = anyhow::Error::new(error);
        match audit.append(entry.failed(&[format!("{error:#}")]), Timestamp::now()) {
            Ok(()) => error,
            Err(unsaid) => error.context(unsaid),
        }
    })
}

/// That the agent would take what the bundle holds: it is read as the agent reads it.
fn check(config: &Config, prepared: &Prepared) -> Result<(), Vec<Diagnostic>> {
    let mut config = config.clone();
    if let Some(database) = prepared.beside(&Content::Countries) {
        // The agent has a copy to use in the place of one that is damaged; none of those is put there.
        let opened = fs::read(&database).map_err(|error| error.to_string());
        let opened = opened.and_then(|bytes| CountryDatabase::open(bytes).map_err(|error| error.to_string()));
        if let Err(why) = opened {
            let message = format!("the country database cannot be used: {why}");
            return Err(vec![Diagnostic::error(&Place::default(), message)]);
        }
        config.geo.database = Some(database);
    }
    // Feeds never stop a reload.
    config.feeds.clear();
    let overrides = Overrides { policy: prepared.beside(&Content::Policy).map(Given::File), devices: None };
    let host = HostNetworks::read().unwrap_or_default();
    intent::read(&config, &overrides, &host, &mut Numbers::default(), &[], Vec::new()).map(drop)
}

/// Whether it is the bundle that something is wrong with, and not this host.
const fn is_refusal(error: &BundleError) -> bool {
    matches!(
        error,
        BundleError::Damaged(_)
            | BundleError::Signature(_)
            | BundleError::Format(_)
            | BundleError::Old { .. }
    )
}

fn refused(why: &str, output: Output) -> Result<ExitCode> {
    match output {
        Output::Text => output::note(format!("refused, nothing was changed: {why}")),
        Output::Json => output::document(&Refused { errors: vec![why.to_owned()] })?,
    }
    Ok(ExitCode::from(FINDING))
}

/// Has the agent read everything again, where one runs.
fn reload(socket: &Path, version: u64) -> Result<Option<Answer>> {
    if UnixStream::connect(socket).is_err() {
        return Ok(None);
    }
    let request = ReloadRequest { note: Some(format!("bundle {version}")) };
    let answer = client::post::<Changed>(socket, "/v1/reload", &request);
    let answer = answer.context(
        "the bundle is in place, and the agent could not be asked to read it; run `iomt-filter reload`",
    )?;
    Ok(Some(match answer {
        Ok(changed) => Answer::Changed(changed),
        Err(refused) => Answer::Refused(refused),
    }))
}

fn say(applied: &Applied) -> Result<()> {
    let Placement { version, created, host, note, .. } = &applied.placement;
    let mut line =
        format!("bundle {version} of {created:.0} from {host} is in place: {}", listed(&applied.placed));
    if let Some(note) = note {
        line.push_str(&format!(" ({note})"));
    }
    match &applied.agent {
        None => line.push_str("; no agent runs here, the next one begins with it"),
        Some(Answer::Changed(changed)) => {
            changed.warnings.iter().for_each(output::note);
            line.push_str(&format!("; generation {}, {} rows changed", changed.generation, changed.changed));
        }
        Some(Answer::Refused(refused)) => {
            refused.errors.iter().for_each(output::note);
            line.push_str("; the agent refused to read it, and what runs stays as it is");
        }
    }
    Ok(output::text(line)?)
}

fn key(options: &Key, output: Output) -> Result<ExitCode> {
    let files = bundle::generate(&options.name, password(options.password_file.as_deref())?)?;
    match output {
        Output::Text => {
            let [secret, public] = files.each_ref().map(|path| path.display());
            output::text(format!("secret key `{secret}`, public key `{public}`"))?;
        }
        Output::Json => output::document(&files)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn load(path: &Path) -> Result<Config> {
    Config::load(path).map_err(|found| anyhow!(joined(&found)))
}

fn invalid(found: &[Diagnostic]) -> ExitCode {
    found.iter().for_each(output::note);
    output::note("refused: a bundle with this policy would be of no use");
    ExitCode::from(FINDING)
}

/// The first line of a file.
fn password(path: Option<&Path>) -> Result<Option<String>> {
    let Some(path) = path else { return Ok(None) };
    let text = fs::read_to_string(path).with_context(|| format!("failed to read `{}`", path.display()))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Some(line.to_owned())),
        _ => bail!("the first line of `{}` is empty, and would be the password", path.display()),
    }
}

fn listed<'c>(contents: impl IntoIterator<Item = &'c Content>) -> String {
    let names: Vec<_> = contents.into_iter().map(ToString::to_string).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
