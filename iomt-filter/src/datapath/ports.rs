//! The roles of interfaces, and of VLANs on them: what the program believes of whoever sends there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::Ordering;

use iomt_filter_common::device::Port;
use iomt_filter_common::ports::{self, Entry, PLACES};
use thiserror::Error;

use super::load::Datapath;
use super::lock::WriterToken;

/// What an interface faces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Its role, for frames without a tag and for VLANs that have none of their own.
    pub port: Port,
    /// VLAN identifiers, by the outermost tag, and their roles.
    pub vlans: BTreeMap<u16, Port>,
}

impl Roles {
    /// The role of a VLAN, or of the interface for 0, where it has one of its own.
    fn of(&self, vlan: u16) -> Option<Port> {
        if vlan == 0 { Some(self.port) } else { self.vlans.get(&vlan).copied() }
    }
}

impl From<Port> for Roles {
    fn from(port: Port) -> Self {
        Self { port, vlans: BTreeMap::new() }
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.port.name())?;
        self.vlans.iter().try_for_each(|(vlan, port)| write!(f, ", VLAN {vlan} {}", port.name()))
    }
}

/// There is no room for a role.
#[derive(Debug, Error)]
#[error(
    "there is no room for the role of VLAN {vlan} of interface {interface}: eight others are in its place; give the interface that role, and fewer VLANs one of their own"
)]
pub struct NoRoom {
    /// Index of the interface.
    interface: u32,
    /// The VLAN.
    vlan: u16,
}

/// Words that were replaced, and what they held before.
#[derive(Debug)]
pub(super) struct Replaced(Vec<(usize, u64)>);

impl Datapath {
    /// Tells the program the roles of an interface by its index. Test runs come in on index 1, that of `lo`,
    /// where nothing else is said.
    ///
    /// # Errors
    /// When there is no room; nothing is changed then.
    pub fn set_roles(&mut self, interface: u32, roles: &Roles, token: &WriterToken) -> Result<(), NoRoom> {
        self.replace_roles(interface, roles, token).map(drop)
    }

    /// The same; what was replaced.
    pub(super) fn replace_roles(
        &mut self,
        interface: u32,
        roles: &Roles,
        _token: &WriterToken,
    ) -> Result<Replaced, NoRoom> {
        let before = self.port_words();
        // What is configured no more counts as the rest of its interface again.
        let is_old = |entry: Entry| {
            entry.interface() == interface && entry.vlan() != 0 && !roles.vlans.contains_key(&entry.vlan())
        };
        let mut words: Vec<u64> =
            before.iter().map(|word| if is_old(Entry(*word)) { 0 } else { *word }).collect();
        for (&vlan, &port) in roles.vlans.iter().chain([(&0, &roles.port)]) {
            let first = ports::line_of(interface, vlan) as usize * PLACES;
            let line = &mut words[first..first + PLACES];
            let is_its = |word: &u64| Entry(*word).is_of(interface, vlan);
            let place = line.iter().position(is_its).or_else(|| line.iter().position(|word| *word == 0));
            let word = place.and_then(|place| line.get_mut(place));
            *word.ok_or(NoRoom { interface, vlan })? = Entry::new(interface, vlan, port).0;
        }
        Ok(self.write_ports(&before, &words))
    }

    /// Puts back what was replaced.
    pub(super) fn put_back_roles(&mut self, replaced: &Replaced) {
        replaced
            .0
            .iter()
            .for_each(|(index, word)| self.maps.ports.word(*index).store(*word, Ordering::Relaxed));
    }

    /// The roles that an interface has.
    #[must_use]
    pub fn roles(&self, interface: u32) -> Roles {
        let entries = self.port_words().into_iter().map(Entry);
        let mut roles = Roles::default();
        for entry in entries.filter(|entry| entry.is_some() && entry.interface() == interface) {
            match entry.vlan() {
                0 => roles.port = entry.port(),
                vlan => drop(roles.vlans.insert(vlan, entry.port())),
            }
        }
        roles
    }

    /// Forgets the roles of interfaces that are not among `indexes`.
    pub fn keep_roles(&mut self, indexes: &[u32], _token: &WriterToken) {
        let before = self.port_words();
        let is_kept = |word: u64| indexes.contains(&Entry(word).interface());
        let words: Vec<u64> = before.iter().map(|word| if is_kept(*word) { *word } else { 0 }).collect();
        self.write_ports(&before, &words);
    }

    /// How many words hold something else than the roles of these interfaces, by their indexes.
    #[must_use]
    pub fn roles_drift(&self, wanted: &BTreeMap<u32, Roles>) -> usize {
        let words = self.port_words();
        let right: BTreeSet<u64> = words
            .iter()
            .enumerate()
            .filter(|(index, word)| is_right(*index, **word, wanted))
            .map(|(_, word)| *word)
            .collect();
        let all: usize = wanted.values().map(|roles| 1 + roles.vlans.len()).sum();
        let strange =
            words.iter().enumerate().filter(|(index, word)| **word != 0 && !is_right(*index, **word, wanted));
        strange.count().max(all - right.len())
    }

    /// Gives these interfaces the roles that they are to have, and no other interface any. What flows were allowed by is
    /// looked at anew.
    ///
    /// # Errors
    /// When there is no room.
    pub fn restore_roles(
        &mut self,
        wanted: &BTreeMap<u32, Roles>,
        token: &WriterToken,
    ) -> Result<(), NoRoom> {
        let before = self.port_words();
        let is_meant = |index: usize, word: u64| {
            let entry = Entry(word);
            let is_in_its_line = index / PLACES == ports::line_of(entry.interface(), entry.vlan()) as usize;
            is_in_its_line
                && wanted.get(&entry.interface()).is_some_and(|roles| roles.of(entry.vlan()).is_some())
        };
        let kept = |(index, word): (usize, &u64)| if is_meant(index, *word) { *word } else { 0 };
        let words: Vec<u64> = before.iter().enumerate().map(kept).collect();
        self.write_ports(&before, &words);
        wanted.iter().try_for_each(|(index, roles)| self.set_roles(*index, roles, token))?;
        self.judge_anew(token);
        Ok(())
    }

    fn port_words(&self) -> Vec<u64> {
        let words = 0..ports::LINES as usize * PLACES;
        words.map(|index| self.maps.ports.word(index).load(Ordering::Relaxed)).collect()
    }

    /// Writes the words that differ, each as one.
    fn write_ports(&mut self, before: &[u64], words: &[u64]) -> Replaced {
        let changed = before.iter().zip(words).enumerate().filter(|(_, (before, word))| before != word);
        let replaced = changed.map(|(index, (before, word))| {
            self.maps.ports.word(index).store(*word, Ordering::Relaxed);
            (index, *before)
        });
        Replaced(replaced.collect())
    }
}

/// Whether a word is a role that one of these interfaces is to have, in its place.
fn is_right(index: usize, word: u64, wanted: &BTreeMap<u32, Roles>) -> bool {
    let entry = Entry(word);
    let (interface, vlan) = (entry.interface(), entry.vlan());
    let role = wanted.get(&interface).and_then(|roles| roles.of(vlan));
    role.is_some_and(|port| Entry::new(interface, vlan, port) == entry)
        && index / PLACES == ports::line_of(interface, vlan) as usize
}
