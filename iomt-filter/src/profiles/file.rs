//! A profile that ships, as its file has it.
//!
//! What nothing uses, and what is used and not said, is an error: a file is read by people who have to trust it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::contacts::Direction;
use crate::diagnostic::{Diagnostic, SourceFile, unless_errors};
use crate::document::{Located, Reader, Section};
use crate::foreign::escaped;
use crate::nearest::did_you_mean;
use crate::policy::is_name;
use crate::policy::peer;
use crate::policy::service::{Named, Services};

const VERSION: u32 = 1;

/// A profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shipped {
    /// What the file is called, without `.toml`.
    pub name: String,
    /// What devices it is of.
    pub title: String,
    /// What it is not, and what to look at before it is used.
    pub notes: Vec<String>,
    /// Where it is documented.
    pub sources: Vec<Source>,
    /// The far ends that the site names.
    pub endpoints: Vec<Need>,
    /// The services that a site may have at ports of its own.
    pub services: Vec<Need>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// What rules call it.
    pub name: String,
    /// Document and section.
    pub title: String,
    /// Where it is found.
    pub url: String,
}

/// Something that sites differ in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    /// What rules call it.
    pub name: String,
    /// What it is.
    pub what: String,
    /// The documented ports; empty for an endpoint, and where none is documented.
    pub default: Vec<String>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Who opens.
    pub direction: Direction,
    /// With whom: endpoints of the file, addresses, `gateway`.
    pub peers: Vec<String>,
    /// What: services of the file, or as rules of the policy write it.
    pub services: Vec<String>,
    /// The source, by name.
    pub source: String,
    /// What the source says of it.
    pub note: String,
}

impl Shipped {
    /// Reads a file; `name` is what it is called without `.toml`.
    ///
    /// # Errors
    /// When there is a mistake in it, with all of them.
    pub fn parse(name: &str, file: &SourceFile) -> Result<Self, Vec<Diagnostic>> {
        let mut reader = Reader::new(file);
        let document = reader.parse();
        let known = ["version", "title", "notes", "sources", "endpoints", "services", "allow"];
        let mut root = reader.section(document.get_ref(), 0..0, "", &known);
        root.name = "the profile".to_owned();
        root.place = file.whole();
        if root.number("version", u32::MAX, &mut reader) != Some(VERSION) {
            reader.error(&file.whole(), "this is no profile of version 1", "write `version = 1` at the top");
        }
        let title =
            root.required("title", &mut reader).map(|title| escaped(&title.value)).unwrap_or_default();
        let notes = root.strings("notes", &mut reader).into_iter().map(|note| escaped(&note.value)).collect();
        let mut profile = Self {
            name: name.to_owned(),
            title,
            notes,
            sources: sources(&root, &mut reader),
            endpoints: endpoints(&root, &mut reader),
            services: services(&root, &mut reader),
            rules: Vec::new(),
        };
        let mut used = BTreeSet::new();
        for section in root.sections("allow", &["to", "from", "service", "source", "note"], &mut reader) {
            profile.rules.extend(rule(&section, &profile, &mut used, &mut reader));
        }
        if profile.rules.is_empty() {
            reader.error(&file.whole(), "it has no rules", "add `[[allow]]` with `to` or `from`");
        }
        let known = [
            profile.endpoints.iter().map(|need| ("endpoint", &need.name)).collect::<Vec<_>>(),
            profile.services.iter().map(|need| ("service", &need.name)).collect(),
            profile.sources.iter().map(|source| ("source", &source.name)).collect(),
        ];
        for (kind, name) in known.into_iter().flatten() {
            if !used.contains(&(kind, name.clone())) {
                let message = format!("no rule uses the {kind} `{name}`");
                reader.error(&file.whole(), message, "remove it, or name it in a rule");
            }
        }
        unless_errors(reader.found)?;
        Ok(profile)
    }

    /// The source of a rule.
    #[must_use]
    pub fn source(&self, rule: &Rule) -> Option<&Source> {
        self.sources.iter().find(|source| source.name == rule.source)
    }
}

/// Entries of a table by name, in the order of the file.
fn named<'d, 's>(
    key: &str,
    root: &Section<'d, 's>,
    reader: &mut Reader<'s>,
) -> Vec<(Located<String>, &'d toml::Spanned<toml::de::DeValue<'s>>)> {
    let mut entries = root.entries(key, reader);
    entries.sort_by_key(|(name, _)| (name.place.line, name.place.column));
    for (name, _) in entries.iter().filter(|(name, _)| !is_name(&name.value)) {
        let message = format!("`{}` cannot be a name", name.value);
        reader.error(&name.place, message, "names are letters, digits, `-`, `_` and `.`, and no address");
    }
    entries
}

fn sources<'s>(root: &Section<'_, 's>, reader: &mut Reader<'s>) -> Vec<Source> {
    let mut sources = Vec::new();
    for (name, value) in named("sources", root, reader) {
        let Some(table) = reader.as_table(value, &name.value) else { continue };
        let section =
            reader.section(table, value.span(), &format!("sources.{}", name.value), &["title", "url"]);
        let (title, url) = (section.required("title", reader), section.required("url", reader));
        let (Some(title), Some(url)) = (title, url) else { continue };
        if !url.value.starts_with("https://") {
            reader.error(
                &url.place,
                format!("`{}` is no `https://` address", url.value),
                "name where it is found",
            );
        }
        sources.push(Source { name: name.value, title: escaped(&title.value), url: escaped(&url.value) });
    }
    sources
}

fn endpoints<'s>(root: &Section<'_, 's>, reader: &mut Reader<'s>) -> Vec<Need> {
    let entries = named("endpoints", root, reader).into_iter();
    entries
        .filter_map(|(name, value)| {
            let what = escaped(&reader.as_string(value, &name.value)?.value);
            Some(Need { name: name.value, what, default: Vec::new() })
        })
        .collect()
}

fn services<'s>(root: &Section<'_, 's>, reader: &mut Reader<'s>) -> Vec<Need> {
    let mut services = Vec::new();
    for (name, value) in named("services", root, reader) {
        let Some(table) = reader.as_table(value, &name.value) else { continue };
        let section =
            reader.section(table, value.span(), &format!("services.{}", name.value), &["what", "default"]);
        let Some(what) = section.required("what", reader) else { continue };
        let default = section.strings("default", reader);
        if Services::parse(&name.value, &Named::new()).is_ok() {
            reader.error(&name.place, format!("`{}` is built in", name.value), "choose another name");
        }
        default.iter().for_each(|text| check_service(text, reader));
        let default = default.into_iter().map(|text| text.value).collect();
        services.push(Need { name: name.value, what: escaped(&what.value), default });
    }
    services
}

fn check_service(text: &Located<String>, reader: &mut Reader<'_>) {
    let none = Named::new();
    match Services::parse(&text.value, &none) {
        Ok(services) if services.any => {
            reader.error(&text.place, "no document allows everything", "name ports");
        }
        Ok(_) => {}
        Err(error) => reader.error(&text.place, error.to_string(), error.help(&none)),
    }
}

fn rule<'s>(
    section: &Section<'_, 's>,
    profile: &Shipped,
    used: &mut BTreeSet<(&'static str, String)>,
    reader: &mut Reader<'s>,
) -> Option<Rule> {
    let (to, from) = (section.strings("to", reader), section.strings("from", reader));
    let (direction, peers) = match (to.is_empty(), from.is_empty()) {
        (false, true) => (Direction::FromDevice, to),
        (true, false) => (Direction::ToDevice, from),
        _ => {
            let help = "add `to = \"…\"` where the device opens, `from = \"…\"` where the peer does";
            reader.error(&section.place, "a rule has either `to` or `from`", help);
            return None;
        }
    };
    let endpoints = || profile.endpoints.iter().map(|need| need.name.as_str());
    for text in peers.iter().filter(|text| !endpoints().any(|name| name == text.value)) {
        if text.value != "gateway" && peer::network(&text.value).is_err() {
            let help =
                format!("{}; far ends are named in `[endpoints]`", did_you_mean(&text.value, endpoints()));
            reader.error(&text.place, format!("unknown endpoint `{}`", text.value), help);
        }
    }
    let services = section.strings("service", reader);
    if services.is_empty() {
        reader.error(&section.place, "this rule has no `service`", "add `service = \"…\"`");
    }
    for text in &services {
        if !profile.services.iter().any(|need| need.name == text.value) {
            check_service(text, reader);
        }
    }
    let (source, note) = (section.required("source", reader)?, section.required("note", reader)?);
    let known = profile.sources.iter().map(|source| source.name.as_str());
    if !known.clone().any(|name| name == source.value) {
        let help = did_you_mean(&source.value, known);
        reader.error(&source.place, format!("unknown source `{}`", source.value), help);
    }
    let values = |texts: Vec<Located<String>>| texts.into_iter().map(|text| text.value).collect::<Vec<_>>();
    let (peers, services) = (values(peers), values(services));
    used.extend(peers.iter().map(|name| ("endpoint", name.clone())));
    used.extend(services.iter().map(|name| ("service", name.clone())));
    used.insert(("source", source.value.clone()));
    Some(Rule { direction, peers, services, source: source.value, note: escaped(&note.value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "version = 1\ntitle = \"x\"\n[sources.a]\ntitle = \"A\"\nurl = \"https://a.example/\"\n\
                         [endpoints]\npacs = \"the PACS\"\n[services.p]\nwhat = \"ports\"\ndefault = \"104/tcp\"\n\
                         [[allow]]\nto = \"pacs\"\nservice = \"p\"\nsource = \"a\"\nnote = \"n\"\n";

    fn parse(text: &str) -> Result<Shipped, Vec<Diagnostic>> {
        Shipped::parse("x", &SourceFile::new("x.toml", text))
    }

    #[test]
    fn every_mistake_is_told() {
        assert!(parse(WHOLE).is_ok());
        for (from, to, said) in [
            ("version = 1", "version = 2", "this is no profile of version 1"),
            ("title = \"x\"\n", "", "`the profile` has no `title`"),
            ("title = \"x\"", "titel = \"x\"", "unknown key `titel`"),
            ("https://a.example/", "http://a.example/", "is no `https://` address"),
            ("title = \"A\"\n", "", "`sources.a` has no `title`"),
            ("url = \"https://a.example/\"\n", "", "`sources.a` has no `url`"),
            ("pacs = \"the PACS\"", "\"a b\" = \"x\"", "`a b` cannot be a name"),
            ("pacs = \"the PACS\"", "pasc = \"the PACS\"", "unknown endpoint `pacs`"),
            ("pacs = \"the PACS\"", "pacs = \"the PACS\"\nris = \"RIS\"", "no rule uses the endpoint `ris`"),
            ("what = \"ports\"\n", "", "`services.p` has no `what`"),
            ("default = \"104/tcp\"", "default = \"104\"", "`104` has no protocol"),
            ("default = \"104/tcp\"", "default = \"any\"", "no document allows everything"),
            ("services.p]", "services.dns]", "`dns` is built in"),
            ("service = \"p\"\n", "", "this rule has no `service`"),
            ("service = \"p\"", "service = \"q\"", "unknown service `q`"),
            ("service = \"p\"", "service = [\"p\", \"any\"]", "no document allows everything"),
            ("to = \"pacs\"", "to = \"any\"", "unknown endpoint `any`"),
            ("to = \"pacs\"\n", "", "a rule has either `to` or `from`"),
            ("to = \"pacs\"", "to = \"pacs\"\nfrom = \"pacs\"", "a rule has either `to` or `from`"),
            ("source = \"a\"\n", "", "`allow` has no `source`"),
            ("source = \"a\"", "source = \"b\"", "unknown source `b`"),
            ("note = \"n\"\n", "", "`allow` has no `note`"),
        ] {
            assert!(WHOLE.contains(from), "{from}");
            let found = parse(&WHOLE.replacen(from, to, 1)).unwrap_err();
            assert!(found.iter().any(|one| one.message.contains(said)), "{to}: {found:?}");
        }
        let (head, _) = WHOLE.split_once("[[allow]]").unwrap();
        assert!(parse(head).unwrap_err().iter().any(|one| one.message == "it has no rules"));
    }
}
