//! What looks like no device's work: scans, and what was seen once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use jiff::SignedDuration;

use super::{LeftOut, Need};
use crate::contacts::{Contact, Direction};

/// Far ends of one service, or services of one far end, from which on a device looks for something.
const MANY: usize = 16;
/// Packets at most of what was only looked for: a question and what comes of it.
const FEW_PACKETS: u64 = 3;
/// IANA's number of the Internet Group Management Protocol.
const IGMP: u8 = 2;
/// Who hears reports of Multicast Listener Discovery (RFC 3810 §5.2.14).
const MLD_ROUTERS: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16));
/// Shorter than this is once.
const ONCE: SignedDuration = SignedDuration::from_secs(60);

/// Takes what looks like no work out of `needs`, and says so.
pub(super) fn take_out(needs: &mut Vec<Need>, name: impl Fn(&Contact) -> String) -> Vec<LeftOut> {
    let mut out = sweeps(needs, &name);
    let devices_of = |needs: &[Need]| {
        let mut devices: BTreeMap<_, BTreeSet<Arc<str>>> = BTreeMap::new();
        for Need { contact, target } in needs {
            let key = (contact.direction, target.clone(), contact.protocol, contact.port);
            devices.entry(key).or_default().insert(contact.device.clone());
        }
        devices
    };
    let devices = devices_of(needs);
    needs.retain(|Need { contact, target }| {
        let key = (contact.direction, target.clone(), contact.protocol, contact.port);
        let is_alone = devices.get(&key).is_none_or(|devices| devices.len() < 2);
        let is_once = is_once(contact) && !is_membership(contact);
        if is_alone && is_once {
            out.push(LeftOut {
                device: contact.device.to_string(),
                direction: contact.direction,
                peer: target.name(),
                service: name(contact),
                packets: contact.packets,
                last_seen: contact.last_seen,
                why: "seen once, and of no other device".to_owned(),
            });
        }
        !(is_alone && is_once)
    });
    out
}

/// Whether something was done once, and no more came of it.
pub(crate) fn is_once(contact: &Contact) -> bool {
    is_few(contact) && contact.first_seen.duration_until(contact.last_seen) < ONCE
}

const fn is_few(contact: &Contact) -> bool {
    contact.packets <= FEW_PACKETS
}

/// Whether a device tells switches and routers which groups it listens to (RFC 3376, RFC 3810): said once until somebody
/// asks, and without it the groups go silent.
fn is_membership(contact: &Contact) -> bool {
    contact.protocol == IGMP && contact.peer.is_multicast() || contact.peer == MLD_ROUTERS
}

/// What a device looked for: far ends by one service, or services of one far end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sweep {
    FarEnds(Arc<str>, Direction, u8, Option<u16>),
    Services(Arc<str>, Direction, IpAddr),
}

/// Many far ends of one service, and many services of one far end, with a packet or two each.
fn sweeps(needs: &mut Vec<Need>, name: &impl Fn(&Contact) -> String) -> Vec<LeftOut> {
    let far_ends = |contact: &Contact| {
        Sweep::FarEnds(contact.device.clone(), contact.direction, contact.protocol, contact.port)
    };
    let services =
        |contact: &Contact| Sweep::Services(contact.device.clone(), contact.direction, contact.peer);
    let mut out = take_sweeps(needs, far_ends, name);
    out.extend(take_sweeps(needs, services, name));
    out
}

fn take_sweeps(
    needs: &mut Vec<Need>,
    sweep: impl Fn(&Contact) -> Sweep,
    name: &impl Fn(&Contact) -> String,
) -> Vec<LeftOut> {
    let mut found: BTreeMap<Sweep, Vec<Contact>> = BTreeMap::new();
    for contact in needs.iter().map(|need| &need.contact).filter(|contact| is_few(contact)) {
        found.entry(sweep(contact)).or_default().push(contact.clone());
    }
    found.retain(|_, contacts| contacts.len() >= MANY);
    needs.retain(|need| !is_few(&need.contact) || !found.contains_key(&sweep(&need.contact)));
    let told = found.into_iter().filter_map(|(sweep, contacts)| {
        let last = contacts.iter().max_by_key(|contact| contact.last_seen)?;
        let many = contacts.len();
        let (peer, service, what) = match sweep {
            Sweep::FarEnds(..) => (format!("{many} far ends"), name(last), "far ends"),
            Sweep::Services(_, _, peer) => (peer.to_string(), format!("{many} services"), "services"),
        };
        Some(LeftOut {
            device: last.device.to_string(),
            direction: last.direction,
            peer,
            service,
            packets: contacts.iter().map(|contact| contact.packets).sum(),
            last_seen: last.last_seen,
            why: format!("a scan: {many} {what}, with {FEW_PACKETS} packets each at most"),
        })
    });
    told.collect()
}
