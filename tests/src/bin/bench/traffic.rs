//! The frames of a case.

use std::net::IpAddr;

use bench_ebpf::{PORT_OFFSET_V4, PORT_OFFSET_V6};
use iomt_filter_common::Mac;
use iomt_filter_common::packet::{TCP_ACK, TCP_SYN};

use crate::case::Case;
use crate::countries::Countries;
use crate::far_ends::{self, Kind};
use crate::frame::{self, Ends, Frame, Tcp};
use crate::hospital::{ALLOWED_PORT, Family, device_address, device_mac};
use crate::spread::mix;

/// What speaks on uplinks.
const ROUTER: Mac = Mac([0x02, 0xff, 0, 0, 0, 1]);
/// Far ends of connections that are open.
const OPEN_FAR_ENDS: u32 = 1 << 16;

/// Who sends what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// Devices speak in one of so many connections.
    Established { flows: u32 },
    /// Far ends speak in one of so many connections that devices opened.
    Answers { flows: u32 },
    /// Devices open connections to far ends, from another port every time.
    Opens { to: Kind, service: u16 },
    /// Something that is not in the inventory speaks behind a device port.
    FromUnknown,
    /// The network speaks to what is neither a device nor in a segment.
    Transit,
    /// Devices look for their router.
    Link,
}

/// A case and the far ends that it is about.
pub(crate) struct Frames<'c> {
    case: &'c Case,
    far_ends: Vec<IpAddr>,
}

impl<'c> Frames<'c> {
    /// Looks for the far ends.
    pub(crate) fn of(case: &'c Case, countries: &Countries) -> Self {
        let (kind, count) = match case.traffic {
            Traffic::Opens { to, .. } => (to, 1 << case.log2_frames),
            Traffic::Established { flows } | Traffic::Answers { flows } => {
                (Kind::Clean, flows.min(OPEN_FAR_ENDS))
            }
            Traffic::FromUnknown | Traffic::Transit => (Kind::Clean, OPEN_FAR_ENDS),
            Traffic::Link => (Kind::Clean, 1),
        };
        Self { case, far_ends: far_ends::some(countries, case.family, kind, count as usize) }
    }

    /// Where the driver writes a source port that was never used, 0 for nowhere.
    pub(crate) const fn port_offset(&self) -> u64 {
        match (self.case.traffic, self.case.family) {
            (Traffic::Opens { .. }, Family::V4) => PORT_OFFSET_V4,
            (Traffic::Opens { .. }, Family::V6) => PORT_OFFSET_V6,
            _ => 0,
        }
    }

    /// The frame with this number, and the device that it counts for.
    pub(crate) fn frame(&self, number: u32) -> (Frame, u32) {
        let chance = mix(u64::from(number)) as u32;
        let family = self.case.family;
        match self.case.traffic {
            Traffic::Established { flows } => {
                let (flow, device) = self.flow(number, flows);
                let tcp =
                    Tcp { source_port: self.flow_port(flow), destination_port: ALLOWED_PORT, flags: TCP_ACK };
                (frame::tcp(&self.outbound(device, flow), tcp), device)
            }
            Traffic::Answers { flows } => {
                let (flow, device) = self.flow(number, flows);
                let tcp =
                    Tcp { source_port: ALLOWED_PORT, destination_port: self.flow_port(flow), flags: TCP_ACK };
                let destination = device_address(family, device);
                (frame::tcp(&Ends { source_mac: ROUTER, source: self.far(flow), destination }, tcp), device)
            }
            Traffic::Opens { service, .. } => {
                let device = self.device(chance);
                let tcp = Tcp { source_port: 0, destination_port: service, flags: TCP_SYN };
                (frame::tcp(&self.outbound(device, number), tcp), device)
            }
            Traffic::FromUnknown => {
                let stranger = self.case.hospital.devices + 1 + chance % 1000;
                let tcp = Tcp { source_port: 1024, destination_port: ALLOWED_PORT, flags: TCP_SYN };
                (frame::tcp(&self.outbound(stranger, number), tcp), 0)
            }
            Traffic::Transit => {
                // Nobody speaks to itself.
                let destination = self.far(number + 1 + chance % 1000);
                let ends = Ends { source_mac: ROUTER, source: self.far(number), destination };
                let tcp = Tcp { source_port: 1024, destination_port: ALLOWED_PORT, flags: TCP_ACK };
                (frame::tcp(&ends, tcp), 0)
            }
            Traffic::Link => {
                let mut ends = self.outbound(self.device(chance), 0);
                ends.destination = device_address(family, 0);
                let frame = match family {
                    Family::V4 => frame::arp(&ends),
                    Family::V6 => frame::neighbour_solicitation(&ends),
                };
                (frame, 0)
            }
        }
    }

    /// The frame with this number, to another far end.
    pub(crate) fn frame_to(&self, number: u32, far_end: IpAddr) -> Frame {
        Self { case: self.case, far_ends: vec![far_end] }.frame(number).0
    }

    /// The connection of a frame, each equally often as far as there are frames for it, and its device.
    fn flow(&self, number: u32, flows: u32) -> (u32, u32) {
        // An odd factor visits every remainder of the number of frames once, far from the one before.
        let place = number.wrapping_mul(0x9e37_79b1) & ((1 << self.case.log2_frames) - 1);
        let flow = place % flows;
        (flow, self.device(mix(u64::from(flow)) as u32))
    }

    const fn device(&self, chance: u32) -> u32 {
        chance % self.case.hospital.devices + 1
    }

    fn far(&self, number: u32) -> IpAddr {
        self.far_ends[number as usize % self.far_ends.len()]
    }

    /// Connections that share a far end have different ports.
    fn flow_port(&self, flow: u32) -> u16 {
        49_152 + (flow as usize / self.far_ends.len()) as u16
    }

    fn outbound(&self, device: u32, far: u32) -> Ends {
        Ends {
            source_mac: device_mac(device),
            source: device_address(self.case.family, device),
            destination: self.far(far),
        }
    }
}
