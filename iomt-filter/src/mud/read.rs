//! A MUD file as it stands: bounded, its lists flattened into entries, and whatever is not understood said with its place.
//!
//! Of drafts before the RFC, the names that they had are taken: `access-lists`, `acl-name`, `rule-name`,
//! `access-list-entries`, `ipv4-acl`, `mud-acl` and ports inside of `ipv4-acl`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use super::acl::{self, Unread};
use super::entry::{Entry, Families, Far};
use super::object::{Object, local};
use super::report::LeftOut;
use crate::contacts::Direction;
use crate::foreign::{escaped, shown};
use crate::policy::is_name;

/// Octets of a file at most; the largest that makers have are some ten thousand.
pub const LARGEST: usize = 1 << 20;
/// Entries of all lists of a file together, as often as a policy names them.
const MOST_ENTRIES: usize = 2_000;
/// Characters of a profile's name that is made of a file's.
const LONGEST_NAME: usize = 64;
/// The version of RFC 8520.
const VERSION: u64 = 1;

/// Why a file cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It is too large.
    #[error("it has more than {LARGEST} bytes: no MUD file is that large")]
    TooLarge,
    /// It is no JSON, or nested too deeply.
    #[error("it is no JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// It is something else.
    #[error("it is no MUD file: it has no object `ietf-mud:mud`")]
    NotMud,
    /// It is of a version that nobody knows.
    #[error("its `mud-version` is {0}, and only 1 (RFC 8520) is known")]
    Version(String),
    /// Lists are there twice.
    #[error("two of its access lists are called `{0}`, so nobody can say which one counts")]
    TwoLists(String),
    /// Its lists are not where they belong.
    #[error("{0}")]
    Lists(String),
    /// It has too many entries.
    #[error("it has more than {MOST_ENTRIES} entries: no device needs that many rules")]
    TooMany,
}

/// A MUD file.
#[derive(Clone, Debug, Default)]
pub struct Mud {
    /// What it says of itself.
    pub about: About,
    /// Entries in their order, those of the device first.
    pub(super) entries: Vec<Entry>,
    /// Entries that can be no rule.
    pub(super) left_out: Vec<LeftOut>,
    /// What does no harm and is told.
    pub(super) notes: Vec<String>,
}

/// What a file says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct About {
    /// `mud-url`.
    pub mud_url: Option<String>,
    /// `last-update`.
    pub last_update: Option<String>,
    /// `cache-validity`, in hours.
    pub cache_validity: Option<u64>,
    /// `is-supported`: whether its maker still takes care of the device.
    pub is_supported: Option<bool>,
    /// `systeminfo`.
    pub systeminfo: Option<String>,
    /// `mfg-name`.
    pub manufacturer: Option<String>,
    /// `model-name`.
    pub model: Option<String>,
}

impl About {
    /// The same as it may be shown.
    pub(super) fn escaped(&self) -> Self {
        let of = |text: &Option<String>| text.as_deref().map(escaped);
        Self {
            mud_url: of(&self.mud_url),
            last_update: of(&self.last_update),
            systeminfo: of(&self.systeminfo),
            manufacturer: of(&self.manufacturer),
            model: of(&self.model),
            ..*self
        }
    }
}

impl Mud {
    /// A name for the profile: that of the model, or the last part of the MUD URL.
    pub fn profile_name(&self) -> String {
        let of_url = || self.about.mud_url.as_deref()?.rsplit('/').find(|part| !part.is_empty());
        let name = self.about.model.as_deref().or_else(of_url).unwrap_or_default();
        let name = name.strip_suffix(".json").unwrap_or(name);
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let name: String = name.chars().take(LONGEST_NAME).map(plain).collect();
        let name = name.trim_matches('-');
        if is_name(name) { name.to_owned() } else { format!("mud-{name}").trim_end_matches('-').to_owned() }
    }

    /// The domains that it names.
    pub fn names(&self) -> BTreeSet<&str> {
        let name = |entry: &'_ Entry| matches!(entry.far, Far::Name(_));
        let named = self.entries.iter().filter(|entry| name(entry) && entry.is_accepted);
        named
            .filter_map(|entry| if let Far::Name(name) = &entry.far { Some(name.as_str()) } else { None })
            .collect()
    }
}

/// Reads a file.
///
/// # Errors
/// When it is too large, no JSON or no MUD file, or of another version.
pub fn read(bytes: &[u8]) -> Result<Mud, ReadError> {
    if bytes.len() > LARGEST {
        return Err(ReadError::TooLarge);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // The reader refuses what is nested more than 128 deep.
    let document: Value = serde_json::from_slice(bytes).map_err(ReadError::NotJson)?;
    let mut top = Object::of(&document).map_err(|_| ReadError::NotMud)?;
    let mud = top.take(&["mud"]).filter(|mud| mud.is_object()).ok_or(ReadError::NotMud)?;
    let acls = [top.take(&["acls"]), top.take(&["access-lists"])];
    let mut read = Mud::default();
    if acls.iter().flatten().count() == 2 {
        return Err(ReadError::Lists("it has both `acls` and a draft's `access-lists`".to_owned()));
    }
    let lists = match acls.into_iter().flatten().next() {
        Some(value) => lists(value)?,
        None => BTreeMap::new(),
    };
    let policies = read.container(mud)?;
    read.unknown("the file", top);
    let mut used = BTreeSet::new();
    let mut count = 0;
    for (sender, names) in policies {
        for name in names {
            let Some(list) = lists.get(name) else {
                let why = "the policy names this list, and there is none".to_owned();
                read.left_out.push(LeftOut { place: shown(name), why });
                continue;
            };
            used.insert(name);
            count += list.entries.len();
            if count > MOST_ENTRIES {
                return Err(ReadError::TooMany);
            }
            list.entries(name, sender, &mut read);
        }
    }
    for name in lists.keys().filter(|name| !used.contains(*name)) {
        read.notes.push(format!("list `{}` belongs to no policy and means nothing", shown(name)));
    }
    Ok(read)
}

impl Mud {
    /// `ietf-mud:mud`: the names of the lists of each policy come back.
    fn container<'v>(&mut self, value: &'v Value) -> Result<Vec<(Direction, Vec<&'v str>)>, ReadError> {
        let mut mud = Object::of(value).map_err(ReadError::Lists)?;
        match mud.take(&["mud-version"]) {
            Some(version) if version.as_u64() != Some(VERSION) => {
                return Err(ReadError::Version(shown(&version.to_string())));
            }
            Some(_) => {}
            None => self.notes.push("it has no `mud-version`, as drafts before RFC 8520".to_owned()),
        }
        let mut text = |name: &str| mud.take(&[name]).and_then(Value::as_str).map(str::to_owned);
        self.about = About {
            mud_url: text("mud-url"),
            last_update: text("last-update"),
            systeminfo: text("systeminfo"),
            manufacturer: text("mfg-name"),
            model: text("model-name"),
            cache_validity: mud.take(&["cache-validity"]).and_then(Value::as_u64),
            is_supported: mud.take(&["is-supported"]).and_then(Value::as_bool),
        };
        for name in ["mud-signature", "firmware-rev", "software-rev", "documentation"] {
            mud.take(&[name]);
        }
        if let Some(extensions) =
            mud.take(&["extensions"]).filter(|value| value != &&Value::Array(Vec::new()))
        {
            self.notes.push(format!("its extensions are not looked at: {}", shown(&extensions.to_string())));
        }
        let mut policies = Vec::new();
        for (name, sender) in
            [("from-device-policy", Direction::FromDevice), ("to-device-policy", Direction::ToDevice)]
        {
            let lists = mud.take(&[name]).map(|value| self.policy(name, value));
            policies.push((sender, lists.unwrap_or_default()));
        }
        self.unknown("`ietf-mud:mud`", mud);
        Ok(policies)
    }

    /// The lists that a policy names.
    fn policy<'v>(&mut self, policy: &str, value: &'v Value) -> Vec<&'v str> {
        let named = |value: &'v Value| -> Result<Vec<&'v str>, String> {
            let mut object = Object::of(value)?;
            let lists = object.take(&["access-lists"]).ok_or("it has no `access-lists`")?;
            object.end()?;
            let mut object = Object::of(lists)?;
            let list = object.take(&["access-list"]).and_then(Value::as_array);
            object.end()?;
            let mut names = Vec::new();
            for value in list.ok_or("it has no list `access-list`")? {
                let mut object = Object::of(value)?;
                object.take(&["acl-type", "type"]);
                let name = object.take(&["name", "acl-name"]).and_then(Value::as_str);
                object.end()?;
                names.push(name.ok_or("a list has no `name`")?);
            }
            Ok(names)
        };
        match named(value) {
            Ok(mut names) => {
                let mut seen = BTreeSet::new();
                names.retain(|name| seen.insert(*name));
                names
            }
            Err(why) => {
                self.left_out.push(LeftOut { place: policy.to_owned(), why });
                Vec::new()
            }
        }
    }

    fn unknown(&mut self, place: &str, object: Object<'_>) {
        self.notes.extend(object.rest().iter().map(|name| format!("unknown in {place}: `{name}`")));
    }
}

/// An access list.
struct List<'v> {
    families: Result<Families, String>,
    entries: &'v [Value],
    unknown: Vec<String>,
}

/// The lists of a file, by name.
fn lists(value: &Value) -> Result<BTreeMap<&str, List<'_>>, ReadError> {
    let misplaced = |why: String| ReadError::Lists(format!("its access lists cannot be read: {why}"));
    let mut object = Object::of(value).map_err(misplaced)?;
    let acls = object.take(&["acl"]);
    // What interfaces of a router do with lists is none of a device's.
    object.take(&["attachment-points"]);
    object.end().map_err(misplaced)?;
    let acls = match acls {
        Some(acls) => acls.as_array().ok_or_else(|| misplaced("`acl` is no list".to_owned()))?,
        None => return Ok(BTreeMap::new()),
    };
    let mut lists = BTreeMap::new();
    for acl in acls {
        let (name, list) = List::read(acl).map_err(misplaced)?;
        if lists.insert(name, list).is_some() {
            return Err(ReadError::TwoLists(shown(name)));
        }
    }
    Ok(lists)
}

impl<'v> List<'v> {
    fn read(value: &'v Value) -> Result<(&'v str, Self), String> {
        let mut acl = Object::of(value)?;
        let name = acl.take(&["name", "acl-name"]).and_then(Value::as_str).ok_or("a list has no `name`")?;
        let families = match acl.take(&["type", "acl-type"]) {
            Some(kind) => families(kind),
            None => Ok(Families::BOTH),
        };
        let aces = acl.take(&["aces", "access-list-entries"]);
        let unknown = acl.rest();
        let within = |why: &str| format!("list `{}`: {why}", shown(name));
        let entries = match aces {
            Some(aces) => {
                let mut aces = Object::of(aces).map_err(|why| within(&why))?;
                let entries = aces.take(&["ace"]);
                aces.end().map_err(|why| within(&why))?;
                entries.map_or(Ok([].as_slice()), |entries| {
                    entries.as_array().map(Vec::as_slice).ok_or_else(|| within("`ace` is no list"))
                })?
            }
            None => &[],
        };
        Ok((name, Self { families, entries, unknown }))
    }

    /// Adds its entries, for packets of `sender`.
    fn entries(&self, name: &str, sender: Direction, read: &mut Mud) {
        let list = shown(name);
        if let Some(unknown) = self.unknown.first() {
            let why = format!("unknown: `{unknown}`");
            return read.left_out.push(LeftOut { place: list, why });
        }
        let families = match &self.families {
            Ok(families) => *families,
            Err(why) => return read.left_out.push(LeftOut { place: list, why: why.clone() }),
        };
        for (number, value) in (1..).zip(self.entries) {
            let called = ["name", "rule-name"].iter().find_map(|key| value.get(key)?.as_str());
            let entry = called.map_or_else(|| format!("#{number}"), shown);
            let place = format!("{list}/{entry}");
            match acl::entry(value, &place, sender, families) {
                Ok(entry) => read.entries.push(entry),
                Err(Unread::Needless(why)) => read.notes.push(format!("`{place}` gets no rule: {why}")),
                Err(Unread::LeftOut(why)) => read.left_out.push(LeftOut { place, why }),
            }
        }
    }
}

/// The versions of IP that a list is of, by its type.
fn families(kind: &Value) -> Result<Families, String> {
    match kind.as_str().map(local) {
        Some("ipv4-acl-type" | "ipv4-acl" | "mixed-eth-ipv4-acl-type") => Ok(Families::V4),
        Some("ipv6-acl-type" | "ipv6-acl" | "mixed-eth-ipv6-acl-type") => Ok(Families::V6),
        Some("eth-acl-type" | "mixed-eth-ipv4-ipv6-acl-type" | "mixed-l3-acl-type") => Ok(Families::BOTH),
        _ => Err(format!("unknown type of list: {}", shown(&kind.to_string()))),
    }
}
