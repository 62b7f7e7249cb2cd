//! The result of the frames, for people and for programs.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::json;

use crate::case::Case;
use crate::filter::Program;
use crate::hospital::Family;
use crate::machine::Machine;
use crate::measure::{Effort, Measured, Row};
use crate::{variant, xdp_filter};

/// One aligned table.
pub(crate) fn table(machine: &Machine, effort: Effort, measured: &Measured) -> String {
    let (v4, v6) = measured.countries;
    let mut text = format!(
        "{machine}\n{}\n{v4} prefixes of IPv4 and {v6} of IPv6 have a country; listed: IPv4 hosts all over, and IPv6 /64s up to 100 k\n\
         nanoseconds a frame, median of {} repetitions of {} k frames or more; net is without the floor of the same repetitions\n\
         {}\n{}\n",
        describe(measured.program),
        effort.repetitions,
        (1 << effort.log2_frames) / 1000,
        variant::ABOUT,
        xdp_filter::ABOUT,
    );
    for reason in &measured.missing {
        let _ = writeln!(text, "{reason}");
    }
    text.push('\n');
    let heads = ["case", "ip", "listed", "devices", "frames", "total", "net", "variant", "×", "xdp-f.", "×"];
    line(&mut text, heads.map(str::to_owned));
    for row in &measured.rows {
        line(&mut text, cells(row));
    }
    text
}

/// One document.
pub(crate) fn json(machine: &Machine, effort: Effort, measured: &Measured) -> Result<String> {
    let cases: Vec<_> = measured
        .rows
        .iter()
        .map(|row| {
            let Case { name, family, hospital, verdict, reason, log2_frames, .. } = row.case;
            json!({
                "case": name,
                "family": family,
                "hospital": hospital,
                "frames": 1 << log2_frames,
                "verdict": verdict.name(),
                "reason": reason.name(),
                "results": row.results,
            })
        })
        .collect();
    let document = json!({
        "machine": machine,
        "effort": effort,
        "program": measured.program,
        "countries": measured.countries,
        "missing": measured.missing,
        "cases": cases,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn cells(row: &Row) -> [String; 11] {
    let case = &row.case;
    let family = match case.family {
        Family::V4 => "v4",
        Family::V6 => "v6",
    };
    let own = row.of("iomt-filter");
    let net = own.map_or(f64::NAN, super::measure::Outcome::net);
    let peer = |name| match row.of(name) {
        Some(outcome) => (number(outcome.net()), format!("{:.2}", outcome.net() / net)),
        None => ("-".to_owned(), "-".to_owned()),
    };
    let (variant, variant_ratio) = peer("variant");
    let (xdp_filter, xdp_filter_ratio) = peer("xdp-filter");
    [
        case.name.to_owned(),
        family.to_owned(),
        short(case.hospital.listed),
        short(case.hospital.devices),
        short(1 << case.log2_frames),
        own.map_or("-".to_owned(), |own| number(own.total.median)),
        number(net),
        variant,
        variant_ratio,
        xdp_filter,
        xdp_filter_ratio,
    ]
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

fn line(text: &mut String, [case, family, rest @ ..]: [String; 11]) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{case:<30} {family:<2}");
    for cell in rest {
        let _ = write!(text, " {cell:>8}");
    }
    text.push('\n');
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}

/// Thousands and millions.
fn short(count: u32) -> String {
    match count {
        1_000_000.. => format!("{} M", count / 1_000_000),
        1000.. => format!("{} k", count / 1000),
        _ => count.to_string(),
    }
}
