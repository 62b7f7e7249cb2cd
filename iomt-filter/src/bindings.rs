//! Who stands behind the names that others give, at this site: the classes of MUD files (RFC 8520 §8), the far ends of
//! profiles that ship, and those of makers' tables of ports.
//!
//! A TOML text comes in, [`Bindings`] or every mistake in it goes out. Peers and services are written as rules of the
//! policy write them; nobody is taken for anybody without a line in here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use url::Url;

use crate::diagnostic::{Diagnostic, SourceFile, unless_errors};
use crate::document::{Reader, Section};

/// A site's bindings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings {
    /// `local_networks`: peers.
    pub(crate) local_networks: Vec<String>,
    /// `[controllers]`: peers by URI or URN.
    pub(crate) controllers: BTreeMap<String, Vec<String>>,
    /// `[my_controllers]`: peers by the MUD URL of the device.
    pub(crate) my_controllers: BTreeMap<String, Vec<String>>,
    /// `[manufacturers]`: profiles by the authority of MUD URLs.
    pub(crate) manufacturers: BTreeMap<String, Vec<String>>,
    /// `[models]`: profiles by MUD URL.
    pub(crate) models: BTreeMap<String, Vec<String>>,
    /// `[peers]`: peers by the [`key`] of their name in a profile or a table.
    peers: BTreeMap<String, Vec<String>>,
    /// `[services]`: services by the [`key`] of their name in a profile.
    services: BTreeMap<String, Vec<String>>,
}

impl Bindings {
    /// Reads a file.
    ///
    /// # Errors
    /// When there is a mistake in it, with all of them.
    pub fn parse(file: &SourceFile) -> Result<Self, Vec<Diagnostic>> {
        let mut reader = Reader::new(file);
        let document = reader.parse();
        let known = [
            "local_networks",
            "controllers",
            "my_controllers",
            "manufacturers",
            "models",
            "peers",
            "services",
        ];
        let root = reader.section(document.get_ref(), 0..0, "", &known);
        let manufacturers = by_name("manufacturers", &root, &mut reader).into_iter();
        let keyed = |table: BTreeMap<String, Vec<String>>| {
            table.into_iter().map(|(name, means)| (key(&name), means)).collect()
        };
        let bindings = Self {
            local_networks: peers("local_networks", &root, &mut reader),
            controllers: by_name("controllers", &root, &mut reader),
            my_controllers: by_name("my_controllers", &root, &mut reader),
            manufacturers: manufacturers.map(|(name, who)| (name.to_ascii_lowercase(), who)).collect(),
            models: by_name("models", &root, &mut reader),
            peers: keyed(by_name("peers", &root, &mut reader)),
            services: keyed(by_name("services", &root, &mut reader)),
        };
        unless_errors(reader.found)?;
        Ok(bindings)
    }

    /// As a file.
    pub fn text(&self) -> String {
        let mut text = String::from("# Who stands behind the classes that the MUD file names.\n");
        if !self.local_networks.is_empty() {
            let _ = writeln!(text, "local_networks = {}", list(&self.local_networks));
        }
        for (name, table) in [
            ("controllers", &self.controllers),
            ("my_controllers", &self.my_controllers),
            ("manufacturers", &self.manufacturers),
            ("models", &self.models),
        ] {
            if table.is_empty() {
                continue;
            }
            let _ = writeln!(text, "\n[{name}]");
            for (key, values) in table {
                let _ = writeln!(text, "{} = {}", toml_edit::Value::from(key.as_str()), list(values));
            }
        }
        text
    }

    /// The peers that a name stands for, however it is cased and spaced; nothing where it is bound to nobody.
    pub fn peers(&self, name: &str) -> Option<&[String]> {
        self.peers.get(&key(name)).filter(|peers| !peers.is_empty()).map(Vec::as_slice)
    }

    /// The same for services.
    pub fn services(&self, name: &str) -> Option<&[String]> {
        self.services.get(&key(name)).filter(|services| !services.is_empty()).map(Vec::as_slice)
    }

    /// Whether it binds nobody.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A name as it is looked for: what people write differs in case and spaces.
fn key(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// The authority of a URL, as `[manufacturers]` has it.
pub(crate) fn authority(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?.to_ascii_lowercase();
    Some(url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
}

fn list(values: &[String]) -> toml_edit::Value {
    values.iter().map(String::as_str).collect::<toml_edit::Array>().into()
}

fn by_name<'s>(key: &str, root: &Section<'_, 's>, reader: &mut Reader<'s>) -> BTreeMap<String, Vec<String>> {
    let entries = root.entries(key, reader).into_iter();
    entries
        .map(|(name, value)| (name.value.clone(), checked(reader.as_strings(value, &name.value), reader)))
        .collect()
}

fn peers<'s>(key: &str, root: &Section<'_, 's>, reader: &mut Reader<'s>) -> Vec<String> {
    let texts = root.strings(key, reader);
    checked(texts, reader)
}

/// A binding to everybody would turn the narrowest rule into the widest.
fn checked(texts: Vec<crate::document::Located<String>>, reader: &mut Reader<'_>) -> Vec<String> {
    for text in texts.iter().filter(|text| text.value == "any") {
        let help = "name an endpoint, addresses or prefixes; services by their ports";
        reader.error(&text.place, "nobody in particular is bound", help);
    }
    texts.into_iter().map(|text| text.value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Bindings, Vec<Diagnostic>> {
        Bindings::parse(&SourceFile::new("bindings.toml", text))
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = r#"
            local_networks = ["10.0.0.0/8"]
            [controllers]
            "urn:ietf:params:mud:dns" = "dns"
            [my_controllers]
            "https://pump.example/p.json" = ["10.20.0.20", "gateway"]
            [manufacturers]
            "Pump.Example" = "pump"
            [models]
            "https://pump.example/p.json" = ["pump"]
        "#;
        let bindings = parse(text).unwrap();
        assert_eq!(bindings.manufacturers["pump.example"], ["pump"]);
        assert_eq!(parse(&bindings.text()).unwrap(), bindings);
    }

    #[test]
    fn mistakes_have_a_place() {
        let found = parse("controler = 1\nlocal_networks = 7\n[controllers]\nx = \"any\"\n").unwrap_err();
        let lines: Vec<u32> = found.iter().map(|it| it.line).collect();
        assert_eq!(lines, [1, 2, 4]);
    }

    #[test]
    fn names_of_people_are_found_however_they_are_written() {
        let bindings =
            parse("[peers]\n\"PIC  iX Server\" = \"10.20.0.20\"\n[services]\nhl7-port = \"6661/tcp\"\n")
                .unwrap();
        assert_eq!(bindings.peers(" pic ix server").unwrap(), ["10.20.0.20"]);
        assert_eq!(bindings.services("HL7-port").unwrap(), ["6661/tcp"]);
        assert_eq!(bindings.peers("pic"), None);
    }

    #[test]
    fn authorities_have_their_port() {
        assert_eq!(authority("https://Pump.example:8443/x").as_deref(), Some("pump.example:8443"));
        assert_eq!(authority("https://pump.example:443/x").as_deref(), Some("pump.example"));
        assert_eq!(authority("pump"), None);
    }
}
