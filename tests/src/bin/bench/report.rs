//! The result, for people and for programs.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::json;

use crate::hospital::Family;
use crate::machine::Machine;
use crate::measure::{Effort, Measured, Program, Sample};

/// One aligned table.
pub(crate) fn table(machine: &Machine, effort: Effort, measured: &Measured) -> String {
    let jit = if machine.jit { "jit on" } else { "jit off" };
    let (frames, rounds, repetitions) = (1 << effort.log2_frames, effort.rounds, effort.repetitions);
    let floor = &measured.floor;
    let mut text = format!(
        "{}, {} cores, linux {}, {jit}\n{}\n\
         nanoseconds a frame: {repetitions} repetitions of {rounds} rounds of {frames} frames; net is the median without the floor\n\n",
        machine.cpu,
        machine.cores,
        machine.kernel,
        describe(measured.program),
    );
    line(&mut text, ["case", "ip", "median", "min", "net", "every verdict"]);
    line(&mut text, ["floor", "", &number(floor.median), &number(floor.minimum), "", "pass"]);
    for (case, sample) in &measured.cases {
        let family = match case.family {
            Family::V4 => "v4",
            Family::V6 => "v6",
        };
        let verdict = format!("{} {}", case.verdict.name(), case.reason.name());
        let net = number(net(sample, floor));
        line(&mut text, [case.name, family, &number(sample.median), &number(sample.minimum), &net, &verdict]);
    }
    text
}

/// One document.
pub(crate) fn json(machine: &Machine, effort: Effort, measured: &Measured) -> Result<String> {
    let cases: Vec<_> = measured
        .cases
        .iter()
        .map(|(case, sample)| {
            json!({
                "case": case.name,
                "family": case.family,
                "median_ns": sample.median,
                "min_ns": sample.minimum,
                "net_ns": net(sample, &measured.floor),
                "verdict": case.verdict.name(),
                "reason": case.reason.name(),
            })
        })
        .collect();
    let document = json!({
        "machine": machine,
        "effort": effort,
        "program": measured.program,
        "floor": { "median_ns": measured.floor.median, "min_ns": measured.floor.minimum },
        "cases": cases,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn describe(program: Program) -> String {
    let unknown = |number: Option<u32>| number.map_or("?".to_owned(), |number| number.to_string());
    format!(
        "program: {} instructions verified, {} bytes translated, {} bytes of machine code",
        unknown(program.verified_instructions),
        unknown(program.translated_bytes),
        program.jited_bytes
    )
}

fn line(text: &mut String, [case, family, median, minimum, net, verdict]: [&str; 6]) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{case:<30} {family:<2} {median:>8} {minimum:>8} {net:>8}  {verdict}");
}

fn net(sample: &Sample, floor: &Sample) -> f64 {
    sample.median - floor.median
}

fn number(nanoseconds: f64) -> String {
    format!("{nanoseconds:.1}")
}
