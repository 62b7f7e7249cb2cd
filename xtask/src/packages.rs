//! The programs that tests, demo, bench, emulator and package run, with the Debian package or the crate of each and the
//! reason for it.

/// A program that has to be on the path.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    pub(crate) reason: &'static str,
}

/// A program of cargo's that is built from its crate, at one version.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) reason: &'static str,
}

/// What `lint` asks besides.
pub(crate) const DENY: Tool =
    Tool { name: "cargo-deny", version: "0.20.2", reason: "licences, sources and holes of dependencies" };
/// What `package` asks besides.
pub(crate) const CYCLONEDX: Tool =
    Tool { name: "cargo-cyclonedx", version: "0.5.9", reason: "the bill of materials in the package" };

/// What tests and demo run. The compiler for the kernel program is found by `ebpf-toolchain` instead.
pub(crate) const PROGRAMS: [Program; 16] = [
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
    Program { name: "tcpdump", package: "tcpdump", reason: "frames as they arrive, tags and all" },
    Program { name: "openssl", package: "openssl", reason: "certificates for DICOM over TLS and for HTTPS" },
    Program { name: "dnsmasq", package: "dnsmasq-base", reason: "a DNS and DHCP server, and a DHCP relay" },
    Program { name: "dig", package: "bind9-dnsutils", reason: "a DNS client" },
    Program { name: "nmap", package: "nmap", reason: "a scan that must find nothing" },
    Program { name: "python3", package: "python3-venv", reason: "a TAXII server, medallion" },
    // Brings rsyslog itself with it.
    Program { name: "rsyslogd", package: "rsyslog-gnutls", reason: "a syslog server, by TLS too" },
    Program { name: "dhclient", package: "isc-dhcp-client", reason: "a DHCPv6 client" },
    Program {
        name: "xdp-filter",
        package: "xdp-tools",
        reason: "an XDP filter of the same kind, which is in the way, and measured beside ours",
    },
    Program { name: "setpriv", package: "util-linux", reason: "programs that run as somebody else" },
    Program { name: "systemd-analyze", package: "systemd", reason: "reads the service's unit" },
    BUSYBOX,
];

/// The static one: emulated machines have no libraries.
const BUSYBOX: Program = Program {
    name: "busybox",
    package: "busybox-static",
    reason: "a DHCP client, and the shell of emulated machines",
};

/// What the bench measures beside the filter, and measures it with. It goes without what is not there.
pub(crate) const PEERS: [Program; 4] = [
    Program { name: "nft", package: "nftables", reason: "sets that the filter is measured beside" },
    Program { name: "ipset", package: "ipset", reason: "the same" },
    Program { name: "iptables", package: "iptables", reason: "the rule in front of `ipset`" },
    Program { name: "ethtool", package: "ethtool", reason: "veth pairs that take frames in batches" },
];

/// What booting other kernels takes besides.
pub(crate) const EMULATOR: [Program; 4] = [
    Program { name: "qemu-system-x86_64", package: "qemu-system-x86", reason: "runs other kernels" },
    Program { name: "cpio", package: "cpio", reason: "packs that file system" },
    Program { name: "xz", package: "xz-utils", reason: "unpacks kernel modules" },
    Program { name: "strip", package: "binutils", reason: "makes the test binary a fraction of its size" },
];

/// What making and testing the Debian package takes besides.
pub(crate) const PACKAGER: [Program; 5] = [
    Program { name: "dpkg-shlibdeps", package: "dpkg-dev", reason: "the package's dependencies" },
    Program { name: "strip", package: "binutils", reason: "leaves out what debuggers read" },
    Program { name: "lintian", package: "lintian", reason: "looks for mistakes in the package" },
    Program { name: "mmdebstrap", package: "mmdebstrap", reason: "makes the bare Debian to test it in" },
    Program { name: "systemd-nspawn", package: "systemd-container", reason: "boots that" },
];
