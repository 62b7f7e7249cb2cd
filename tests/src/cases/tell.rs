//! Tells stories to a judge, with the reference model beside it.

#![allow(clippy::panic, reason = "what fails here fails the test that asked")]

use super::variation::{VARIATIONS, Vary};
use super::{BEGINNING, Play, Reset, STORIES, Shown, Step, Story};
use crate::differential::Maker;
use crate::judge::{Judge as _, Observed};
use crate::oracle::Oracle;
use crate::packet::{Frame, Internet, Transport};

/// Failures that are shown; behind them only a number.
const SHOWN: usize = 12;

/// Tells every story of `group` to judges of `maker`, in every variation.
///
/// # Panics
/// When an answer is another one than the story says, or than the model's.
pub fn tell(group: &str, maker: &mut dyn Maker) {
    let Some((_, stories)) = STORIES.iter().find(|(name, _)| *name == group) else {
        panic!("no stories are called `{group}`");
    };
    let mut failures = Vec::new();
    for (name, write) in *stories {
        let mut story = Story::default();
        write(&mut story);
        for (variation, vary) in variations() {
            for play in by_world(story.plays.iter().filter_map(vary).collect()) {
                if let Err(failure) = run(&play, maker) {
                    failures.push(format!("{group}::{name}, {variation}: {failure}"));
                }
            }
        }
    }
    let more = failures.len().saturating_sub(SHOWN);
    failures.truncate(SHOWN);
    assert!(failures.is_empty(), "{}\nand {more} more", failures.join("\n"));
}

/// `IOMT_FILTER_VARIATIONS=none` tells stories as they are written alone, for machines that are slow.
fn variations() -> &'static [(&'static str, Vary)] {
    let is_short = std::env::var("IOMT_FILTER_VARIATIONS").is_ok_and(|wanted| wanted == "none");
    if is_short { &VARIATIONS[..1] } else { VARIATIONS }
}

/// Plays in the same world one after the other: what takes long is to load one.
fn by_world(mut plays: Vec<Play>) -> Vec<Play> {
    let mut sorted = Vec::new();
    while let Some(first) = plays.first() {
        let world = first.world.clone();
        let (same, others): (Vec<Play>, Vec<Play>) = plays.into_iter().partition(|play| play.world == world);
        sorted.extend(same);
        plays = others;
    }
    sorted
}

/// The first answer that is not as it should be.
fn run(play: &Play, maker: &mut dyn Maker) -> Result<(), String> {
    let mut judge = maker.judge(&play.world);
    let mut oracle = Oracle::of(&play.world);
    let mut now = BEGINNING;
    for step in &play.steps {
        match step {
            Step::Wait(nanoseconds) => now = now.wrapping_add(*nanoseconds),
            Step::Load(world) => {
                judge.load(world);
                oracle.load(world);
            }
            Step::Beat => {
                judge.beat(now);
                oracle.beat(now);
            }
            Step::Frame(shown) => {
                let bytes = shown.frame.bytes();
                let told = judge.judge(&bytes, shown.port, now);
                compare(shown, &told).map_err(|why| format!("{}: {why}: {told:?}", shown.what))?;
                if let Some(back) = judge.sent_back() {
                    is_answer(shown, &back).map_err(|why| format!("{}: {why}", shown.what))?;
                }
                let model = oracle.judge(&bytes, shown.port, now);
                if told != model {
                    return Err(format!("{}: filter and model differ:\n{told:?}\n{model:?}", shown.what));
                }
            }
        }
    }
    Ok(())
}

fn compare(shown: &Shown, told: &Observed) -> Result<(), String> {
    let device = told.device.iter().map(|device| format!(" {device}")).collect::<String>();
    let answer = format!("{} {}{device}", told.verdict.name(), told.reason.name());
    if answer != shown.answer {
        return Err(format!("`{answer}` instead of `{}`", shown.answer));
    }
    if shown.rule.is_some() && told.rule != shown.rule {
        return Err(format!("another rule than {:?}", shown.rule));
    }
    let listing = told.listing.as_ref().map(|listed| (&*listed.feed, &*listed.entry, listed.score));
    let wanted = shown.listing.as_ref().map(|(feed, entry, score)| (&**feed, &**entry, *score));
    if wanted.is_some() && listing != wanted {
        return Err(format!("another list entry than {wanted:?}"));
    }
    if shown.country.is_some() && told.country != shown.country {
        return Err(format!("another country than {:?}", shown.country));
    }
    Ok(())
}

/// Whether `back` is, byte by byte, the reset that belongs to a frame.
fn is_answer(shown: &Shown, back: &[u8]) -> Result<(), String> {
    let Some(reset) = shown.reset else { return Err("nobody says what goes back".to_owned()) };
    let wanted = answer_to(&shown.frame, reset).bytes();
    if back == wanted { Ok(()) } else { Err(format!("sent back\n{back:02x?} instead of\n{wanted:02x?}")) }
}

/// A reset without options, from whom the frame was for, in the same VLAN.
fn answer_to(frame: &Frame, reset: Reset) -> Frame {
    let mut back = frame.reversed();
    back.padding = 0;
    match &mut back.internet {
        Internet::V4(v4) => {
            (v4.identification, v4.dont_fragment, v4.ttl, v4.checksum) = (0, true, 64, None);
            v4.options.clear();
        }
        Internet::V6(v6) => {
            v6.hop_limit = 64;
            v6.extensions.clear();
        }
        Internet::Arp(_) | Internet::Raw(..) => {}
    }
    if let Transport::Tcp(tcp) = &mut back.transport {
        (tcp.flags, tcp.sequence, tcp.acknowledged) = (reset.flags, reset.sequence, reset.acknowledged);
        (tcp.window, tcp.offset, tcp.checksum) = (0, None, None);
        tcp.options.clear();
        tcp.body.clear();
    }
    back
}
