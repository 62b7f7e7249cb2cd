//! The columns of a table, by what people write above them.

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    /// The port that is listened on, whoever listens.
    Port,
    /// A port of the device.
    LocalPort,
    /// A port of the other end.
    RemotePort,
    /// The port of who opens.
    SourcePort,
    /// The port of who is opened to.
    DestinationPort,
    /// TCP, UDP, or what is spoken over it.
    Protocol,
    /// Who opens.
    Direction,
    /// Whether others open.
    Inbound,
    /// Whether the device opens.
    Outbound,
    /// The other end.
    Peer,
    /// Who opens, by name.
    Source,
    /// Who is opened to, by name.
    Destination,
    /// What is spoken.
    Service,
    /// What it is for.
    Purpose,
    /// The device that the line is about.
    Model,
    /// Whether it is in use at all.
    State,
}

/// Titles in the form of [`plain`].
const TITLES: &[(Column, &[&str])] = &[
    (
        Column::Port,
        &[
            "port",
            "ports",
            "port number",
            "port numbers",
            "port no",
            "port nr",
            "port range",
            "port protocol",
            "network port",
            "network ports",
            "service port",
            "server port",
            "listening port",
            "listening ports",
            "open port",
            "open ports",
            "tcp udp port",
            "tcp udp ports",
            "tcp ip port",
            "ports used",
        ],
    ),
    (Column::LocalPort, &["local port", "local ports", "device port", "device ports", "own port"]),
    (Column::RemotePort, &["remote port", "remote ports", "peer port", "peer ports", "partner port"]),
    (Column::SourcePort, &["source port", "source ports", "src port", "sport"]),
    (
        Column::DestinationPort,
        &["destination port", "destination ports", "dest port", "dst port", "target port", "dport"],
    ),
    (
        Column::Protocol,
        &[
            "protocol",
            "protocols",
            "proto",
            "transport",
            "transport protocol",
            "transport layer",
            "tcp udp",
            "tcp or udp",
            "ip protocol",
            "layer 4 protocol",
            "l4 protocol",
            "port type",
            "protocol type",
        ],
    ),
    (
        Column::Direction,
        &[
            "direction",
            "traffic direction",
            "connection direction",
            "communication direction",
            "in out",
            "inbound outbound",
            "incoming outgoing",
            "direction of traffic",
        ],
    ),
    (Column::Inbound, &["inbound", "incoming", "ingress", "in"]),
    (Column::Outbound, &["outbound", "outgoing", "egress", "out"]),
    (
        Column::Peer,
        &[
            "peer",
            "remote",
            "remote host",
            "remote system",
            "remote partner",
            "remote device",
            "remote address",
            "remote ip",
            "partner",
            "communication partner",
            "connected system",
            "connects to",
            "connection to",
            "endpoint",
        ],
    ),
    (Column::Source, &["source", "source system", "source address", "source ip", "source host", "from"]),
    (
        Column::Destination,
        &[
            "destination",
            "destination system",
            "destination address",
            "destination ip",
            "destination host",
            "target",
            "to",
        ],
    ),
    (
        Column::Service,
        &[
            "service",
            "services",
            "service name",
            "network service",
            "application",
            "application protocol",
            "layer 7 protocol",
            "program",
            "programs",
            "function",
        ],
    ),
    (
        Column::Purpose,
        &[
            "purpose",
            "description",
            "use",
            "usage",
            "comment",
            "comments",
            "remark",
            "remarks",
            "note",
            "notes",
            "reason",
            "details",
            "justification",
        ],
    ),
    (
        Column::Model,
        &["model", "model name", "device", "device model", "device type", "product", "product name"],
    ),
    (Column::State, &["state", "status", "enabled", "default state", "open closed"]),
];

impl Column {
    /// The column under a title.
    pub(super) fn of(title: &str) -> Option<Self> {
        let title = plain(title);
        TITLES.iter().find(|(_, titles)| titles.contains(&title.as_str())).map(|&(column, _)| column)
    }

    /// Whether ports stand in it.
    pub(super) const fn has_ports(self) -> bool {
        matches!(
            self,
            Self::Port | Self::LocalPort | Self::RemotePort | Self::SourcePort | Self::DestinationPort
        )
    }
}

/// A title without case, plural in brackets, and everything but letters and digits.
pub(super) fn plain(title: &str) -> String {
    let lower = title.to_lowercase().replace("(s)", "");
    let spaced: String = lower.chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_found_however_they_are_written() {
        for (title, column) in [
            ("Port(s)", Some(Column::Port)),
            (" PORT # ", Some(Column::Port)),
            ("TCP/UDP", Some(Column::Protocol)),
            ("Inbound / Outbound", Some(Column::Direction)),
            ("Remote\npartner", Some(Column::Peer)),
            ("Encrypted", None),
        ] {
            assert_eq!(Column::of(title), column, "{title}");
        }
    }

    #[test]
    fn no_title_has_two_meanings() {
        let mut all: Vec<_> = TITLES.iter().flat_map(|(_, titles)| titles.iter()).collect();
        assert!(all.iter().all(|title| plain(title) == **title));
        all.sort();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
