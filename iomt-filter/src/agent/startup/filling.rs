//! From what was chosen to a core that judges: read, loaded or taken over, filled, attached.

use std::mem;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use iomt_filter_common::abi::map;
use iomt_filter_common::flow::{Flow, FlowKey};
use jiff::Timestamp;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use super::choice::{Choice, Choices};
use crate::agent::Errors;
use crate::agent::auditing::{self, Auditing};
use crate::agent::blocks::Blocks;
use crate::agent::changes::{self, Before, Current, Waiting};
use crate::agent::core::{Core, chain};
use crate::agent::exceptions::Exceptions;
use crate::agent::far_ends;
use crate::agent::grants::Ledger;
use crate::agent::heartbeat::{self, Signs};
use crate::agent::history::History;
use crate::agent::interfaces;
use crate::agent::journal::Journal;
use crate::agent::leases::Leases;
use crate::agent::recorder::{self, Book, Page};
use crate::agent::repairs::Repairs;
use crate::agent::trials::Trying;
use crate::api::messages::DriftStatus;
use crate::clock::{BootTime, boottime};
use crate::config::Config;
use crate::datapath::{Datapath, Drift, LoadOptions, Room, WriterToken};
use crate::diagnostic::Diagnostic;
use crate::doctor::Finding;
use crate::generations::{Generations, Outcome, Record, Sources};
use crate::host::HostNetworks;
use crate::intent::{self, Intent, Known};
use crate::numbers::Numbers;
use crate::output;
use crate::rows::Rows;

/// What an agent before has kept.
pub(super) struct Kept {
    pub(super) numbers: Numbers,
    pub(super) blocks: Blocks,
    pub(super) journal: Journal,
    pub(super) grants: Ledger,
    pub(super) exceptions: Exceptions,
}

/// Compile, load, fill, attach. What the files say, or what was confirmed last where that is invalid.
pub(super) fn start(
    choices: Choices,
    token: WriterToken,
    kept: Kept,
    auditing: Arc<Auditing>,
    history: &Arc<History>,
    signs: &Arc<Signs>,
) -> Result<Result<Core, Vec<Diagnostic>>> {
    let Choices { generations, first, second, owed } = choices;
    let host = HostNetworks::read().context("failed to read the host's addresses")?;
    let listed = kept.blocks.list();
    let mut damaged = Vec::new();
    let Known { copies, .. } = Known::kept(&first.config, &mut damaged);
    let read = |choice: &Choice, reads_files, flows: &[(FlowKey, Flow)], numbers: &mut Numbers| {
        let config = &choice.config;
        let far_ends = |rows: &Rows| far_ends::of(flows, rows, &config.paths.state, config.gate.impact);
        let known =
            Known { copies: copies.clone(), reads_files, makes_tables: reads_files, far_ends: &far_ends };
        let grants = kept.grants.models();
        intent::read_sources(config, &choice.sources, &host, numbers, &listed, grants, &known)
    };
    let options = LoadOptions { pins: Some(first.config.paths.pins.clone()), ..LoadOptions::default() };
    let adopts = Datapath::can_adopt(&options);
    // What judges already has room for what feeds listed last, and knows what devices talk to now: their files are
    // judged with that.
    let mut numbers = kept.numbers.clone();
    let mut second = second;
    let (mut choice, mut intent) = match read(&first, !adopts, &[], &mut numbers) {
        Ok(intent) => (first, intent),
        Err(found) => {
            let Some(second) = second.take() else { return Ok(Err(found)) };
            found.iter().for_each(|found| tracing::error!("{found}"));
            numbers = kept.numbers.clone();
            match read(&second, !adopts, &[], &mut numbers) {
                Ok(intent) => (second, intent),
                Err(_) => return Ok(Err(found)),
            }
        }
    };
    if let Some(because) = &choice.kept_because {
        tracing::error!("what was confirmed last holds: {because}");
    }
    let config = choice.config.clone();
    let refused = interfaces::check(&config, &intent, &generations)?;
    if !refused.is_empty() {
        output::note("nothing was attached; `iomt-filter doctor` shows all that it looks at");
        return Ok(Err(refused.iter().map(Finding::diagnostic).collect()));
    }

    // Kernels before 5.11 count maps against this limit.
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    let room = Room::of(&intent.rows)?.with_headroom();
    let mut datapath = Datapath::load(&LoadOptions { devices: numbers.devices.len(), room, ..options })?;
    tracing::info!(adopted = datapath.is_adopted(), "the kernel program is loaded");
    let (mut last, mut strange) = (None, Vec::new());
    let waiting = taken_over(&datapath, &generations, &config);
    if waiting.is_none() && datapath.fall_back(&token).is_some() {
        // Nobody could confirm it, and until its deadline nothing else could be made to hold.
        tracing::warn!("a change is pending that nothing is known of any more: it is taken back");
    }
    if let Some((record, candidate)) = &waiting {
        // What is pending goes on, until it is confirmed or its deadline passes.
        let mut again = numbers.clone();
        match read(candidate, false, &[], &mut again) {
            Ok(judged) => {
                let before = mem::replace(&mut intent, judged);
                let is_known = choice.current.is_some();
                let confirmed = is_known.then_some(&before.rows);
                strange = recognised(&mut datapath, &intent.rows, confirmed, &kept.numbers);
                last = Some((before, mem::replace(&mut numbers, again)));
                tracing::warn!(number = record.number, "a change is pending, and goes on");
            }
            Err(found) => return Ok(Err(found)),
        }
    } else if adopts {
        // What operators have made hold is what held before: then the tables hold it too.
        let held = match (&choice.current, &second) {
            (Some(_), _) => Some(intent.rows.clone()),
            (None, Some(second)) => {
                read(second, false, &[], &mut kept.numbers.clone()).ok().map(|intent| intent.rows)
            }
            (None, None) => None,
        };
        if let Some(held) = held {
            strange = recognised(&mut datapath, &held, None, &kept.numbers);
        }
        let flows = datapath.readings().flows(boottime());
        let mut again = kept.numbers.clone();
        match read(&choice, true, &flows, &mut again) {
            Ok(judged) => {
                last = Some((mem::replace(&mut intent, judged), mem::replace(&mut numbers, again)));
            }
            Err(found) => return Ok(Err(found)),
        }
    }
    for warning in damaged.iter().chain(&intent.warnings) {
        tracing::warn!("{warning}");
    }
    // Before anything is attached, and before an adopted program is written to.
    heartbeat::start(datapath.heartbeat(), signs.clone()).context("no thread to give signs of life with")?;
    match datapath.take_log() {
        Ok(log) => recorder::start_log(log),
        Err(error) => tracing::warn!(%error, "the program's own diagnostics cannot be shown"),
    }
    if let Some(events) = datapath.take_events() {
        let book = Arc::new(Book::default());
        recorder::start(events, book.clone(), history.clone());
        let mut core = Core {
            host,
            host_name: host_name(),
            started: Timestamp::now(),
            generation_since: Timestamp::now(),
            failed_reload: None,
            numbers: Arc::new(kept.numbers),
            blocks: Arc::default(),
            journal: kept.journal,
            grants: Arc::new(kept.grants),
            exceptions: Arc::new(kept.exceptions),
            excepted: None,
            exceptions_are_kept: true,
            generations,
            current: choice.current.take(),
            kept_because: choice.kept_because.take(),
            waiting: None,
            owed,
            grants_are_short: false,
            trying: Trying::default(),
            kept_leases: Leases::new(),
            numbered_since: 0,
            seconds: 0,
            drift: DriftStatus::default(),
            attachments: Vec::new(),
            repairs: Repairs::default(),
            intent: Arc::default(),
            config: Arc::new(config),
            datapath,
            book,
            auditing,
            files: auditing::files(&choice.sources),
            token,
        };
        let blocks = kept.blocks;
        return match (waiting, last) {
            (Some((record, candidate)), Some((before, _))) => {
                take_up(core, (intent, numbers), before, blocks, (record, &candidate), &strange).map(Ok)
            }
            (_, last) => {
                core.found_strange(&strange);
                fill_and_attach(core, (intent, numbers), last, blocks, &choice.sources).map(Ok)
            }
        };
    }
    anyhow::bail!("the kernel program has no record buffer")
}

/// Where the tables that are taken over hold something else than was made to hold. What changes by itself meanwhile, or
/// by what feeds list, tells nothing.
fn recognised(datapath: &mut Datapath, rows: &Rows, before: Option<&Rows>, numbers: &Numbers) -> Vec<Drift> {
    if numbers.devices.is_empty() {
        // They go by numbers that are lost.
        return Vec::new();
    }
    match datapath.recognise(rows, before) {
        Ok(mut found) => {
            let changes = [map::GRANTS, map::LISTINGS, map::BLOCKS, map::COUNTRIES];
            found.retain(|drift| !changes.contains(&drift.table));
            found
        }
        Err(error) => {
            tracing::error!(error = chain(&error), "the tables that are taken over cannot be compared");
            Vec::new()
        }
    }
}

/// The change that is pending in the kernel, and what it says; nothing where none is, or nobody has written it down.
fn taken_over(datapath: &Datapath, generations: &Generations, config: &Config) -> Option<(Record, Choice)> {
    datapath.pending()?;
    let (known, _) = generations.list();
    let known = known.into_iter().rfind(|known| known.outcome == Outcome::Pending)?;
    let sources = generations.sources(&known.record).ok()?;
    let config = changes::kept_config(&sources, config).ok()?;
    let current = Some(Current::of(&known.record));
    Some((known.record, Choice { config, sources, current, kept_because: None }))
}

/// What an earlier agent has made active until it is confirmed stays so: the tables hold it, and what it falls back to.
fn take_up(
    mut core: Core,
    (intent, numbers): (Intent, Numbers),
    before: Intent,
    blocks: Blocks,
    (record, candidate): (Record, &Choice),
    strange: &[Drift],
) -> Result<Core> {
    let deadline = core.datapath.pending().map_or(0, |pending| pending.deadline);
    let deadline = BootTime { nanoseconds: deadline, ..BootTime::now() };
    let config = Arc::new(candidate.config.clone());
    let before = Before {
        intent: Arc::new(before),
        config: mem::replace(&mut core.config, config),
        host: core.host.clone(),
        current: mem::replace(&mut core.current, candidate.current.clone()),
        kept_because: core.kept_because.take(),
        files: mem::replace(&mut core.files, auditing::files(&candidate.sources)),
    };
    core.waiting = Some(Waiting::taken_over(record, deadline, before));
    (core.intent, core.numbers, core.blocks) = (Arc::new(intent), Arc::new(numbers), Arc::new(blocks));
    core.book.write(core.generation(), Page::new(&core.host_name, &core.intent, &core.attachments));
    if !strange.is_empty() {
        core.repair_tables(strange);
    }
    core.take_over_exceptions();
    core.compare_exceptions();
    core.write_exceptions();
    core.attach_all()?;
    Ok(core)
}

/// The tables are complete before the first interface is judged by them.
fn fill_and_attach(
    mut core: Core,
    (intent, numbers): (Intent, Numbers),
    last: Option<(Intent, Numbers)>,
    blocks: Blocks,
    sources: &Sources,
) -> Result<Core> {
    let is_renumbered = core.is_renumbered();
    if is_renumbered {
        tracing::warn!(
            "the numbers of devices are lost, and the tables in the kernel go by them: leases, requests for leases \
             and tokens that were taken are cleared; counters go on under the new numbers"
        );
        // Before the new numbers are kept: an agent that dies in between finds them lost again.
        core.forget_devices()?;
    }
    let is_new = is_renumbered || !core.datapath.is_adopted();
    let (blocks, refused) = (Arc::new(blocks), |errors: Errors| anyhow::anyhow!(errors.join("\n")));
    if let Err(errors) = core.activate(intent, numbers, blocks.clone()) {
        let Some((intent, numbers)) = last else { return Err(refused(errors)) };
        tracing::error!(
            errors = errors.join("; "),
            "what feeds list now cannot be made active: what they listed last holds, until it fits or a `detach` and \
             a new start make room"
        );
        core.activate(intent, numbers, blocks).map_err(refused)?;
    }
    if is_renumbered {
        // What was learned until now went by the old numbers.
        core.forget_devices()?;
        core.numbered_since = boottime();
    }
    core.drop_gone_grants();
    if !is_new {
        core.take_over_exceptions();
        core.compare_exceptions();
    }
    core.write_exceptions();
    if is_new {
        core.restore_leases();
    }
    core.attach_all()?;
    core.begun_with(sources);
    Ok(core)
}

fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(|_| "unknown".into(), |name| name.to_string_lossy().into_owned())
}
