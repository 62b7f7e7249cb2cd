//! Which service a vulnerability concerns, as far as that can be known: by the product that CISA's catalog names, or by
//! the component. What is not in this table is not guessed.

use serde::{Deserialize, Serialize};

use super::kev::Exploited;
use crate::policy::service::{PortRange, TCP, UDP};
use crate::sbom::Component;

/// The service that something concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guess {
    /// What it is called.
    pub name: Option<String>,
    /// Its ports, as rules write them; none where they are not known.
    pub services: Vec<String>,
    /// The same.
    #[serde(skip)]
    pub ports: Vec<(u8, u16)>,
    /// Whether the device opens it too.
    #[serde(skip)]
    pub is_opened_too: bool,
    /// How it is known, or why it is not.
    pub reason: String,
}

/// Something that is known of a product.
struct Known {
    name: &'static str,
    /// Makers and the beginning of products, as CISA's catalog writes them.
    kev: &'static [(&'static str, &'static str)],
    /// Makers and products, as CPE names have them.
    cpe: &'static [(&'static str, &'static str)],
    /// Names of packages.
    packages: &'static [&'static str],
    ports: &'static [(u8, u16)],
    is_opened_too: bool,
    reason: &'static str,
}

const NOTHING: Known =
    Known { name: "", kev: &[], cpe: &[], packages: &[], ports: &[], is_opened_too: false, reason: "" };

/// Ports are those of the IANA service name registry, or what the product listens on where nobody has set another.
const KNOWN: &[Known] = &[
    Known {
        name: "SMB",
        kev: &[("Microsoft", "SMB"), ("Samba", "Samba")],
        cpe: &[("samba", "samba")],
        packages: &["samba"],
        ports: &[(TCP, 445), (TCP, 139)],
        reason: "SMB is served on 445/tcp, and over NetBIOS on 139/tcp (MS-SMB §2.1)",
        ..NOTHING
    },
    Known {
        name: "Netlogon",
        kev: &[("Microsoft", "Netlogon")],
        ports: &[(TCP, 135), (TCP, 445)],
        reason: "Netlogon is reached through RPC's 135/tcp, or by named pipes over 445/tcp (MS-NRPC §2.1)",
        ..NOTHING
    },
    Known {
        name: "RDP",
        kev: &[("Microsoft", "Remote Desktop Services")],
        cpe: &[("neutrinolabs", "xrdp"), ("microsoft", "remote_desktop_services")],
        packages: &["xrdp"],
        ports: &[(TCP, 3389), (UDP, 3389)],
        reason: "remote desktop is served on 3389/tcp and 3389/udp (MS-RDPBCGR, MS-RDPEUDP)",
        ..NOTHING
    },
    Known {
        name: "SSH",
        kev: &[("OpenBSD", "OpenSSH")],
        cpe: &[("openbsd", "openssh"), ("dropbear_ssh_project", "dropbear_ssh")],
        packages: &["openssh", "openssh-server", "dropbear"],
        ports: &[(TCP, 22)],
        reason: "SSH is served on 22/tcp (RFC 4253 §4.1)",
        ..NOTHING
    },
    Known {
        name: "Telnet",
        cpe: &[("netkit_telnet_project", "netkit_telnet")],
        packages: &["telnetd", "inetutils-telnetd", "netkit-telnet", "netkit-telnetd"],
        ports: &[(TCP, 23)],
        reason: "Telnet is served on 23/tcp (RFC 854)",
        ..NOTHING
    },
    Known {
        name: "FTP",
        kev: &[("ProFTPD", "ProFTPD")],
        cpe: &[("proftpd", "proftpd"), ("vsftpd_project", "vsftpd"), ("pureftpd", "pure-ftpd")],
        packages: &["proftpd", "vsftpd", "pure-ftpd"],
        ports: &[(TCP, 21)],
        reason: "FTP is served on 21/tcp (RFC 959 §8)",
        ..NOTHING
    },
    Known {
        name: "DICOM",
        cpe: &[("offis", "dcmtk"), ("dcmtk", "dcmtk"), ("dcm4che", "dcm4che")],
        packages: &["dcmtk", "libdcmtk", "dcm4che", "dcm4che-net", "fo-dicom", "pynetdicom"],
        ports: &[(TCP, 104), (TCP, 11112)],
        is_opened_too: true,
        reason: "DICOM is served on 104/tcp and 11112/tcp, and spoken from either end (PS3.8 §9.1)",
        ..NOTHING
    },
    Known {
        name: "Orthanc",
        cpe: &[("orthanc-server", "orthanc")],
        packages: &["orthanc"],
        ports: &[(TCP, 4242), (TCP, 8042)],
        reason: "Orthanc serves DICOM on 4242/tcp and HTTP on 8042/tcp where nobody has set other ports",
        ..NOTHING
    },
    Known {
        name: "Mirth Connect",
        kev: &[("NextGen Healthcare", "Mirth Connect")],
        cpe: &[("nextgen", "mirth_connect")],
        packages: &["mirth-connect"],
        ports: &[(TCP, 8080), (TCP, 8443)],
        reason: "Mirth Connect is administered on 8080/tcp and 8443/tcp where nobody has set other ports",
        ..NOTHING
    },
    Known {
        name: "HTTP",
        kev: &[
            ("Apache", "HTTP Server"),
            ("Microsoft", "HTTP"),
            ("Microsoft", "Internet Information Services"),
            ("Embedthis", "GoAhead"),
        ],
        cpe: &[
            ("apache", "http_server"),
            ("f5", "nginx"),
            ("nginx", "nginx"),
            ("lighttpd", "lighttpd"),
            ("microsoft", "internet_information_services"),
            ("microsoft", "internet_information_server"),
            ("embedthis", "goahead"),
            ("embedthis", "appweb"),
            ("boa", "boa"),
            ("acme", "thttpd"),
            ("acme", "mini_httpd"),
        ],
        packages: &["apache2", "httpd", "nginx", "lighttpd", "goahead", "boa", "thttpd", "mini-httpd"],
        ports: &[(TCP, 80), (TCP, 443)],
        reason: "HTTP is served on 80/tcp and 443/tcp (RFC 9110 §4.2)",
        ..NOTHING
    },
    Known {
        name: "Tomcat",
        kev: &[("Apache", "Tomcat")],
        cpe: &[("apache", "tomcat")],
        packages: &["tomcat", "tomcat8", "tomcat9", "tomcat10", "tomcat-embed-core"],
        ports: &[(TCP, 8080), (TCP, 8443), (TCP, 8009)],
        reason: "Tomcat serves HTTP on 8080/tcp and 8443/tcp and AJP on 8009/tcp where nobody has set other ports",
        ..NOTHING
    },
    Known {
        name: "WebLogic",
        kev: &[("Oracle", "WebLogic Server")],
        cpe: &[("oracle", "weblogic_server")],
        ports: &[(TCP, 7001), (TCP, 7002)],
        reason: "WebLogic serves HTTP and T3 on 7001/tcp and 7002/tcp where nobody has set other ports",
        ..NOTHING
    },
    Known {
        name: "SNMP",
        cpe: &[("net-snmp", "net-snmp")],
        packages: &["net-snmp", "snmpd"],
        ports: &[(UDP, 161)],
        reason: "SNMP agents are asked on 161/udp (RFC 3417 §3.1)",
        ..NOTHING
    },
    Known {
        name: "DNS",
        cpe: &[("isc", "bind"), ("thekelleys", "dnsmasq"), ("nlnetlabs", "unbound")],
        packages: &["bind", "bind9", "dnsmasq", "unbound"],
        ports: &[(UDP, 53), (TCP, 53)],
        is_opened_too: true,
        reason: "DNS is asked on 53/udp and 53/tcp (RFC 1035 §4.2), and these ask others too",
        ..NOTHING
    },
    Known {
        name: "NTP",
        cpe: &[("ntp", "ntp")],
        packages: &["ntp", "ntpd"],
        ports: &[(UDP, 123)],
        is_opened_too: true,
        reason: "NTP is spoken on 123/udp from either end (RFC 5905 §7.2)",
        ..NOTHING
    },
    Known {
        name: "SMTP",
        kev: &[("Exim", "Exim"), ("Exim", "Mail Transfer Agent")],
        cpe: &[("exim", "exim"), ("sendmail", "sendmail"), ("postfix", "postfix")],
        packages: &["exim4", "sendmail", "postfix"],
        ports: &[(TCP, 25), (TCP, 587)],
        reason: "mail is taken on 25/tcp and 587/tcp (RFC 5321 §4.5.4.2, RFC 6409 §3.1)",
        ..NOTHING
    },
    Known {
        name: "VNC",
        cpe: &[
            ("libvncserver_project", "libvncserver"),
            ("libvnc_project", "libvncserver"),
            ("realvnc", "vnc"),
            ("realvnc", "vnc_server"),
            ("tightvnc", "tightvnc"),
            ("uvnc", "ultravnc"),
            ("tigervnc", "tigervnc"),
        ],
        packages: &["libvncserver", "x11vnc", "tigervnc", "tightvncserver"],
        ports: &[(TCP, 5900)],
        reason: "VNC is served on 5900/tcp (RFC 6143 §1)",
        ..NOTHING
    },
    Known {
        name: "SQL Server",
        kev: &[("Microsoft", "SQL Server")],
        cpe: &[("microsoft", "sql_server")],
        ports: &[(TCP, 1433), (UDP, 1434)],
        reason: "SQL Server listens on 1433/tcp, and its browser on 1434/udp",
        ..NOTHING
    },
    Known {
        name: "MySQL",
        cpe: &[("oracle", "mysql"), ("mariadb", "mariadb")],
        packages: &["mysql-server", "mariadb-server", "mariadb"],
        ports: &[(TCP, 3306)],
        reason: "MySQL listens on 3306/tcp",
        ..NOTHING
    },
    Known {
        name: "PostgreSQL",
        cpe: &[("postgresql", "postgresql")],
        packages: &["postgresql"],
        ports: &[(TCP, 5432)],
        reason: "PostgreSQL listens on 5432/tcp",
        ..NOTHING
    },
    Known {
        name: "Redis",
        kev: &[("Redis", "")],
        cpe: &[("redis", "redis"), ("redislabs", "redis")],
        packages: &["redis", "redis-server"],
        ports: &[(TCP, 6379)],
        reason: "Redis listens on 6379/tcp",
        ..NOTHING
    },
    Known {
        name: "MQTT",
        cpe: &[("eclipse", "mosquitto")],
        packages: &["mosquitto"],
        ports: &[(TCP, 1883), (TCP, 8883)],
        reason: "MQTT brokers listen on 1883/tcp and 8883/tcp (MQTT 5.0 §4.2)",
        ..NOTHING
    },
    Known {
        name: "IPP",
        cpe: &[("apple", "cups"), ("openprinting", "cups")],
        packages: &["cups"],
        ports: &[(TCP, 631)],
        reason: "CUPS serves IPP on 631/tcp (RFC 8010 §4)",
        ..NOTHING
    },
    Known {
        name: "Log4j",
        kev: &[("Apache", "Log4j")],
        cpe: &[("apache", "log4j")],
        packages: &["log4j", "log4j-core"],
        reason: "a library: it is reached through whatever writes texts of others into a log, on any port",
        ..NOTHING
    },
    Known {
        name: "web framework",
        kev: &[("Apache", "Struts"), ("VMware", "Spring"), ("VMware Tanzu", "Spring")],
        cpe: &[("apache", "struts"), ("vmware", "spring_framework")],
        packages: &["struts2-core", "spring-webmvc", "spring-beans"],
        reason: "a library of web applications: it is reached on whatever port these are served",
        ..NOTHING
    },
    Known {
        name: "TLS library",
        kev: &[("OpenSSL", "OpenSSL")],
        cpe: &[("openssl", "openssl")],
        packages: &["openssl", "libssl1.1", "libssl3", "mbedtls", "wolfssl"],
        reason: "a library: it is reached through whatever speaks TLS, on any port",
        ..NOTHING
    },
    Known {
        name: "IP stack",
        cpe: &[
            ("treck", "tcp/ip"),
            ("windriver", "vxworks"),
            ("siemens", "nucleus_net"),
            ("hcc-embedded", "nichestack"),
        ],
        packages: &["treck", "nichestack", "vxworks"],
        reason: "the stack itself: any packet that reaches the device may do, so that what its rules leave open counts",
        ..NOTHING
    },
    Known {
        name: "local",
        kev: &[("Sudo", "Sudo"), ("Red Hat", "Polkit"), ("Microsoft", "Win32k")],
        cpe: &[("sudo_project", "sudo"), ("polkit_project", "polkit")],
        packages: &["sudo", "polkit", "policykit-1"],
        reason: "it serves nobody: whoever uses it is on the device already",
        ..NOTHING
    },
];

/// The service that a vulnerability of a component concerns.
#[must_use]
pub fn guess(component: &Component, exploited: Option<&Exploited>) -> Guess {
    let of_catalog = exploited.and_then(|exploited| {
        let known = KNOWN.iter().find(|known| known.is_of(exploited))?;
        Some((known, format!("CISA names {} {}", exploited.vendor, exploited.product)))
    });
    let found = of_catalog.or_else(|| {
        let cpe = component.cpe.as_deref().and_then(maker_and_product);
        let by_cpe = cpe.as_ref().and_then(|(maker, product)| {
            let has = |known: &&Known| known.cpe.contains(&(maker.as_str(), product.as_str()));
            KNOWN.iter().find(has)
        });
        if let Some(known) = by_cpe {
            return Some((known, "the component's CPE name says so".to_owned()));
        }
        let name =
            component.purl.as_deref().and_then(package).unwrap_or_else(|| component.name.to_lowercase());
        let has = |known: &&Known| known.packages.contains(&name.as_str());
        Some((KNOWN.iter().find(has)?, "the component's name says so".to_owned()))
    });
    match found {
        Some((known, how)) => Guess {
            name: Some(known.name.to_owned()),
            services: known.ports.iter().map(|&(protocol, port)| written(protocol, port)).collect(),
            ports: known.ports.to_vec(),
            is_opened_too: known.is_opened_too,
            reason: format!("{}; {how}", known.reason),
        },
        None => {
            let reason = "nothing says on which port this component is reached".to_owned();
            Guess { reason, ..Guess::default() }
        }
    }
}

/// A port, as rules write it.
pub(super) fn written(protocol: u8, port: u16) -> String {
    PortRange { protocol, first: port, last: port }.to_string()
}

impl Known {
    fn is_of(&self, exploited: &Exploited) -> bool {
        self.kev
            .iter()
            .any(|(maker, product)| exploited.vendor == *maker && exploited.product.starts_with(product))
    }
}

/// Maker and product of a CPE name, 2.2 or 2.3.
fn maker_and_product(cpe: &str) -> Option<(String, String)> {
    let rest = cpe.strip_prefix("cpe:2.3:").or_else(|| cpe.strip_prefix("cpe:/"))?;
    let mut parts = rest.split(':').skip(1).map(|part| part.replace('\\', "").to_lowercase());
    Some((parts.next()?, parts.next()?))
}

/// The name of a package URL, without its namespace, version and qualifiers.
fn package(purl: &str) -> Option<String> {
    let rest = purl.strip_prefix("pkg:")?.split(['?', '#']).next()?;
    let name = rest.split('@').next()?.rsplit('/').next()?;
    Some(name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exploited(vendor: &str, product: &str) -> Exploited {
        Exploited { vendor: vendor.into(), product: product.into(), ..Exploited::default() }
    }

    fn component(name: &str, cpe: Option<&str>, purl: Option<&str>) -> Component {
        let of = |text: Option<&str>| text.map(str::to_owned);
        Component { name: name.into(), cpe: of(cpe), purl: of(purl), ..Component::default() }
    }

    #[test]
    fn what_can_be_known_is() {
        let windows = component("Windows 7", Some("cpe:2.3:o:microsoft:windows_7:-:sp1:*:*:*:*:*:*"), None);
        let smb = guess(&windows, Some(&exploited("Microsoft", "SMBv1 server")));
        assert_eq!((smb.services.join(" "), smb.is_opened_too), ("445/tcp 139/tcp".to_owned(), false));
        assert!(smb.reason.contains("CISA names Microsoft SMBv1 server"), "{smb:?}");
        assert_eq!(guess(&windows, Some(&exploited("Microsoft", "Windows"))).name, None);
        for (component, services) in [
            (component("x", Some("cpe:/a:openbsd:openssh:7.2"), None), "22/tcp"),
            (component("x", None, Some("pkg:deb/debian/openssh-server@7.2p2?arch=amd64")), "22/tcp"),
            (component("DCMTK", None, None), "104/tcp 11112/tcp"),
            (component("x", None, Some("pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1")), ""),
            (component("openssh-client", None, None), ""),
        ] {
            assert_eq!(guess(&component, None).services.join(" "), services, "{component:?}");
        }
        let library = guess(&component("log4j-core", None, None), None);
        assert!(library.name.is_some() && library.reason.contains("on any port"));
    }

    #[test]
    fn every_line_of_the_table_says_why_and_is_found() {
        for known in KNOWN {
            assert!(!known.name.is_empty() && known.reason.len() > 20, "{}", known.name);
            for (maker, product) in known.cpe {
                let cpe = format!("cpe:2.3:a:{maker}:{}:1:*", product.replace('/', "\\/"));
                assert_eq!(guess(&component("x", Some(&cpe), None), None).name.as_deref(), Some(known.name));
            }
            for package in known.packages {
                assert_eq!(guess(&component(package, None, None), None).name.as_deref(), Some(known.name));
            }
        }
    }
}
