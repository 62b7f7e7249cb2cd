//! The programs that tests and demo run, with the Debian package of each and the reason for it.

/// A program that has to be on the path.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    pub(crate) reason: &'static str,
}

/// All of them. The compiler for the kernel program is found by `ebpf-toolchain` instead.
pub(crate) const PROGRAMS: [Program; 4] = [
    Program { name: "ip", package: "iproute2", reason: "network namespaces and veth pairs" },
    Program {
        name: "ping",
        package: "iputils-ping",
        reason: "ICMP and ICMPv6 from the kernel's own sockets",
    },
    Program { name: "storescu", package: "dcmtk", reason: "a real DICOM client and server" },
    Program {
        name: "tshark",
        package: "tshark",
        reason: "an independent dissector to compare the parser with",
    },
];
