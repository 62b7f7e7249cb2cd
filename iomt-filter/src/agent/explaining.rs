//! Answers questions from what is loaded now: rows, names, and what the program has learned.
//!
//! Nothing is held meanwhile: a question is answered from the picture of what runs, and what runs goes on.

use iomt_filter_common::Address;

use super::Errors;
use super::core::chain;
use super::running::Running;
use crate::clock::boottime;
use crate::explain::{Question, QuestionError, Scene, Setting, Surroundings, leased};

/// What a question comes to.
pub(super) fn prepare(running: &Running, question: &Question) -> Result<(Scene, Setting), Errors> {
    let rows = &running.intent.rows;
    let surroundings =
        Surroundings { rows, vocabulary: &running.intent.vocabulary, segments: &running.intent.segments };
    let misunderstood = |error: QuestionError| vec![error.to_string()];
    let mut devices = vec![surroundings.device(&question.device).map_err(misunderstood)?];
    devices.extend(surroundings.device(&question.peer));
    let peers = surroundings.peers(&question.peer).map_err(misunderstood)?;
    let peers: Vec<Address> = peers.into_iter().map(Address::from).collect();
    let failed = |error: aya::maps::MapError| vec![chain(&error)];
    let mut learned = running.readings.learned(&devices, &peers).map_err(failed)?;
    let now = boottime();
    let leased = leased(rows, &learned, now);
    let scene = surroundings.understand(question, &leased).map_err(misunderstood)?;
    for key in scene.flows() {
        let flow = running.readings.flow(&key);
        learned.flows.extend(flow.map(|flow| (key, flow)));
    }
    let setting = Setting {
        source: "agent",
        rows: rows.about(&scene.addresses()),
        countries: running.intent.countries.clone(),
        learned,
        generation: running.generation,
        now,
    };
    Ok((scene, setting))
}
