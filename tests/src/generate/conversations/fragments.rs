//! Packets in pieces: in order and out of it, twice, over each other, with a piece missing.

use iomt_filter_common::device::Port;

use crate::packet::{Frame, Transport};
use crate::random::Random;

/// The same frames, some of them in fragments.
pub(super) fn torn(random: &mut Random, frames: Vec<(Port, Frame)>) -> Vec<(Port, Frame)> {
    let identification = random.pick(&[1, 2, 0x1_0001]);
    let mut all = Vec::new();
    for (number, (port, frame)) in (0..).zip(frames) {
        if random.chance(50) {
            let identification = identification + number / random.pick(&[1, 2]);
            all.extend(pieces(random, &frame, identification).into_iter().map(|piece| (port, piece)));
        } else {
            all.push((port, frame));
        }
    }
    all
}

fn pieces(random: &mut Random, frame: &Frame, identification: u32) -> Vec<Frame> {
    let Some((source, destination)) = frame.internet.addresses() else { return vec![frame.clone()] };
    let mut payload = frame.transport.bytes(source, destination);
    payload.resize(payload.len().max(random.pick(&[24, 64, 120])), 0x77);
    let number = frame.transport.number(source.is_ipv6());
    let piece = |start: usize, end: usize| {
        let end = end.min(payload.len());
        let mut piece = frame.clone();
        piece.transport = Transport::Raw(number, payload[start.min(end)..end].to_vec());
        piece.fragment(identification, start as u16, end < payload.len())
    };
    let mut bounds = vec![0, random.pick(&[8, 24, 24, 24, 40])];
    while bounds.last().is_some_and(|last| *last < payload.len()) {
        let last = bounds.last().copied().unwrap_or_default();
        bounds.push(last + random.pick(&[8, 8, 8, 16, 24]));
    }
    let mut spans: Vec<(usize, usize)> = bounds.windows(2).map(|pair| (pair[0], pair[1])).collect();
    disturb(random, &mut spans);
    spans.into_iter().map(|(start, end)| piece(start, end)).collect()
}

fn disturb(random: &mut Random, spans: &mut Vec<(usize, usize)>) {
    match random.below(7) {
        0 | 1 => {}
        2 => shuffle(random, spans),
        // The first in front, the others anyhow: gaps that close later.
        3 => shuffle(random, &mut spans[1..]),
        4 => {
            let again = random.pick(spans.as_slice());
            spans.insert(random.below(spans.len() + 1), again);
        }
        5 => {
            let (start, end) = random.pick(spans.as_slice());
            let over = random.pick(&[(start + 8, end + 8), (start.saturating_sub(8), end), (start, end + 8)]);
            spans.insert(random.below(spans.len() + 1), over);
        }
        _ => drop(spans.remove(random.below(spans.len()))),
    }
    // Every second one: more gaps than anybody keeps.
    if spans.len() > 6 && random.chance(30) {
        let mut odd: Vec<_> = spans.iter().copied().step_by(2).collect();
        odd.extend(spans.iter().copied().skip(1).step_by(2));
        *spans = odd;
    }
}

fn shuffle(random: &mut Random, spans: &mut [(usize, usize)]) {
    for index in (1..spans.len()).rev() {
        spans.swap(index, random.below(index + 1));
    }
}
