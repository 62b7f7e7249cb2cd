//! What the user wrote: policy.toml, key by key, with places and without meaning.

use iomt_filter_common::policy::{Mode, Otherwise};

use super::error::Problem;
use super::limits::Limits;
use super::model::GeoStale;
use crate::diagnostic::{Diagnostic, Place, SourceFile};
use crate::document::{Located, Reader, Section};

/// The modes by name.
pub const MODES: &[(&str, Mode)] = &[
    ("learn", Mode::Learn),
    ("monitor", Mode::Monitor),
    ("enforce", Mode::Enforce),
    ("quarantine", Mode::Quarantine),
];
const UNKNOWN_DEVICE: &[(&str, Otherwise)] =
    &[("drop", Otherwise::Drop), ("monitor", Otherwise::Monitor), ("pass", Otherwise::Pass)];
const DROP_OR_PASS: &[(&str, Otherwise)] = &[("drop", Otherwise::Drop), ("pass", Otherwise::Pass)];
const ON_BLOCK: &[(&str, bool)] = &[("drop", false), ("reset", true)];
const FAIL: &[(&str, bool)] = &[("closed", false), ("open", true)];
const ON_AGENT_LOSS: &[(&str, bool)] = &[("static", false), ("open", true)];
const GEO_STALE: &[(&str, GeoStale)] = &[("keep", GeoStale::Keep), ("deny", GeoStale::Deny)];
const UNKNOWN_COUNTRY: &[(&str, bool)] = &[("allow", false), ("deny", true)];

const MAX_SCORE: u32 = 100;
const VERSION: u32 = 1;

/// A policy file.
#[derive(Debug, Default)]
pub struct Source {
    /// `[defaults]`.
    pub defaults: Defaults,
    /// `[endpoints]`, in the order of the file.
    pub endpoints: Vec<NamedList>,
    /// `[services]`, in the order of the file.
    pub services: Vec<NamedList>,
    /// `[profiles.NAME]`, in the order of the file.
    pub profiles: Vec<ProfileSource>,
    /// `[protected].pairs`.
    pub pairs: Vec<PairSource>,
}

/// `[defaults]`, each where it is set.
#[derive(Debug, Default)]
pub struct Defaults {
    /// `mode`.
    pub mode: Option<Mode>,
    /// `block_score`.
    pub block_score: Option<u8>,
    /// `unknown_device`.
    pub unknown_device: Option<Otherwise>,
    /// `unparsed`.
    pub unparsed: Option<Otherwise>,
    /// `midstream`.
    pub midstream: Option<Otherwise>,
    /// `geo_stale`.
    pub geo_stale: Option<GeoStale>,
    /// `limits`.
    pub limits: Limits,
}

/// A name that the user chose, and what it stands for.
#[derive(Debug)]
pub struct NamedList {
    /// The name.
    pub name: Located<String>,
    /// Its items.
    pub items: Vec<Located<String>>,
}

/// `[profiles.NAME]`.
#[derive(Debug)]
pub struct ProfileSource {
    /// Its name.
    pub name: Located<String>,
    /// `mode`.
    pub mode: Option<Mode>,
    /// `block_score`.
    pub block_score: Option<u8>,
    /// `allow`.
    pub rules: Vec<RuleSource>,
    /// `geo`.
    pub geo: Option<GeoSource>,
    /// `on_block = "reset"`.
    pub reset: bool,
    /// `fail = "open"`.
    pub fail_open: bool,
    /// `on_agent_loss = "open"`.
    pub open_on_agent_loss: bool,
    /// `limits`.
    pub limits: Limits,
}

/// One rule of `allow`.
#[derive(Debug)]
pub struct RuleSource {
    /// The rule as a whole.
    pub place: Place,
    /// `to`.
    pub to: Option<Vec<Located<String>>>,
    /// `from`.
    pub from: Option<Vec<Located<String>>>,
    /// `service`.
    pub service: Option<Vec<Located<String>>>,
    /// `note`.
    pub note: Option<String>,
}

/// `geo`.
#[derive(Debug)]
pub struct GeoSource {
    /// The table as a whole.
    pub place: Place,
    /// `allow`.
    pub allow: Option<Vec<Located<String>>>,
    /// `deny`.
    pub deny: Option<Vec<Located<String>>>,
    /// `unknown = "deny"`.
    pub deny_unknown: bool,
}

/// One of `[protected].pairs`.
#[derive(Debug)]
pub struct PairSource {
    /// The pair as a whole.
    pub place: Place,
    /// `device`, a glob over device names.
    pub device: Option<Located<String>>,
    /// `peer`.
    pub peer: Vec<Located<String>>,
}

/// Reads a policy file. What could be read comes back beside what is wrong.
pub fn parse(file: &SourceFile) -> (Source, Vec<Diagnostic>) {
    let mut reader = Reader::new(file);
    let document = reader.parse();
    let known = ["version", "defaults", "endpoints", "services", "profiles", "protected"];
    let root = reader.section(document.get_ref(), 0..0, "", &known);
    check_version(&root, file, &mut reader);
    let source = Source {
        defaults: defaults(&root, &mut reader),
        endpoints: named_lists("endpoints", &root, &mut reader),
        services: named_lists("services", &root, &mut reader),
        profiles: profiles(&root, &mut reader),
        pairs: pairs(&root, &mut reader),
    };
    (source, reader.found)
}

fn check_version<'s>(root: &Section<'_, 's>, file: &SourceFile, reader: &mut Reader<'s>) {
    let Some(value) = root.get("version") else {
        return reader.found.push(Problem::NoVersion.error(&file.whole()));
    };
    let place = reader.place(value.span());
    match root.number("version", u32::MAX, reader) {
        Some(version) if version != VERSION => {
            reader.found.push(Problem::WrongVersion(version).error(&place));
        }
        _ => {}
    }
}

fn defaults<'s>(root: &Section<'_, 's>, reader: &mut Reader<'s>) -> Defaults {
    let known = ["mode", "block_score", "unknown_device", "unparsed", "midstream", "geo_stale", "limits"];
    let Some(section) = root.section("defaults", &known, reader) else { return Defaults::default() };
    Defaults {
        mode: section.word("mode", MODES, reader),
        block_score: score("block_score", &section, reader),
        unknown_device: section.word("unknown_device", UNKNOWN_DEVICE, reader),
        unparsed: section.word("unparsed", DROP_OR_PASS, reader),
        midstream: section.word("midstream", DROP_OR_PASS, reader),
        geo_stale: section.word("geo_stale", GEO_STALE, reader),
        limits: Limits::read(&section, reader),
    }
}

fn named_lists<'s>(key: &str, root: &Section<'_, 's>, reader: &mut Reader<'s>) -> Vec<NamedList> {
    let mut lists = Vec::new();
    for (name, value) in root.entries(key, reader) {
        let items = reader.as_strings(value, &name.value);
        lists.push(NamedList { name, items });
    }
    lists.sort_by_key(|list| position(&list.name.place));
    lists
}

fn profiles<'s>(root: &Section<'_, 's>, reader: &mut Reader<'s>) -> Vec<ProfileSource> {
    let known = ["mode", "block_score", "allow", "geo", "on_block", "fail", "on_agent_loss", "limits"];
    let mut profiles = Vec::new();
    for (name, value) in root.entries("profiles", reader) {
        let Some(table) = reader.as_table(value, &name.value) else { continue };
        let section = reader.section(table, value.span(), &format!("profiles.{}", name.value), &known);
        profiles.push(ProfileSource {
            mode: section.word("mode", MODES, reader),
            block_score: score("block_score", &section, reader),
            rules: rules(&section, reader),
            geo: geo(&section, reader),
            reset: section.word("on_block", ON_BLOCK, reader).unwrap_or_default(),
            fail_open: section.word("fail", FAIL, reader).unwrap_or_default(),
            open_on_agent_loss: section.word("on_agent_loss", ON_AGENT_LOSS, reader).unwrap_or_default(),
            limits: Limits::read(&section, reader),
            name,
        });
    }
    profiles.sort_by_key(|profile| position(&profile.name.place));
    profiles
}

fn rules<'s>(profile: &Section<'_, 's>, reader: &mut Reader<'s>) -> Vec<RuleSource> {
    let sections = profile.sections("allow", &["to", "from", "service", "note"], reader);
    let mut rules = Vec::with_capacity(sections.len());
    for section in sections {
        rules.push(RuleSource {
            to: optional_list("to", &section, reader),
            from: optional_list("from", &section, reader),
            service: optional_list("service", &section, reader),
            note: section.string("note", reader).map(|note| note.value),
            place: section.place,
        });
    }
    rules
}

fn geo<'s>(profile: &Section<'_, 's>, reader: &mut Reader<'s>) -> Option<GeoSource> {
    let section = profile.section("geo", &["allow", "deny", "unknown"], reader)?;
    Some(GeoSource {
        allow: optional_list("allow", &section, reader),
        deny: optional_list("deny", &section, reader),
        deny_unknown: section.word("unknown", UNKNOWN_COUNTRY, reader).unwrap_or_default(),
        place: section.place,
    })
}

fn pairs<'s>(root: &Section<'_, 's>, reader: &mut Reader<'s>) -> Vec<PairSource> {
    let Some(section) = root.section("protected", &["pairs"], reader) else { return Vec::new() };
    let sections = section.sections("pairs", &["device", "peer"], reader);
    let mut pairs = Vec::with_capacity(sections.len());
    for pair in sections {
        let device = pair.string("device", reader);
        let peer = pair.strings("peer", reader);
        pairs.push(PairSource { place: pair.place, device, peer });
    }
    pairs
}

fn optional_list<'s>(
    key: &str,
    section: &Section<'_, 's>,
    reader: &mut Reader<'s>,
) -> Option<Vec<Located<String>>> {
    section.get(key).map(|value| reader.as_strings(value, key))
}

fn score<'s>(key: &str, section: &Section<'_, 's>, reader: &mut Reader<'s>) -> Option<u8> {
    section.number(key, MAX_SCORE, reader).map(|score| score as u8)
}

fn position(place: &Place) -> (u32, u32) {
    (place.line, place.column)
}
