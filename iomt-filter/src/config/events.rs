//! `[events]`: how long events are kept, and where they go besides.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::{Host, Url};

use super::read::{DAY, duration};
use super::size::parse_size;
use crate::diagnostic::Diagnostic;
use crate::document::{Located, Reader, Section};
use crate::events::Format;
use crate::events::format::syslog::FACILITIES;

/// Events that a sink may be behind, where nothing is said: as many as are remembered anyway.
const QUEUE: u32 = 20_000;
/// Some kilobyte each.
const LARGEST_QUEUE: u32 = 250_000;
const SMALLEST_STORE: u64 = 16 << 20;
const SMALLEST_FILE: u64 = 64 << 10;
const MOST_FILES: u32 = 1_000;
/// RFC 5426, and what rsyslog and others take for TCP; RFC 5425.
const SYSLOG: u16 = 514;
const SYSLOG_TLS: u16 = 6_514;
/// systemd's.
const JOURNAL: &str = "/run/systemd/journal/socket";
/// Longest host name of a header (RFC 5424 §6).
const HOST_NAME: usize = 255;

const KEYS: [&str; 15] = [
    "type",
    "name",
    "format",
    "queue",
    "path",
    "rotate_size",
    "rotate_keep",
    "address",
    "ca",
    "certificate",
    "key",
    "server_name",
    "facility",
    "hostname",
    "socket",
];

/// `[events]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// How long the local store keeps events.
    pub retention: Duration,
    /// Its largest size, in bytes.
    pub max_size: u64,
    /// `[[events.sink]]`, in the order of the file.
    pub sinks: Vec<Sink>,
}

/// `[[events.sink]]`: where events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// What `status` calls it.
    pub name: String,
    /// How events are written.
    pub format: Format,
    /// How many events it may be behind; those beyond are lost to it.
    pub queue: usize,
    /// Where to.
    pub target: Target,
}

/// Where the events of a sink go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file, a line for each.
    File(FileTarget),
    /// A server.
    Syslog(SyslogTarget),
    /// The socket of systemd's journal.
    Journal(PathBuf),
}

/// A file that is moved aside when it is large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTarget {
    /// The file.
    pub path: PathBuf,
    /// The size from which on it is moved aside, in bytes.
    pub rotate_size: u64,
    /// How many are kept that were moved aside.
    pub rotate_keep: u32,
}

/// A server that takes syslog (RFC 5424).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogTarget {
    /// How it is reached.
    pub transport: Transport,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The file with the authorities that may vouch for it; without one, those that the host trusts.
    pub ca: Option<PathBuf>,
    /// The name that its certificate has to be for, where that is not `host`.
    pub server_name: Option<String>,
    /// Our certificate and its key, where it asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Facility, 0 to 23.
    pub facility: u8,
    /// What we say that this host is called.
    pub hostname: Option<String>,
}

/// How syslog goes over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram for each event (RFC 5426).
    Udp,
    /// With the length ahead of each (RFC 6587 §3.4.1).
    Tcp,
    /// The same, encrypted (RFC 5425).
    Tls,
}

impl Transport {
    /// As an address begins.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

impl Target {
    /// Its type in the configuration.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Syslog(_) => "syslog",
            Self::Journal(_) => "journald",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.path.display()),
            Self::Syslog(SyslogTarget { transport, host, port, .. }) if host.contains(':') => {
                write!(f, "{}://[{host}]:{port}", transport.name())
            }
            Self::Syslog(SyslogTarget { transport, host, port, .. }) => {
                write!(f, "{}://{host}:{port}", transport.name())
            }
            Self::Journal(socket) => write!(f, "{}", socket.display()),
        }
    }
}

/// Reads `[events]`.
pub(super) fn events<'s>(root: &Section<'_, 's>, folder: &Path, reader: &mut Reader<'s>) -> Events {
    let section = root.section("events", &["retention", "max_size", "sink"], reader);
    let section = section.as_ref();
    let mut sinks: Vec<Sink> = Vec::new();
    for table in section.map(|section| section.sections("sink", &KEYS, reader)).unwrap_or_default() {
        let Some(sink) = sink(&table, folder, reader) else { continue };
        if sinks.iter().any(|other| other.name == sink.name) {
            let message = format!("two sinks are called `{}`", sink.name);
            reader.error(&table.place, message, "give each a `name` of its own");
        }
        sinks.push(sink);
    }
    let max_size = section.and_then(|section| size("max_size", section, SMALLEST_STORE, reader));
    Events {
        retention: duration("retention", section, 30 * DAY, reader),
        max_size: max_size.unwrap_or(2 << 30),
        sinks,
    }
}

/// What a sink of each type may say beside `type`, `name` and `queue`.
const OF_TYPE: [(&str, &[&str]); 3] = [
    ("file", &["format", "path", "rotate_size", "rotate_keep"]),
    ("syslog", &["format", "address", "ca", "certificate", "key", "server_name", "facility", "hostname"]),
    ("journald", &["socket"]),
];

fn sink<'s>(table: &Section<'_, 's>, folder: &Path, reader: &mut Reader<'s>) -> Option<Sink> {
    table.required("type", reader)?;
    let types = OF_TYPE.map(|known| (known.0, known));
    let (kind, known) = table.word("type", &types, reader)?;
    for key in KEYS.iter().filter(|key| !["type", "name", "queue"].contains(key) && !known.contains(key)) {
        if let Some(value) = table.get(key) {
            let place = reader.place(value.span());
            let others: Vec<_> =
                OF_TYPE.iter().filter(|(_, known)| known.contains(key)).map(|(kind, _)| *kind).collect();
            let help = format!("it is for sinks of type `{}`", others.join("` and `"));
            reader.error(&place, format!("a sink of type `{kind}` has no `{key}`"), help);
        }
    }
    let target = match kind {
        "file" => Target::File(file(table, folder, reader)?),
        "syslog" => Target::Syslog(syslog(table, folder, reader)?),
        _ => {
            let socket = table.string("socket", reader).map(|text| folder.join(text.value));
            Target::Journal(socket.unwrap_or_else(|| JOURNAL.into()))
        }
    };
    let help = "each event that waits takes about a kilobyte of memory";
    let queue = table.number_within("queue", 1..=LARGEST_QUEUE, help, reader).unwrap_or(QUEUE);
    Some(Sink {
        name: table.string("name", reader).map_or_else(|| target.to_string(), |name| name.value),
        format: table.word("format", Format::NAMES, reader).unwrap_or_default(),
        queue: queue as usize,
        target,
    })
}

fn file<'s>(table: &Section<'_, 's>, folder: &Path, reader: &mut Reader<'s>) -> Option<FileTarget> {
    let path = table.required("path", reader)?;
    let help = "older ones are removed; 0 keeps none";
    Some(FileTarget {
        path: folder.join(path.value),
        rotate_size: size("rotate_size", table, SMALLEST_FILE, reader).unwrap_or(100 << 20),
        rotate_keep: table.number_within("rotate_keep", 0..=MOST_FILES, help, reader).unwrap_or(5),
    })
}

fn syslog<'s>(table: &Section<'_, 's>, folder: &Path, reader: &mut Reader<'s>) -> Option<SyslogTarget> {
    let address = table.required("address", reader)?;
    let found = server(&address);
    if let Err((message, help)) = &found {
        reader.error(&address.place, message, *help);
    }
    let (transport, host, port) = found.ok()?;
    if transport != Transport::Tls {
        for key in ["ca", "certificate", "key", "server_name"] {
            if let Some(value) = table.get(key) {
                let place = reader.place(value.span());
                let message =
                    format!("`{key}` is for `tls://`, and this goes over `{}://`", transport.name());
                reader.error(&place, message, "write the address as `tls://HOST:6514`");
            }
        }
    }
    let mut path = |key: &str| table.string(key, reader).map(|text| folder.join(text.value));
    let (ca, certificate, key) = (path("ca"), path("certificate"), path("key"));
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            let help = "the server asks for the one, and the other proves that it is ours";
            reader.error(&table.place, "`certificate` and `key` belong together", help);
            None
        }
    };
    let hostname = table.string("hostname", reader);
    let is_name =
        |name: &str| (1..=HOST_NAME).contains(&name.len()) && name.chars().all(|c| c.is_ascii_graphic());
    if let Some(name) = hostname.as_ref().filter(|name| !is_name(&name.value)) {
        let message = format!("`{}` cannot be the name of a host", name.value);
        reader.error(&name.place, message, "letters, digits, dots and hyphens, 255 at most");
    }
    Some(SyslogTarget {
        transport,
        host,
        port,
        ca,
        server_name: table.string("server_name", reader).map(|name| name.value),
        identity,
        facility: table.word("facility", FACILITIES, reader).unwrap_or(16),
        hostname: hostname.map(|name| name.value),
    })
}

/// Transport, host and port of an address; what is wrong with it, and what to do.
fn server(address: &Located<String>) -> Result<(Transport, String, u16), (String, &'static str)> {
    const HELP: &str = "write it as `udp://HOST:514`, `tcp://HOST:514` or `tls://HOST:6514`";
    let text = &address.value;
    let url = Url::parse(text).map_err(|error| (format!("`{text}` is no address: {error}"), HELP))?;
    let (transport, default) = match url.scheme() {
        "udp" => (Transport::Udp, SYSLOG),
        "tcp" => (Transport::Tcp, SYSLOG),
        "tls" => (Transport::Tls, SYSLOG_TLS),
        other => return Err((format!("`{other}` is no way to send syslog"), HELP)),
    };
    let host = match url.host() {
        Some(Host::Ipv6(address)) => address.to_string(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
        _ => return Err((format!("`{text}` names no host"), HELP)),
    };
    let has_more = !matches!(url.path(), "" | "/") || url.query().is_some() || !url.username().is_empty();
    if has_more {
        return Err((format!("`{text}` has more than a host and a port"), HELP));
    }
    Ok((transport, host, url.port().unwrap_or(default)))
}

fn size<'s>(key: &str, section: &Section<'_, 's>, least: u64, reader: &mut Reader<'s>) -> Option<u64> {
    let text = section.string(key, reader)?;
    let bytes = parse_size(&text.value);
    let wrong = match bytes {
        None => format!("`{key}` cannot be `{}`", text.value),
        Some(bytes) if bytes < least => format!("`{key}` must be at least `{}K`", least >> 10),
        Some(_) => return bytes,
    };
    reader.found.push(
        Diagnostic::error(&text.place, wrong).help("write a number and a unit, as in `100M` or `2GiB`"),
    );
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::diagnostic::SourceFile;

    fn config(events: &str) -> Result<Events, Vec<String>> {
        let text = format!("[interfaces]\ndevice = [\"eth1\"]\n[events]\n{events}");
        let config =
            Config::parse(&SourceFile::new("config.toml", text), Path::new("/etc/x/config.toml"), false);
        config.map(|config| config.events).map_err(|found| found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn everything_that_a_sink_can_say_is_read() {
        let events = config(
            r#"
            retention = "7d"
            max_size = "512MiB"
            [[events.sink]]
            type = "file"
            path = "eve.json"
            format = "eve-strict"
            rotate_size = "10M"
            rotate_keep = 0
            [[events.sink]]
            type = "syslog"
            name = "siem"
            address = "tls://[2001:db8::1]"
            ca = "ca.pem"
            certificate = "/c.pem"
            key = "c.key"
            facility = "local4"
            hostname = "gw-1"
            queue = 5
            [[events.sink]]
            type = "journald"
            "#,
        )
        .unwrap();
        assert_eq!((events.retention, events.max_size), (7 * DAY, 512 << 20));
        let [file, syslog, journal] = &events.sinks[..] else { panic!("three sinks") };
        let target = FileTarget { path: "/etc/x/eve.json".into(), rotate_size: 10 << 20, rotate_keep: 0 };
        assert_eq!(
            (file.format, &file.target, file.queue),
            (Format::EveStrict, &Target::File(target), 20_000)
        );
        assert_eq!((syslog.name.as_str(), syslog.queue, syslog.format), ("siem", 5, Format::Json));
        assert_eq!(syslog.target.to_string(), "tls://[2001:db8::1]:6514");
        let Target::Syslog(server) = &syslog.target else { panic!("syslog") };
        assert_eq!(server.identity, Some(("/c.pem".into(), "/etc/x/c.key".into())));
        assert_eq!((server.facility, server.hostname.as_deref()), (20, Some("gw-1")));
        assert_eq!(journal.name, JOURNAL);
        let nothing = config("").unwrap();
        assert_eq!((nothing.retention, nothing.max_size, nothing.sinks.len()), (30 * DAY, 2 << 30, 0));
    }

    #[test]
    fn every_mistake_is_told() {
        let syslog = |address: &str| format!("type = \"syslog\"\naddress = \"{address}\"");
        for (text, message) in [
            ("path = \"x\"".to_owned(), "`sink` has no `type`"),
            ("type = \"kafka\"".to_owned(), "`type` cannot be `kafka`"),
            ("type = \"file\"".to_owned(), "`sink` has no `path`"),
            ("type = \"file\"\npath = \"x\"\nformat = \"xml\"".to_owned(), "`format` cannot be `xml`"),
            (
                "type = \"file\"\npath = \"x\"\nfacility = \"user\"".to_owned(),
                "a sink of type `file` has no `facility`",
            ),
            (
                "type = \"file\"\npath = \"x\"\nrotate_size = \"1K\"".to_owned(),
                "`rotate_size` must be at least `64K`",
            ),
            (
                "type = \"file\"\npath = \"x\"\nrotate_size = \"huge\"".to_owned(),
                "`rotate_size` cannot be `huge`",
            ),
            ("type = \"file\"\npath = \"x\"\nqueue = 0".to_owned(), "`queue` must be between 1 and 250000"),
            ("type = \"journald\"\nformat = \"cef\"".to_owned(), "a sink of type `journald` has no `format`"),
            (syslog("siem:514"), "`siem` is no way to send syslog"),
            (syslog("10.0.0.9"), "`10.0.0.9` is no address: relative URL without a base"),
            (syslog("udp://"), "`udp://` names no host"),
            (syslog("tcp://siem/x"), "`tcp://siem/x` has more than a host and a port"),
            (syslog("tcp://siem\"\nca = \"x"), "`ca` is for `tls://`, and this goes over `tcp://`"),
            (syslog("tls://siem\"\nkey = \"x"), "`certificate` and `key` belong together"),
            (syslog("tls://siem\"\nfacility = \"x"), "`facility` cannot be `x`"),
            (syslog("tls://siem\"\nhostname = \"a b"), "`a b` cannot be the name of a host"),
        ] {
            let found = config(&format!("[[events.sink]]\n{text}\n")).unwrap_err();
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].contains(message) && found[0].contains("config.toml:"), "{text}: {found:?}");
        }
        let twice = "[[events.sink]]\ntype = \"journald\"\n".repeat(2);
        assert!(config(&twice).unwrap_err()[0].contains("two sinks are called"));
        assert!(config("max_size = \"1M\"").unwrap_err()[0].contains("`max_size` must be at least `16384K`"));
        assert!(config("eve = \"x\"").unwrap_err()[0].contains("unknown key `eve`"));
    }
}
