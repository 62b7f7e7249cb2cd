//! Writes what policy and inventory say of addresses, ports and rules.

use std::collections::{BTreeMap, HashMap};

use iomt_filter_common::abi::{PEER_ANY, PEER_PROFILE, PeerClass, SERVICE_ANY};
use iomt_filter_common::lookup::QUARTERS;
use iomt_filter_common::lookup::known::{Cells, KEY_WORDS, KEYS, Kind, Known, MARK, SPILL, line_of};
use iomt_filter_common::lookup::policy::{
    PORT_LINES, PROTOCOL_LINES, Policy, WITH_PORTS, cell, cells, hardware,
};
use iomt_filter_common::{Address, Mac};

use super::pieces::{Family, Valued};
use super::{Image, ImageError, Memory, put_quarter, ranges, tree};
use crate::rows::{Prefix, Rows, RuleCell, ServicePrefix, Shared};

/// The rows that it is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRows {
    device_macs: Shared<BTreeMap<(Mac, u16), u32>>,
    device_addresses: Shared<BTreeMap<Address, u32>>,
    peers: Shared<BTreeMap<Prefix, PeerClass>>,
    services: Shared<BTreeMap<ServicePrefix, u16>>,
    rules: Shared<BTreeMap<RuleCell, u32>>,
}

impl From<&Rows> for PolicyRows {
    fn from(rows: &Rows) -> Self {
        Self {
            device_macs: rows.device_macs.clone(),
            device_addresses: rows.device_addresses.clone(),
            peers: rows.peers.clone(),
            services: rows.services.clone(),
            rules: rows.rules.clone(),
        }
    }
}

/// The image of policy and inventory whose first line is to stand at `base`, which is not 0.
///
/// # Errors
/// [`ImageError`], for a policy that is too large.
pub fn policy(rows: &PolicyRows, base: u32) -> Result<Image<Policy>, ImageError> {
    let mut memory = Memory::new(base);
    let mut tables = Policy::default();
    peers(&rows.peers, &mut tables, &mut memory)?;
    services(&rows.services, &mut tables, &mut memory)?;
    tables.known = known(&keys(rows), &mut memory)?;
    Ok(Image { tables, lines: memory.lines })
}

fn peers(
    rows: &BTreeMap<Prefix, PeerClass>,
    tables: &mut Policy,
    memory: &mut Memory,
) -> Result<(), ImageError> {
    let mut numbers = HashMap::from([(PeerClass::default(), 0_u16)]);
    let mut words = vec![PeerClass::default().word()];
    let mut prefixes: [Vec<Valued>; 2] = [Vec::new(), Vec::new()];
    for (prefix, class) in rows {
        let next = u16::try_from(numbers.len()).ok().filter(|number| *number < u16::MAX);
        let number = match numbers.get(class) {
            Some(number) => *number,
            None => {
                words.push(class.word());
                *numbers.entry(*class).or_insert(next.ok_or(ImageError::TooManyPeers)?)
            }
        };
        Family::sort(prefix, number, &mut prefixes);
    }
    let [v4, v6] = &prefixes;
    tables.peers_v4 = ranges::write(v4, memory)?;
    tables.peers_v6 = tree::write_both(v6, memory)?;
    tables.classes = memory.add(words.len().div_ceil(8))?;
    let lines = memory.from(tables.classes).as_flattened_mut();
    lines.iter_mut().zip(words).for_each(|(word, class)| *word = class);
    Ok(())
}

fn services(
    rows: &BTreeMap<ServicePrefix, u16>,
    tables: &mut Policy,
    memory: &mut Memory,
) -> Result<(), ImageError> {
    for (table, protocol) in tables.ports.iter_mut().zip(WITH_PORTS) {
        let mut named: Vec<_> = rows.iter().filter(|(prefix, _)| prefix.protocol == protocol).collect();
        if named.is_empty() {
            continue;
        }
        // A longer prefix comes over a shorter one.
        named.sort_by_key(|(prefix, _)| prefix.bits);
        let mut classes = vec![0_u16; 1 << 16];
        for (prefix, class) in named {
            let first = usize::from(prefix.port);
            let ports = 1_usize << (16 - u32::from(prefix.bits.min(16)));
            let end = (first + ports).min(classes.len());
            classes[first..end].fill(*class);
        }
        *table = memory.add(PORT_LINES as usize)?;
        let words = memory.from(*table).as_flattened_mut();
        for (word, classes) in words.iter_mut().zip(classes.chunks(4)) {
            *word = classes.iter().rev().fold(0, |word, class| word << 16 | u64::from(*class));
        }
    }
    let others = rows.iter().filter(|(prefix, _)| !WITH_PORTS.contains(&prefix.protocol) && prefix.port == 0);
    // In order, so that the longest prefix of a protocol is the last one.
    let others: BTreeMap<u8, u16> = others.map(|(prefix, class)| (prefix.protocol, *class)).collect();
    if !others.is_empty() {
        tables.protocols = memory.add(PROTOCOL_LINES as usize)?;
        let lines = memory.from(tables.protocols);
        others.iter().for_each(|(protocol, class)| put_quarter(lines, usize::from(*protocol), *class));
    }
    Ok(())
}

const _: () = assert!(PROTOCOL_LINES * QUARTERS == 256);

type Key = (Kind, [u64; 2], u32);

fn keys(rows: &PolicyRows) -> Vec<Key> {
    let addresses = rows.device_addresses.iter();
    let mut keys: Vec<Key> =
        addresses.map(|(address, device)| (Kind::Address, address.words(), *device)).collect();
    let macs = rows.device_macs.iter();
    keys.extend(macs.map(|((mac, vlan), device)| (Kind::Hardware, hardware(*mac, *vlan), *device)));
    let mut sorts: BTreeMap<[u64; 2], u32> = BTreeMap::new();
    for (row, rule) in rows.rules.iter() {
        let RuleCell { profile, direction, peer, service } = *row;
        keys.push((Kind::Rule, cell(profile, direction, peer, service), *rule));
        let of_peers = match peer {
            PEER_ANY => Cells::OF_ANY,
            PEER_PROFILE.. => Cells::OF_PROFILES,
            _ => Cells::OF_CLASSES,
        };
        let of_services = if service == SERVICE_ANY { Cells::OF_ANY_SERVICE } else { Cells::OF_SERVICES };
        *sorts.entry(cells(profile, direction)).or_default() |= of_peers | of_services;
    }
    keys.extend(sorts.into_iter().map(|(key, sorts)| (Kind::Cells, key, sorts)));
    keys
}

fn known(keys: &[Key], memory: &mut Memory) -> Result<Known, ImageError> {
    if keys.is_empty() {
        return Ok(Known::default());
    }
    let mut own = keys.len();
    loop {
        let lines = u32::try_from(own).map_err(|_| ImageError::TooLarge)?;
        let all = own + SPILL as usize - 1;
        let mut words = vec![[0_u64; 8]; all];
        if keys.iter().all(|key| place(key, lines, &mut words)) {
            let first = memory.add(all)?;
            memory.from(first).copy_from_slice(&words);
            return Ok(Known { first, lines });
        }
        own += own.div_ceil(2);
    }
}

/// Puts a key into the first free place of its lines; whether there was one.
fn place(&(kind, [high, low], number): &Key, lines: u32, words: &mut [[u64; 8]]) -> bool {
    let own = line_of(kind as u32, [high, low], lines) as usize;
    for line in &mut words[own..own + SPILL as usize] {
        for place in line[..KEYS * KEY_WORDS].chunks_mut(KEY_WORDS) {
            if let [a, b, c] = place
                && *c == 0
            {
                (*a, *b, *c) = (high, low, u64::from(kind as u32) << 32 | u64::from(number));
                return true;
            }
        }
        line[MARK] = 1;
    }
    false
}
