//! What is measured: every kind of frame that takes another way through the filter.

use bench_ebpf::{PORT_OFFSET_V4, PORT_OFFSET_V6};
use iomt_filter_common::device::Port;
use iomt_filter_common::packet::{TCP_ACK, TCP_SYN};
use iomt_filter_common::{Mac, Reason, Verdict};

use crate::frame::{self, Ends, Frame, Tcp};
use crate::hospital::{
    ALLOWED_PORT, DEVICES, FIRST_LISTED, Family, Hospital, OTHER_PORT, device_address, device_mac, far_end,
    mix,
};

const ROUTER: Mac = Mac([0x02, 0xff, 0, 0, 0, 1]);

/// The tables: one filter is loaded for each.
pub(crate) const HOSPITALS: [Hospital; 3] = [
    Hospital { listed: 10_000, has_management: false },
    Hospital { listed: 100_000, has_management: false },
    Hospital { listed: 10_000, has_management: true },
];
const LISTED_10K: usize = 0;
const LISTED_100K: usize = 1;
const MANAGEMENT: usize = 2;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) family: Family,
    /// Which of [`HOSPITALS`].
    pub(crate) hospital: usize,
    pub(crate) port: Port,
    traffic: Traffic,
    /// What every frame must come to.
    pub(crate) verdict: Verdict,
    pub(crate) reason: Reason,
}

#[derive(Clone, Copy, Debug)]
enum Traffic {
    /// A device speaks in one of so many connections.
    Established { flows: u32 },
    /// A far end speaks in one of so many connections that devices opened.
    Answers { flows: u32 },
    /// A device opens a connection, from another port every time.
    Opens { service: u16 },
    /// A device opens a connection to a listed far end.
    ToListed,
    /// Something that is not in the inventory speaks behind a device port.
    FromUnknown,
    /// The network speaks to what is neither a device nor in a segment.
    Transit,
    /// A device looks for its router.
    Link,
}

/// Every case, for both families.
pub(crate) fn all() -> Vec<Case> {
    [Family::V4, Family::V6].into_iter().flat_map(of_family).collect()
}

fn of_family(family: Family) -> Vec<Case> {
    use Port::{Device, Uplink};
    use Verdict::{Drop, Pass};
    let case = |name, hospital, port, traffic, verdict, reason| Case {
        name,
        family,
        hospital,
        port,
        traffic,
        verdict,
        reason,
    };
    let established = |flows| Traffic::Established { flows };
    let opens = |service| Traffic::Opens { service };
    let answers = Traffic::Answers { flows: 1000 };
    let first = LISTED_10K;
    vec![
        case("link", first, Device, Traffic::Link, Pass, Reason::Link),
        case("no device", first, Uplink, Traffic::Transit, Pass, Reason::NoDevice),
        case("unknown device", first, Device, Traffic::FromUnknown, Drop, Reason::UnknownDevice),
        case("established, 1 k flows", first, Device, established(1000), Pass, Reason::Established),
        case("established, answers", first, Uplink, answers, Pass, Reason::Established),
        case("established, 32 k flows", first, Device, established(32_000), Pass, Reason::Established),
        case(
            "established, management pairs",
            MANAGEMENT,
            Device,
            established(1000),
            Pass,
            Reason::Established,
        ),
        case("new allowed flow", first, Device, opens(ALLOWED_PORT), Pass, Reason::Allowed),
        case("not allowed", first, Device, opens(OTHER_PORT), Drop, Reason::NotAllowed),
        case("blocked, 10 k listed", LISTED_10K, Device, Traffic::ToListed, Drop, Reason::Blocklist),
        case("blocked, 100 k listed", LISTED_100K, Device, Traffic::ToListed, Drop, Reason::Blocklist),
    ]
}

impl Case {
    /// Where the driver writes a source port that was never used, 0 for nowhere.
    pub(crate) const fn port_offset(&self) -> u64 {
        match (self.traffic, self.family) {
            (Traffic::Opens { .. }, Family::V4) => PORT_OFFSET_V4,
            (Traffic::Opens { .. }, Family::V6) => PORT_OFFSET_V6,
            _ => 0,
        }
    }

    /// The frame with this number, and the device that it counts for.
    pub(crate) fn frame(&self, number: u32) -> (Frame, u32) {
        let chance = mix(u64::from(number)) as u32;
        match self.traffic {
            Traffic::Established { flows } => {
                let flow = chance % flows;
                let tcp =
                    Tcp { source_port: flow_port(flow), destination_port: ALLOWED_PORT, flags: TCP_ACK };
                (frame::tcp(&self.outbound(flow, flow), tcp), device_of(flow))
            }
            Traffic::Answers { flows } => {
                let flow = chance % flows;
                let tcp =
                    Tcp { source_port: ALLOWED_PORT, destination_port: flow_port(flow), flags: TCP_ACK };
                (frame::tcp(&self.inbound(flow), tcp), device_of(flow))
            }
            Traffic::Opens { service } => {
                let tcp = Tcp { source_port: 0, destination_port: service, flags: TCP_SYN };
                (frame::tcp(&self.outbound(chance, number), tcp), device_of(chance))
            }
            Traffic::ToListed => {
                let listed = FIRST_LISTED + chance % HOSPITALS[self.hospital].listed;
                let tcp =
                    Tcp { source_port: flow_port(number), destination_port: ALLOWED_PORT, flags: TCP_SYN };
                (frame::tcp(&self.outbound(number, listed), tcp), device_of(number))
            }
            Traffic::FromUnknown => {
                let stranger = DEVICES + 1 + chance % 1000;
                let source = device_address(self.family, stranger);
                let destination = far_end(self.family, number);
                let ends = Ends { source_mac: device_mac(stranger), source, destination };
                let tcp = Tcp { source_port: 1024, destination_port: ALLOWED_PORT, flags: TCP_SYN };
                (frame::tcp(&ends, tcp), 0)
            }
            Traffic::Transit => {
                let (source, destination) = (far_end(self.family, number), far_end(self.family, chance));
                let tcp = Tcp { source_port: 1024, destination_port: ALLOWED_PORT, flags: TCP_ACK };
                (frame::tcp(&Ends { source_mac: ROUTER, source, destination }, tcp), 0)
            }
            Traffic::Link => {
                let mut ends = self.outbound(chance, number);
                ends.destination = device_address(self.family, 0);
                let frame = match self.family {
                    Family::V4 => frame::arp(&ends),
                    Family::V6 => frame::neighbour_solicitation(&ends),
                };
                (frame, 0)
            }
        }
    }

    fn outbound(&self, device: u32, far: u32) -> Ends {
        let device = device_of(device);
        Ends {
            source_mac: device_mac(device),
            source: device_address(self.family, device),
            destination: far_end(self.family, far),
        }
    }

    fn inbound(&self, flow: u32) -> Ends {
        let destination = device_address(self.family, device_of(flow));
        Ends { source_mac: ROUTER, source: far_end(self.family, flow), destination }
    }
}

const fn device_of(number: u32) -> u32 {
    number % DEVICES + 1
}

const fn flow_port(flow: u32) -> u16 {
    49_152 + (flow % 16_384) as u16
}
