//! Services that every policy knows, after the IANA service name registry and DICOM PS3.8 §9.1.

use super::service::{PortRange, TCP, UDP};

/// Name, and ports by protocol.
type Builtin = (&'static str, &'static [(u8, u16)]);

const SERVICES: &[Builtin] = &[
    // Medical
    ("dicom", &[(TCP, 104), (TCP, 11112)]),
    ("dicom-tls", &[(TCP, 2762)]),
    ("dicom-iscl", &[(TCP, 2761)]),
    ("hl7", &[(TCP, 2575)]),
    ("alaris", &[(TCP, 3613)]),
    ("intellivue", &[(UDP, 24105)]),
    ("sdc", &[(TCP, 6464)]),
    ("ws-discovery", &[(UDP, 3702)]),
    // Network
    ("dns", &[(UDP, 53), (TCP, 53)]),
    ("dns-tls", &[(TCP, 853)]),
    ("dhcp", &[(UDP, 67)]),
    ("dhcpv6", &[(UDP, 547)]),
    ("ntp", &[(UDP, 123)]),
    ("mdns", &[(UDP, 5353)]),
    ("llmnr", &[(UDP, 5355)]),
    ("ssdp", &[(UDP, 1900)]),
    ("snmp", &[(UDP, 161)]),
    ("snmp-trap", &[(UDP, 162)]),
    ("syslog", &[(UDP, 514)]),
    ("syslog-tls", &[(TCP, 6514)]),
    // Web, files, print
    ("http", &[(TCP, 80)]),
    ("https", &[(TCP, 443)]),
    ("smb", &[(TCP, 445)]),
    ("ipp", &[(TCP, 631)]),
    ("raw-print", &[(TCP, 9100)]),
    // Directory
    ("ldap", &[(TCP, 389), (UDP, 389)]),
    ("ldaps", &[(TCP, 636)]),
    ("kerberos", &[(TCP, 88), (UDP, 88)]),
    // Access
    ("ssh", &[(TCP, 22)]),
    ("rdp", &[(TCP, 3389), (UDP, 3389)]),
    // Building and plant
    ("bacnet", &[(UDP, 47808)]),
    ("modbus", &[(TCP, 502)]),
    ("opc-ua", &[(TCP, 4840)]),
    ("mqtt", &[(TCP, 1883)]),
    ("mqtt-tls", &[(TCP, 8883)]),
];

/// The ports of a built-in service.
pub fn service(name: &str) -> Option<Vec<PortRange>> {
    let (_, ports) = SERVICES.iter().find(|(known, _)| *known == name)?;
    Some(ports.iter().map(|&(protocol, port)| PortRange { protocol, first: port, last: port }).collect())
}

/// The names of all built-in services.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    SERVICES.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_found() {
        let all: std::collections::BTreeSet<_> = names().collect();
        assert_eq!(all.len(), SERVICES.len());
        assert_eq!(service("dicom").unwrap().len(), 2);
        assert_eq!(service("gopher"), None);
    }
}
