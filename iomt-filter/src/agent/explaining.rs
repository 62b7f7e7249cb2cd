//! Answers questions from what is loaded now: rows, names, and what the program has learned.
//!
//! The core is held only while the few rows that concern a question are copied; the private program is loaded
//! and run without it.

use iomt_filter_common::Address;

use super::Errors;
use super::core::{Core, chain};
use crate::clock::boottime;
use crate::explain::{Question, QuestionError, Scene, Setting, Surroundings, leased};

/// What a question comes to.
pub(super) fn prepare(core: &Core, question: &Question) -> Result<(Scene, Setting), Errors> {
    let rows = core.datapath.active_rows().unwrap_or(&core.intent.rows);
    let surroundings =
        Surroundings { rows, vocabulary: &core.intent.vocabulary, segments: &core.intent.segments };
    let misunderstood = |error: QuestionError| vec![error.to_string()];
    let mut devices = vec![surroundings.device(&question.device).map_err(misunderstood)?];
    devices.extend(surroundings.device(&question.peer));
    let peers = surroundings.peers(&question.peer).map_err(misunderstood)?;
    let peers: Vec<Address> = peers.into_iter().map(Address::from).collect();
    let failed = |error: aya::maps::MapError| vec![chain(&error)];
    let mut learned = core.datapath.learned(&devices, &peers).map_err(failed)?;
    let now = boottime();
    let leased = leased(rows, &learned, now);
    let scene = surroundings.understand(question, &leased).map_err(misunderstood)?;
    for key in scene.flows() {
        let flow = core.datapath.flow(&key).map_err(failed)?;
        learned.flows.extend(flow.map(|flow| (key, flow)));
    }
    let setting = Setting {
        source: "agent",
        rows: rows.about(&scene.addresses()),
        countries: core.intent.countries.clone(),
        learned,
        generation: core.datapath.generation().map_or(0, |generation| generation.number),
        now,
    };
    Ok((scene, setting))
}
