//! TCP connections from beginning to end, exchanges of UDP and SCTP, pings.

use iomt_filter_common::device::Port;

use super::opening::Opening;
use crate::packet::{ACK, FIN, Frame, PSH, RST, SYN, Transport};
use crate::random::Random;

/// All that is said about an opening.
pub(super) fn session(random: &mut Random, opening: &Opening) -> Vec<(Port, Frame)> {
    match opening.protocol {
        6 => connection(random, opening),
        1 | 58 => pings(random, opening),
        _ => exchange(random, opening),
    }
}

fn connection(random: &mut Random, opening: &Opening) -> Vec<(Port, Frame)> {
    let (there, back) = ((true, random.below(40)), (false, random.below(120)));
    let say = |(is_there, data): (bool, usize), flags: u8| {
        let (port, frame) = if is_there { opening.there() } else { opening.back() };
        let (from, to) = opening.ports;
        let frame = if is_there { frame.tcp(from, to) } else { frame.tcp(to, from) };
        let carry = |transport: &mut Transport| {
            if let (Transport::Tcp(tcp), true) = (transport, flags & PSH != 0) {
                tcp.body = vec![0x42; data];
            }
        };
        (port, frame.flags(flags).transport(carry))
    };
    let mut said = match random.below(10) {
        // Nobody answers, or not this way.
        0 => vec![say(there, SYN), say(there, SYN), say(back, RST | ACK)],
        // The beginning was not seen.
        1 => vec![],
        _ => vec![say(there, SYN), say(back, SYN | ACK), say(there, ACK)],
    };
    for _ in 0..random.below(6) {
        said.push(say(if random.chance(50) { there } else { back }, ACK | PSH));
        said.push(say(if random.chance(50) { there } else { back }, ACK));
    }
    let (one, other) = if random.chance(50) { (there, back) } else { (back, there) };
    match random.below(6) {
        0 => said.extend([say(one, RST)]),
        // A reset that its receiver did not believe, or that somebody else sent.
        1 => said.extend([say(one, RST | ACK), say(other, ACK | PSH), say(one, ACK | PSH), say(other, ACK)]),
        2 => {}
        3 => said.extend([say(one, FIN | ACK), say(other, ACK | PSH), say(one, ACK)]),
        _ => said.extend([say(one, FIN | ACK), say(other, FIN | ACK), say(one, ACK)]),
    }
    if random.chance(20) {
        said.push(say(random.pick(&[one, other]), random.pick(&[ACK, SYN, SYN | ACK, RST])));
    }
    said
}

fn exchange(random: &mut Random, opening: &Opening) -> Vec<(Port, Frame)> {
    let length = random.pick(&[0, 4, 40, 130]);
    let say = |is_there: bool| {
        let (port, frame) = if is_there { opening.there() } else { opening.back() };
        let (from, to) = if is_there { opening.ports } else { (opening.ports.1, opening.ports.0) };
        let frame = match opening.protocol {
            17 => frame.udp(from, to).transport(|transport| {
                if let Transport::Udp(udp) = transport {
                    udp.body = vec![0x55; length];
                }
            }),
            132 => frame.sctp(from, to),
            number => frame.protocol(number, &vec![0x66; length]),
        };
        (port, frame)
    };
    let mut said = vec![say(true)];
    for _ in 0..1 + random.below(5) {
        said.push(say(random.chance(45)));
    }
    said
}

fn pings(random: &mut Random, opening: &Opening) -> Vec<(Port, Frame)> {
    let mut said = Vec::new();
    for _ in 0..1 + random.below(3) {
        let ((port, there), (other, back)) = (opening.there(), opening.back());
        said.push((port, there.ping(opening.ports.0)));
        said.push((other, back.pong(opening.ports.0)));
    }
    said
}
