//! Looks on as frames pass, and says what should not have.

use iomt_filter_common::Reason;
use iomt_filter_common::device::Port;

use super::Invariant;
use super::passed::Passed;
use super::policy;
use super::reading::Seen;
use crate::judge::Observed;
use crate::world::{Device, Opens, World};

/// The hospital, and what has passed in it.
pub(super) struct Witness {
    world: World,
    passed: Passed,
    /// Addresses have got other owners: what was opened by who is a device now may have been nobody's then.
    has_moved: bool,
}

/// A frame at the ends of which devices are looked for.
struct Sight<'s> {
    seen: Seen,
    port: Port,
    macs: ([u8; 6], [u8; 6]),
    vlan: u16,
    observed: &'s Observed,
    now: u64,
}

impl Witness {
    pub(super) fn of(world: &World) -> Self {
        Self { world: world.clone(), passed: Passed::default(), has_moved: false }
    }

    pub(super) fn load(&mut self, world: &World) {
        self.has_moved |= self.world.devices != world.devices;
        self.world = world.clone();
    }

    /// Looks at a frame that passed; what of it is a breach.
    pub(super) fn sees(&mut self, frame: &[u8], port: Port, now: u64, observed: &Observed) -> Vec<Invariant> {
        // What cannot be read passes by `unparsed`, and neighbour discovery is a matter of the link.
        let Some(seen) = Seen::of(frame, observed).filter(|seen| !seen.is_discovery) else {
            return Vec::new();
        };
        if matches!(observed.reason, Reason::Fragment | Reason::Link) {
            return Vec::new();
        }
        let fields = &observed.fields;
        let vlan = fields.vlan.iter().copied().rfind(|vlan| *vlan != 0).unwrap_or(0);
        // What is left of a packet whose beginning was dropped is nothing to whoever gets it.
        let Some(seen) = self.passed.completed(seen, port == Port::Device, now) else { return Vec::new() };
        let sight = Sight { seen, port, macs: fields.macs, vlan, observed, now };
        let mut found = Vec::new();
        let receiver = self.receiver(&sight);
        if receiver.is_some_and(|device| !self.may_receive(device, &sight)) {
            found.push(Invariant::NothingUnasked);
        }
        let source = sight.seen.tuple.source.0;
        let sender = match port {
            Port::Device => self.world.sender(source, sight.macs.0, vlan),
            Port::Uplink => None,
        };
        if let Some(sender) = &sender
            && sender.is_certain
            && self.world.is_strict(sender.device)
            && !(sender.is_honest && self.may_send(sender.device, &sight))
        {
            found.push(Invariant::NothingUnallowed);
        }
        let believed = match port {
            Port::Device => sender.filter(|sender| sender.is_honest).map(|sender| sender.device),
            // Bindings hold on device ports: a device may be reached through an uplink.
            Port::Uplink => self.world.owner(source),
        };
        let believed = believed.map(|device| device.name.clone());
        let is_to_many = self.world.is_to_many(sight.seen.tuple.destination.0, sight.macs.1);
        self.passed.note(&sight.seen, port == Port::Device, believed.as_deref(), is_to_many, now);
        found
    }

    /// The enforced device that gets the frame: by the inventory, by its hardware address where the address is
    /// link-local, or by what the judge says of leases.
    fn receiver(&self, sight: &Sight<'_>) -> Option<&Device> {
        let destination = sight.seen.tuple.destination.0;
        let by_lease = || {
            let observed = sight.observed;
            let named = observed
                .device
                .as_ref()
                .filter(|_| observed.direction == iomt_filter_common::Direction::ToDevice)?;
            self.world.devices.iter().find(|device| device.name == *named)
        };
        let found = policy::receiver(&self.world, destination, sight.macs.1, sight.vlan, sight.port);
        found.or_else(by_lease).filter(|device| self.world.is_strict(device))
    }

    fn may_receive(&self, device: &Device, sight: &Sight<'_>) -> bool {
        let Sight { seen, now, .. } = sight;
        if self.world.is_management(seen) {
            return true;
        }
        let tuple = seen.tuple;
        let rule =
            |opens, port| self.world.covers(device, opens, tuple.source.0, (tuple.protocol, port), *now);
        // In the middle of a connection that the device opened.
        let is_picked_up = || {
            self.world.picks_up() && tuple.protocol == 6 && !seen.opens && rule(Opens::Device, tuple.source.1)
        };
        !self.world.is_locked(device)
            && (rule(Opens::Peer, tuple.destination.1)
                || self.passed.has_sent(seen, *now)
                || self.passed.has_asked(&tuple, &device.name, *now)
                || self.passed.is_about(seen, *now)
                || (self.has_moved
                    && self.passed.was_sent(seen, *now)
                    && rule(Opens::Device, tuple.source.1))
                || is_picked_up())
    }

    fn may_send(&self, device: &Device, sight: &Sight<'_>) -> bool {
        let Sight { seen, now, .. } = sight;
        if self.world.is_management(seen) {
            return true;
        }
        let tuple = seen.tuple;
        let rule =
            |opens, port| self.world.covers(device, opens, tuple.destination.0, (tuple.protocol, port), *now);
        // A question to a group stands for whoever answers, as far as that one may be asked.
        let answers_group =
            || self.passed.was_asked(&tuple, *now).into_iter().any(|service| rule(Opens::Peer, service));
        let is_picked_up = || {
            self.world.picks_up() && tuple.protocol == 6 && !seen.opens && rule(Opens::Peer, tuple.source.1)
        };
        // What this host sends is seen by nobody.
        let answers_host = || {
            self.world.own.contains(&tuple.destination.0) && !seen.opens && rule(Opens::Peer, tuple.source.1)
        };
        !self.world.is_locked(device)
            && (rule(Opens::Device, tuple.destination.1)
                || self.passed.was_sent(seen, *now)
                || self.passed.is_about(seen, *now)
                || answers_group()
                || answers_host()
                || is_picked_up())
    }
}
