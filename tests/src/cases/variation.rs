//! What must not matter: padding, options, tags in front, the family, and what else a hospital has.

use super::{Play, company, family};
use crate::packet::{Extension, Frame, Internet, TPID_8021AD, TPID_8021Q, Tag};

/// A play that says the same in another way; nothing where the play is about what would change.
pub(super) type Vary = fn(&Play) -> Option<Play>;

/// A VLAN that no case is about.
const SOME_VLAN: u16 = 30;
const OUTER_VLAN: u16 = 7;

/// The first is the play as it is written.
pub(super) const VARIATIONS: &[(&str, Vary)] = &[
    ("as it is", |play| Some(play.clone())),
    ("with padding", |play| packets(play, |frame| frame.padding += 23)),
    ("with an option", |play| packets(play, option)),
    ("with a tag where there is none", |play| tags(play, tag)),
    ("with two tags", |play| tags(play, two_tags)),
    ("with devices bound to a VLAN", bound),
    ("with devices bound to no VLAN", unbound),
    ("in the other family", family::translated),
    ("in the other family with two tags", |play| tags(&family::translated(play)?, two_tags)),
    ("with unrelated things behind", |play| Some(company::behind(play))),
    ("with unrelated things before", |play| Some(company::before(play))),
];

fn packets(play: &Play, change: fn(&mut Frame)) -> Option<Play> {
    let mut varied = play.varies.packet.then(|| play.clone())?;
    varied.map_frames(|frame| {
        if is_honest(frame) {
            change(frame);
        }
    });
    Some(varied)
}

fn tags(play: &Play, change: fn(&mut Frame)) -> Option<Play> {
    let mut varied = play.varies.tags.then(|| play.clone())?;
    varied.map_frames(change);
    Some(varied)
}

/// Whether lengths and versions are what they should be: of other frames every byte matters.
fn is_honest(frame: &Frame) -> bool {
    let header = match &frame.internet {
        Internet::V4(v4) => v4.version == 4 && v4.header_words.is_none() && v4.total_length.is_none(),
        Internet::V6(v6) => v6.version == 6 && v6.next_header.is_none() && v6.payload_length.is_none(),
        Internet::Arp(_) | Internet::Raw(..) => true,
    };
    header && frame.truncate.is_none() && frame.overwrite.is_empty()
}

/// A record of the route; destination options, in front of which only hop-by-hop options may be.
fn option(frame: &mut Frame) {
    match &mut frame.internet {
        Internet::V4(v4) if v4.options.is_empty() => v4.options = vec![7, 7, 4, 0, 0, 0, 0, 0],
        Internet::V6(v6) if v6.extensions.len() < 8 => {
            let at = usize::from(v6.extensions.first().is_some_and(|first| first.kind == 0));
            v6.extensions.insert(at, Extension::destination_options());
        }
        Internet::V4(_) | Internet::V6(_) | Internet::Arp(_) | Internet::Raw(..) => {}
    }
}

fn tag(frame: &mut Frame) {
    if frame.tags.is_empty() {
        frame.tags = vec![Tag { tpid: TPID_8021Q, tci: SOME_VLAN }];
    }
}

fn two_tags(frame: &mut Frame) {
    tag(frame);
    if frame.tags.len() == 1 {
        // The priority is no part of the identifier.
        frame.tags.insert(0, Tag { tpid: TPID_8021AD, tci: 0xe000 | OUTER_VLAN });
    }
}

fn bound(play: &Play) -> Option<Play> {
    let mut varied = tags(play, tag)?;
    varied.map_worlds(|world| {
        for device in &mut world.devices {
            device.vlan = device.vlan.or(Some(SOME_VLAN));
        }
    });
    Some(varied)
}

fn unbound(play: &Play) -> Option<Play> {
    let mut varied = tags(play, |frame| {
        if frame.tags.len() <= 2 {
            frame.tags.clear();
        }
    })?;
    varied.map_worlds(|world| {
        for device in &mut world.devices {
            device.vlan = None;
        }
    });
    Some(varied)
}
