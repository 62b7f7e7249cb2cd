//! The other ends that a file names, as peers of a rule.

use std::net::IpAddr;

use ipnet::IpNet;

use super::entry::{Families, Far};
use super::import::Ground;
use super::report::Answer;
use crate::bindings::authority;
use crate::foreign::shown;
use crate::policy::peer;

const PROFILE: &str = "profile:";

/// Peers of a rule, and what is to be said of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) words: Vec<String>,
    pub(super) notes: Vec<String>,
    /// The same of peers that have addresses of the other version of IP too.
    pub(super) wider: Vec<String>,
}

/// As a file names it, for people.
pub(super) fn name(far: &Far) -> String {
    match far {
        Far::Any => "any".to_owned(),
        Far::Network(network) => network.to_string(),
        Far::Name(name) => name.clone(),
        Far::LocalNetworks => "local-networks".to_owned(),
        Far::SameManufacturer => "same-manufacturer".to_owned(),
        Far::Manufacturer(name) => format!("manufacturer {}", shown(name)),
        Far::Model(url) => format!("model {}", shown(url)),
        Far::Controller(uri) => format!("controller {}", shown(uri)),
        Far::MyController => "my-controller".to_owned(),
    }
}

/// The peers that stand for a far end.
///
/// # Errors
/// When nobody does, with what to do about it.
pub(super) fn words(
    far: &Far,
    families: Families,
    url: Option<&str>,
    ground: &Ground<'_>,
) -> Result<Words, String> {
    let bindings = ground.bindings;
    let own = || url.ok_or("the file has no `mud-url` to go by".to_owned());
    let bound = |table: &str, key: &str, found: Option<&Vec<String>>| {
        let key = shown(key);
        let unbound =
            || format!("`{key}` is bound to nobody: add it to `[{table}]` of the file of `--bindings`");
        found.filter(|found| !found.is_empty()).cloned().ok_or_else(unbound)
    };
    let profiles = |names: Vec<String>| names.iter().map(|name| format!("{PROFILE}{name}")).collect();
    let of_maker =
        |maker: &str| bound("manufacturers", maker, bindings.manufacturers.get(maker)).map(profiles);
    let texts = match far {
        Far::Any => return Ok(Words { words: vec![everybody(families).to_owned()], ..Words::default() }),
        Far::Network(network) => return Ok(Words { words: vec![text(network)], ..Words::default() }),
        Far::Name(name) => return addresses(name, families, ground),
        Far::LocalNetworks if bindings.local_networks.is_empty() => {
            return Err(
                "nothing says which networks are local: add `local_networks` to the file of `--bindings`"
                    .to_owned(),
            );
        }
        Far::LocalNetworks => bindings.local_networks.clone(),
        Far::SameManufacturer => of_maker(&authority(own()?).ok_or("the `mud-url` has no authority")?)?,
        Far::Manufacturer(maker) => of_maker(&maker.to_ascii_lowercase())?,
        Far::Model(model) => bound("models", model, bindings.models.get(model)).map(profiles)?,
        Far::Controller(uri) => bound("controllers", uri, bindings.controllers.get(uri))?,
        Far::MyController => bound("my_controllers", own()?, bindings.my_controllers.get(own()?))?,
    };
    let mut words = Words::default();
    for text in texts {
        words.add(text, families, ground)?;
    }
    words.words.dedup();
    if words.words.is_empty() {
        return Err(format!("nobody of `{}` has an address of that version of IP", name(far)));
    }
    Ok(words)
}

impl Words {
    /// Adds a peer that the site has bound, as far as it has addresses of these families.
    fn add(&mut self, word: String, families: Families, ground: &Ground<'_>) -> Result<(), String> {
        let is_own_profile = word.strip_prefix(PROFILE) == Some(ground.profile);
        if !is_own_profile {
            let meant = ground.vocabulary.peers(std::slice::from_ref(&word));
            meant.map_err(|why| format!("the binding to `{}`: {}", shown(&word), why.join("; ")))?;
        }
        let networks = match ground.vocabulary.endpoints.get(&word) {
            Some(networks) => networks.clone(),
            None => peer::network(&word).into_iter().collect(),
        };
        let is_named = !peer::looks_like_address(&word);
        let has = if networks.is_empty() { Families::BOTH } else { Families::of_all(&networks) };
        match has.and(families) {
            None => return Ok(()),
            Some(both) if both != has && is_named => {
                let version = if families.v4 { "IPv4" } else { "IPv6" };
                self.wider.push(format!("the file speaks of {version} alone, and `{word}` has both"));
            }
            Some(_) => {}
        }
        self.words.push(word);
        Ok(())
    }
}

const fn everybody(families: Families) -> &'static str {
    match (families.v4, families.v6) {
        (true, false) => "0.0.0.0/0",
        (false, true) => "::/0",
        _ => "any",
    }
}

/// A network as rules write it.
fn text(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

/// The addresses of a domain. Whoever answers for it is believed no address that is nobody's alone.
fn addresses(name: &str, families: Families, ground: &Ground<'_>) -> Result<Words, String> {
    let Some(answer) = ground.answers.get(name).filter(|answer| !answer.addresses.is_empty()) else {
        return Err(format!("no address of `{name}` is known"));
    };
    let mut words = Words::default();
    let of_family = answer.addresses.iter().filter(|address| families.have(&IpNet::from(**address)));
    for address in of_family {
        if is_nobodys(*address) {
            words.notes.push(format!(
                "`{name}` is said to have the address {address}, which is left out: it is nobody's alone"
            ));
            continue;
        }
        if is_private(*address) {
            words
                .notes
                .push(format!("`{name}` has the private address {address}: look whether that is meant"));
        }
        words.words.push(address.to_string());
    }
    if words.words.is_empty() {
        return Err(format!("no address of `{name}` of that version of IP is known that could be allowed"));
    }
    Ok(words)
}

impl Answer {
    /// Whether an address of it could be allowed.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.addresses.iter().any(|address| !is_nobodys(*address))
    }
}

fn is_nobodys(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_unspecified()
                || v4.is_loopback()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_link_local()
        }
        IpAddr::V6(v6) => {
            v6.is_unspecified()
                || v6.is_loopback()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
                || v6.to_ipv4_mapped().is_some()
        }
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}
