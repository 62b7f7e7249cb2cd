//! Packets a second through a cable between two network namespaces, in native mode where XDP judges: the
//! generator and whoever receives run one after the other on one CPU, so that nothing is lost, and everything
//! that is sent must come in.

use anyhow::{Result, ensure};

use crate::case::{self, Case};
use crate::countries::Countries;
use crate::driver::Driver;
use crate::far_ends::{self, Kind};
use crate::figure::{Figure, figure};
use crate::hospital::Family;
use crate::measure::pin;
use crate::sample::Sample;
use crate::traffic::{Frames, Traffic};

mod path;
mod receivers;

use path::Path;
use receivers::Receiver;

pub(crate) const ABOUT: &str = "packets a second through veth, one CPU for sender and receiver (its time counts, not that of others), median; \
    received = sent, and dropped = sent by the receiver's own counter, in every repetition; IPv4, list of 1 M hosts all over";

/// How much is sent.
#[derive(Clone, Copy)]
struct Effort {
    log2_frames: u32,
    repetitions: u32,
    listed: u32,
}

/// All figures, and why some are missing.
pub(crate) fn measure(countries: &Countries, is_short: bool) -> Result<(Vec<Figure>, Vec<String>)> {
    if let Some(reason) = Path::missing() {
        return Ok((Vec::new(), vec![format!("not measured: {reason}")]));
    }
    pin()?;
    let log2_frames = if is_short { 16 } else { 18 };
    let effort =
        Effort { log2_frames, repetitions: if is_short { 3 } else { 7 }, listed: case::HOSPITAL.listed };
    let mut driver = Driver::load(log2_frames)?;
    let (mut figures, mut missing) = (Vec::new(), Vec::new());
    let mut dropping =
        vec![Receiver::floor(true)?, Receiver::filter(countries)?, Receiver::variant(countries)?];
    let listed = far_ends::some(countries, Family::V4, Kind::Listed(effort.listed), effort.listed as usize);
    let peers: [(&str, Maker); 4] = [
        ("nft", |listed| Receiver::nftables("nftables netdev ingress, hash set", true, false, listed)),
        ("nft", |listed| Receiver::nftables("nftables netdev ingress, interval set", true, true, listed)),
        ("nft", |listed| Receiver::nftables("nftables prerouting, hash set", false, false, listed)),
        ("ipset", Receiver::ipset),
    ];
    let of_short = if is_short { 1 } else { peers.len() };
    for (command, make) in peers.into_iter().take(of_short) {
        match is_installed(command) {
            true => match make(&listed) {
                Ok(receiver) => dropping.push(receiver),
                Err(error) => missing.push(format!("not measured: {error:#}")),
            },
            false => missing.push(format!("not measured: `{command}` is not installed")),
        }
    }
    let case = find(|case| matches!(case.traffic, Traffic::Opens { to: Kind::Listed(_), .. }), log2_frames)?;
    figures.extend(run(&mut driver, &dropping, &case, effort, countries, "dropped")?);
    for receiver in &dropping {
        if let Some(seconds) = receiver.loaded {
            figures.push(figure(format!("{}: the list is loaded", receiver.name), seconds, "s"));
        }
    }
    drop(dropping);
    let mut forwarding = vec![Receiver::nobody()?, Receiver::floor(false)?, Receiver::filter(countries)?];
    match is_installed("nft") {
        true => forwarding.push(Receiver::conntrack()?),
        false => missing.push("not measured: `nft` is not installed".to_owned()),
    }
    let case = find(|case| case.traffic == Traffic::Established { flows: 1000 }, 12)?;
    figures.extend(run(&mut driver, &forwarding, &case, effort, countries, "forwarded, 1 k flows")?);
    Ok((figures, missing))
}

type Maker = fn(&[std::net::IpAddr]) -> Result<Receiver>;

/// The case of the usual hospital that this is true of, with so many frames.
fn find(is_it: impl Fn(&Case) -> bool, log2_frames: u32) -> Result<Case> {
    let usual = |case: &Case| case.hospital == case::HOSPITAL && case.family == Family::V4;
    let found = case::all().into_iter().find(|case| usual(case) && is_it(case));
    let case = found.ok_or_else(|| anyhow::anyhow!("there is no such case"))?;
    Ok(Case { log2_frames, ..case })
}

/// Sends all of them the same frames, one after the other in each repetition.
fn run(
    driver: &mut Driver,
    receivers: &[Receiver],
    case: &Case,
    effort: Effort,
    countries: &Countries,
    what: &str,
) -> Result<Vec<Figure>> {
    let frames = Frames::of(case, countries);
    driver.set_frames(case.log2_frames, |number| frames.frame(number).0);
    let count = 1_u32 << effort.log2_frames;
    let is_drop = case.verdict != iomt_filter_common::Verdict::Pass;
    for receiver in receivers {
        receiver.path.send(driver, frames.port_offset(), count)?;
    }
    let mut times = vec![Vec::new(); receivers.len()];
    for _ in 0..effort.repetitions {
        for (receiver, times) in receivers.iter().zip(&mut times) {
            let (dropped, forwarded) = (receiver.dropped()?, receiver.path.forwarded()?);
            let spent = receiver.path.send(driver, frames.port_offset(), count)?;
            times.push(spent.as_secs_f64() * 1e9 / f64::from(count));
            let forwarded = receiver.path.forwarded()? - forwarded;
            let wanted = if is_drop { 0 } else { u64::from(count) };
            ensure!(
                forwarded == wanted,
                "{}: {forwarded} frames were forwarded, not {wanted}",
                receiver.name
            );
            if let (Some(before), Some(after)) = (dropped, receiver.dropped()?) {
                let wanted = u64::from(count) - wanted;
                ensure!(
                    after - before == wanted,
                    "{}: {} frames were dropped",
                    receiver.name,
                    after - before
                );
            }
        }
    }
    let samples: Vec<_> = times.iter().map(|times| Sample::of(times)).collect();
    let own = receivers.iter().zip(&samples).find(|(receiver, _)| receiver.name == "iomt-filter");
    let own = own.map_or(f64::NAN, |(_, sample)| sample.median);
    let figures = receivers.iter().zip(&samples).map(|(receiver, sample)| {
        let note = format!(
            "{:.0} ns a packet (least {:.0}); × iomt-filter's: {:.2}",
            sample.median,
            sample.minimum,
            sample.median / own
        );
        figure(format!("{what}: {}", receiver.name), 1e3 / sample.median, "M/s").note(note)
    });
    Ok(figures.collect())
}

fn is_installed(command: &str) -> bool {
    std::process::Command::new(command).arg("--version").output().is_ok()
}
