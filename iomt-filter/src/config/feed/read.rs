//! `[[feed]]` and `[gate]` of config.toml, key by key.
//!
//! Sections come in, values with their defaults go out, and a diagnostic for every mistake. Nothing is fetched and no
//! file is read here, those of secrets neither.

use std::path::Path;
use std::time::Duration;

use url::Url;

use super::{Feed, GateConfig};
use crate::config::parse_duration;
use crate::config::read::{DAY, HOUR, duration, network};
use crate::config::size::parse_size;
use crate::diagnostic::{Diagnostic, Place};
use crate::document::{Located, Reader, Section};
use crate::feeds::entry::CATEGORIES;
use crate::feeds::fetch::{Auth, Origin, Protocol, Server, Signature, Source};
use crate::feeds::formats::{Columns, FORMATS, Pointers};
use crate::feeds::{Floor, Limits, manual};

const MAX_SCORE: u32 = 100;
const DEFAULT_SCORE: u32 = 100;
const PERCENT: u32 = 100;
const MAX_PERCENT: u32 = 100_000;
const MINUTE: Duration = Duration::from_secs(60);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);
/// How long contacts are kept.
const LONGEST_IMPACT: Duration = Duration::from_secs(60 * 86_400);

const KEYS: [&str; 29] = [
    "name",
    "url",
    "path",
    "protocol",
    "format",
    "columns",
    "pointers",
    "score",
    "min_score",
    "category",
    "refresh",
    "expire",
    "enabled",
    "never_block",
    "min_entries",
    "max_entries",
    "max_addresses",
    "allow_empty",
    "max_growth",
    "max_shrink",
    "max_churn",
    "max_rejected",
    "max_removed",
    "slack",
    "auth",
    "ca",
    "timeout",
    "max_size",
    "signature",
];

const PROTOCOLS: &[(&str, Protocol)] = &[
    ("http", Protocol::Http),
    ("taxii", Protocol::Taxii),
    ("crowdsec", Protocol::Crowdsec),
    ("misp", Protocol::Misp),
];

/// Reads every `[[feed]]`.
pub(in crate::config) fn feeds<'s>(
    root: &Section<'_, 's>,
    folder: &Path,
    reader: &mut Reader<'s>,
) -> Vec<Feed> {
    let mut feeds: Vec<Feed> = Vec::new();
    for section in root.sections("feed", &KEYS, reader) {
        let Some(feed) = feed(&section, folder, reader) else { continue };
        let (feed, name) = feed;
        if let Some(earlier) = feeds.iter().find(|earlier| earlier.name == feed.name) {
            let diagnostic = Diagnostic::error(&name, format!("feed name `{}` is taken", feed.name));
            let note = format!("the other one is at {}", earlier.place);
            reader.found.push(diagnostic.note(note).help("give every feed a name of its own"));
        }
        feeds.push(feed);
    }
    feeds
}

fn feed<'s>(section: &Section<'_, 's>, folder: &Path, reader: &mut Reader<'s>) -> Option<(Feed, Place)> {
    let name = section.required("name", reader);
    let origin = origin(section, folder, reader);
    let kept = match origin {
        Some(Origin::Server(_)) => 7 * DAY,
        // Who takes a line out of a file wants it gone.
        _ => Duration::ZERO,
    };
    let (name, origin) = (name?, origin?);
    let source = Source {
        origin,
        max_bytes: max_bytes(section, reader),
        signature: signature(section, folder, reader),
    };
    if name.value.is_empty() || name.value == manual::FEED {
        let message = format!("`{}` cannot be the name of a feed", name.value);
        reader.error(&name.place, message, "`manual` holds blocks added by hand; choose another name");
    }
    let feed = Feed {
        source,
        format: section.word("format", FORMATS, reader).unwrap_or_default(),
        columns: columns(section, reader),
        pointers: pointers(section, reader),
        score: section.number("score", MAX_SCORE, reader).unwrap_or(DEFAULT_SCORE) as u8,
        min_score: section.number("min_score", MAX_SCORE, reader).unwrap_or(0) as u8,
        category: section.word("category", CATEGORIES, reader),
        refresh: duration("refresh", Some(section), HOUR, reader),
        expire: duration("expire", Some(section), kept, reader),
        enabled: section.boolean("enabled", reader).unwrap_or(true),
        never_block: section.boolean("never_block", reader).unwrap_or(false),
        limits: limits(section, reader),
        place: section.place.clone(),
        name: name.value,
    };
    if feed.refresh < MINUTE {
        let place = section.get("refresh").map(|value| reader.place(value.span())).unwrap_or_default();
        let help = "`iomt-filter feed refresh NAME` reads a feed at once";
        reader.error(&place, "`refresh` must be at least `1m`", help);
    }
    Some((feed, name.place))
}

fn origin<'s>(section: &Section<'_, 's>, folder: &Path, reader: &mut Reader<'s>) -> Option<Origin> {
    match (section.string("url", reader), section.string("path", reader)) {
        (Some(url), None) => server(section, &url, folder, reader).map(Origin::Server),
        (None, Some(path)) => {
            for key in ["protocol", "auth", "ca", "timeout"] {
                if let Some(value) = section.get(key) {
                    let place = reader.place(value.span());
                    reader.error(
                        &place,
                        format!("`{key}` is for a `url`, and this feed is a file"),
                        "remove it",
                    );
                }
            }
            Some(Origin::Path(folder.join(path.value)))
        }
        (Some(_), Some(_)) => {
            reader.error(&section.place, "a feed has either `url` or `path`, not both", "remove one of them");
            None
        }
        (None, None) => {
            if section.get("url").is_none() && section.get("path").is_none() {
                let message = "this feed has neither `url` nor `path`";
                reader.error(&section.place, message, "say where it comes from");
            }
            None
        }
    }
}

fn server<'s>(
    section: &Section<'_, 's>,
    url: &Located<String>,
    folder: &Path,
    reader: &mut Reader<'s>,
) -> Option<Server> {
    let url = address(url, reader)?;
    let timeout = duration("timeout", Some(section), MINUTE, reader);
    if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
        let place = section.get("timeout").map(|value| reader.place(value.span())).unwrap_or_default();
        reader.error(&place, "`timeout` must be from `1s` to `10m`", "left out, it is `1m`");
    }
    Some(Server {
        url,
        protocol: section.word("protocol", PROTOCOLS, reader).unwrap_or(Protocol::Http),
        auth: auth(section, folder, reader),
        ca: section.string("ca", reader).map(|text| folder.join(text.value)),
        timeout,
    })
}

fn address(text: &Located<String>, reader: &mut Reader<'_>) -> Option<Url> {
    let help = "write it whole, as in `https://feeds.example.org/list.txt`";
    match Url::parse(&text.value) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            if url.username().is_empty() && url.password().is_none() {
                return Some(url);
            }
            let help = "put the password into a file: `auth = { user = \"…\", file = \"…\" }`";
            reader.error(&text.place, "a password in a `url` shows wherever the address does", help);
        }
        Ok(url) => {
            reader.error(&text.place, format!("`{}` is no address of a web server", url.scheme()), help)
        }
        Err(error) => reader.error(&text.place, format!("`url` cannot be read: {error}"), help),
    }
    None
}

fn auth<'s>(section: &Section<'_, 's>, folder: &Path, reader: &mut Reader<'s>) -> Option<Auth> {
    let table = section.section("auth", &["header", "user", "query", "file"], reader)?;
    let [header, user, query] = ["header", "user", "query"].map(|key| table.string(key, reader));
    let file = folder.join(table.required("file", reader)?.value);
    match (header, user, query) {
        (Some(name), None, None) => Some(Auth::Header { name: name.value, file }),
        (None, Some(user), None) => Some(Auth::Basic { user: user.value, file }),
        (None, None, Some(name)) => Some(Auth::Query { name: name.value, file }),
        _ => {
            let message = "`auth` names one of `header`, `user` and `query`";
            reader.error(&table.place, message, "keep the one that the server asks for");
            None
        }
    }
}

fn signature<'s>(section: &Section<'_, 's>, folder: &Path, reader: &mut Reader<'s>) -> Option<Signature> {
    let table = section.section("signature", &["key", "url"], reader)?;
    let key = table.required("key", reader)?;
    let url = table.string("url", reader).and_then(|text| address(&text, reader));
    Some(Signature { key: folder.join(key.value), url })
}

fn limits<'s>(section: &Section<'_, 's>, reader: &mut Reader<'s>) -> Limits {
    let default = Limits::default();
    let max_addresses = section.number("max_addresses", u32::MAX, reader);
    let mut number = |key, largest, default| section.number(key, largest, reader).unwrap_or(default);
    let mut entries = |key, default: usize| number(key, u32::MAX, default as u32) as usize;
    let min_entries = entries("min_entries", default.min_entries);
    let max_entries = entries("max_entries", default.max_entries);
    let slack = entries("slack", default.slack);
    let limits = Limits {
        max_addresses: max_addresses.map_or(default.max_addresses, u64::from),
        min_entries,
        max_entries,
        slack,
        max_growth: number("max_growth", MAX_PERCENT, default.max_growth),
        max_shrink: number("max_shrink", PERCENT, default.max_shrink),
        max_churn: number("max_churn", PERCENT, default.max_churn),
        max_rejected: number("max_rejected", PERCENT, default.max_rejected),
        max_removed: number("max_removed", PERCENT, default.max_removed),
        allow_empty: section.boolean("allow_empty", reader).unwrap_or(default.allow_empty),
    };
    if limits.min_entries > limits.max_entries {
        let message = "`min_entries` is larger than `max_entries`";
        reader.error(&section.place, message, "no list could ever pass");
    }
    limits
}

/// The largest list, as `64M`.
fn max_bytes<'s>(section: &Section<'_, 's>, reader: &mut Reader<'s>) -> u64 {
    const DEFAULT: u64 = 256 << 20;
    const LARGEST: u64 = 2 << 30;
    let Some(text) = section.string("max_size", reader) else { return DEFAULT };
    let bytes = parse_size(&text.value);
    match bytes.filter(|bytes| (1..=LARGEST).contains(bytes)) {
        Some(bytes) => bytes,
        None => {
            let message = format!("`max_size` cannot be `{}`", text.value);
            reader.error(&text.place, message, "write a number and a unit up to `2G`, as in `64M`");
            DEFAULT
        }
    }
}

macro_rules! texts {
    ($section:ident, $reader:ident, $type:ident { $($key:ident),* } $(, $($more:tt)*)?) => {
        $type { $($key: $section.string(stringify!($key), $reader).map(|text| text.value),)* $($($more)*)? }
    };
}

fn columns<'s>(section: &Section<'_, 's>, reader: &mut Reader<'s>) -> Columns {
    let keys = [
        "delimiter",
        "value",
        "port",
        "score",
        "category",
        "first_seen",
        "last_seen",
        "expires",
        "reference",
        "label",
    ];
    let Some(table) = section.section("columns", &keys, reader) else { return Columns::default() };
    let delimiter = table.string("delimiter", reader).and_then(|text| match text.value.as_str() {
        "\\t" | "tab" => Some('\t'),
        other if other.len() == 1 => other.chars().next(),
        _ => {
            reader.error(&text.place, "`delimiter` must be one character", "write `delimiter = \";\"`");
            None
        }
    });
    texts!(
        table,
        reader,
        Columns { value, port, score, category, first_seen, last_seen, expires, reference, label },
        delimiter
    )
}

fn pointers<'s>(section: &Section<'_, 's>, reader: &mut Reader<'s>) -> Pointers {
    let keys = [
        "records",
        "value",
        "port",
        "score",
        "category",
        "first_seen",
        "last_seen",
        "expires",
        "reference",
        "label",
    ];
    let Some(table) = section.section("pointers", &keys, reader) else { return Pointers::default() };
    for key in keys {
        let Some(value) = table.get(key) else { continue };
        if let Some(text) = value.get_ref().as_str().filter(|text| !text.starts_with('/')) {
            let place = reader.place(value.span());
            reader.error(&place, "a JSON pointer begins with `/`", format!("write `{key} = \"/{text}\"`"));
        }
    }
    texts!(
        table,
        reader,
        Pointers { records, value, port, score, category, first_seen, last_seen, expires, reference, label }
    )
}

/// Reads `[gate]`.
pub(in crate::config) fn gate<'s>(root: &Section<'_, 's>, reader: &mut Reader<'s>) -> GateConfig {
    let default = GateConfig::default();
    let known = ["shortest_ipv4", "shortest_ipv6", "public_resolvers", "never_block", "impact"];
    let Some(section) = root.section("gate", &known, reader) else { return default };
    let help = "nothing wider is ever listed; a `0.0.0.0/0` in a feed would cut off everybody";
    let shortest_v4 = section.number_within("shortest_ipv4", 1..=32, help, reader);
    let shortest_v6 = section.number_within("shortest_ipv6", 1..=128, help, reader);
    let impact = section.string("impact", reader).map(|text| match parse_duration(&text.value) {
        Ok(impact) if impact > LONGEST_IMPACT => {
            let help = "whom devices talked to is kept for 60 days; write `impact = \"60d\"`";
            reader.error(&text.place, "`impact` must be at most `60d`", help);
            default.impact
        }
        Ok(impact) => impact,
        Err(error) => {
            reader.error(&text.place, error.to_string(), error.help());
            default.impact
        }
    });
    GateConfig {
        floor: Floor {
            v4: shortest_v4.map_or(default.floor.v4, |bits| bits as u8),
            v6: shortest_v6.map_or(default.floor.v6, |bits| bits as u8),
        },
        public_resolvers: section.boolean("public_resolvers", reader).unwrap_or(default.public_resolvers),
        never_block: section
            .strings("never_block", reader)
            .iter()
            .filter_map(|text| network(text, reader))
            .collect(),
        impact: impact.unwrap_or(default.impact),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::diagnostic::SourceFile;

    fn config(feeds: &str) -> Result<Config, Vec<Diagnostic>> {
        let text = format!("[interfaces]\ndevice = [\"eth1\"]\n{feeds}");
        Config::parse(&SourceFile::new("config.toml", text), Path::new("/etc/x/config.toml"), false)
    }

    #[test]
    fn everything_that_a_feed_can_say_is_read() {
        let config = config(
            r#"
            [[feed]]
            name = "isac"
            url = "https://taxii.example.org/api/collections/1/"
            protocol = "taxii"
            auth = { user = "ward", file = "isac.password" }
            signature = { key = "isac.pub" }
            category = "c2"
            max_size = "64M"
            columns = { delimiter = "tab", value = "2" }
            [gate]
            never_block = ["203.0.113.0/24"]
            impact = "0s"
            "#,
        )
        .unwrap();
        let feed = &config.feeds[0];
        let Origin::Server(server) = &feed.source.origin else { panic!("a url") };
        assert_eq!((server.protocol, feed.source.max_bytes), (Protocol::Taxii, 64 << 20));
        let file = "/etc/x/isac.password".into();
        assert_eq!(server.auth, Some(Auth::Basic { user: "ward".into(), file }));
        assert_eq!((feed.expire, feed.limits), (7 * DAY, Limits::default()));
        assert_eq!((feed.columns.delimiter, feed.columns.value.as_deref()), (Some('\t'), Some("2")));
        assert_eq!((config.gate.impact, config.gate.never_block.len()), (Duration::ZERO, 1));
    }

    #[test]
    fn far_ends_count_for_as_long_as_they_are_kept() {
        let impact = |text: &str| config(&format!("[gate]\nimpact = \"{text}\"\n")).map(|it| it.gate.impact);
        assert_eq!(impact("60d"), Ok(60 * DAY));
        let found = impact("61d").unwrap_err();
        assert!(found[0].to_string().contains("`impact` must be at most `60d`"), "{found:?}");
    }

    #[test]
    fn every_mistake_is_told() {
        for (text, message) in [
            ("url = \"feeds.example.org/x\"", "`url` cannot be read: relative URL without a base"),
            ("url = \"ftp://feeds.example.org/x\"", "`ftp` is no address of a web server"),
            (
                "url = \"https://me:secret@x.example\"",
                "a password in a `url` shows wherever the address does",
            ),
            (
                "path = \"x\"\nauth = { header = \"A\", file = \"b\" }",
                "`auth` is for a `url`, and this feed is a file",
            ),
            (
                "url = \"https://x.example\"\nauth = { header = \"A\", query = \"k\", file = \"b\" }",
                "`auth` names one of `header`, `user` and `query`",
            ),
            ("path = \"x\"\nrefresh = \"1s\"", "`refresh` must be at least `1m`"),
            ("path = \"x\"\nmax_size = \"3G\"", "`max_size` cannot be `3G`"),
            ("path = \"x\"\nmax_shrink = 101", "`max_shrink` must be between 0 and 100"),
            ("path = \"x\"\nmax_churn = 101", "`max_churn` must be between 0 and 100"),
            ("path = \"x\"\nmin_entries = 5\nmax_entries = 4", "`min_entries` is larger than `max_entries`"),
            ("path = \"x\"\npointers = { value = \"ip\" }", "a JSON pointer begins with `/`"),
            ("path = \"x\"\ncolumns = { delimiter = \"ab\" }", "`delimiter` must be one character"),
        ] {
            let found = config(&format!("[[feed]]\nname = \"a\"\n{text}\n")).unwrap_err();
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].contains(message), "{text}: {found:?}");
        }
    }
}
