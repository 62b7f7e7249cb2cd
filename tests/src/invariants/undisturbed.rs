//! Scripts with some dropped frames left out: what is left must be judged as before.

use std::collections::BTreeSet;
use std::net::IpAddr;

use iomt_filter_common::device::Port;
use iomt_filter_common::{Reason, Verdict};

use super::{Answers, answers};
use crate::differential::Maker;
use crate::generate::{Script, Step};
use crate::judge::Observed;

/// Without the dropped frames of who is unknown or not who it says.
pub(super) fn by_liars(script: &Script, before: &Answers, maker: &mut dyn Maker) -> Option<usize> {
    let is_lie = |observed: &Observed| matches!(observed.reason, Reason::UnknownDevice | Reason::Spoofed);
    let lies = dropped(before, is_lie);
    changes(script, before, &lies, maker).into_iter().next()
}

/// Without any dropped frame of others. What changes without all of them is looked at again, sender by sender,
/// with what its own sender sent.
pub(super) fn by_others(script: &Script, before: &Answers, maker: &mut dyn Maker) -> Option<usize> {
    let all = dropped(before, |observed| observed.reason != Reason::RateLimit);
    let of = |at: usize| sender(&script.steps[at], before[at].as_ref());
    let changed = changes(script, before, &all, maker);
    let senders: BTreeSet<Sender> = changed.iter().filter_map(|at| of(*at)).collect();
    senders.into_iter().find_map(|own| {
        let others = all.iter().copied().filter(|at| of(*at) != Some(own)).collect();
        let changed = changes(script, before, &others, maker);
        changed.into_iter().find(|at| of(*at) == Some(own))
    })
}

/// The steps whose frames were dropped, and of which `is_one` is true.
fn dropped(answers: &Answers, is_one: impl Fn(&Observed) -> bool) -> BTreeSet<usize> {
    let is_gone = |observed: &Observed| matches!(observed.verdict, Verdict::Drop | Verdict::Reset);
    let one = |observed: &Option<Observed>| observed.as_ref().is_some_and(|o| is_gone(o) && is_one(o));
    answers.iter().enumerate().filter(|(_, answer)| one(answer)).map(|(at, _)| at).collect()
}

/// Whether on a device port, hardware address, address.
type Sender = (bool, [u8; 6], Option<IpAddr>);

fn sender(step: &Step, observed: Option<&Observed>) -> Option<Sender> {
    let Step::Frame { port, .. } = step else { return None };
    let fields = &observed?.fields;
    Some((*port == Port::Device, fields.macs.0, fields.addresses.map(|(source, _)| source)))
}

/// The steps whose verdict is another one without these.
fn changes(
    script: &Script,
    before: &Answers,
    left_out: &BTreeSet<usize>,
    maker: &mut dyn Maker,
) -> Vec<usize> {
    if left_out.is_empty() {
        return Vec::new();
    }
    let kept: Vec<usize> = (0..script.steps.len()).filter(|at| !left_out.contains(at)).collect();
    let after = answers(&without(script, left_out), maker);
    let changed = kept.into_iter().zip(after).filter_map(|(at, after)| {
        let (before, after) = (before[at].as_ref()?, after?);
        // What is left of a packet whose beginning was dropped is nothing to whoever gets it.
        let is_later = before.fields.fragment.is_some_and(|(_, offset)| offset != 0);
        (before.verdict != after.verdict && !is_later).then_some(at)
    });
    changed.collect()
}

/// The script without these steps. Time passes all the same.
fn without(script: &Script, left_out: &BTreeSet<usize>) -> Script {
    let mut steps = Vec::new();
    let mut lost = 0;
    for (at, step) in script.steps.iter().enumerate() {
        let mut step = step.clone();
        match &mut step {
            Step::Frame { after, .. } if left_out.contains(&at) => {
                lost += *after;
                continue;
            }
            Step::Frame { after, .. } | Step::Beat(after) => *after += std::mem::take(&mut lost),
            Step::Load(_) => {}
        }
        steps.push(step);
    }
    Script { world: script.world.clone(), steps }
}
