//! From what holds to an answer.

use std::cmp::Reverse;
use std::net::IpAddr;

use iomt_filter_common::Address;
use iomt_filter_common::geo::Country;
use ipnet::IpNet;
use jiff::Timestamp;

use super::{Answer, Listed, MOST_INSIDE, Question, Talked, Verdict};
use crate::feeds::list::Kept;
use crate::feeds::{ManualBlock, manual};
use crate::intent::{Intent, Standing};

/// What an answer is made of.
pub struct Ground<'g> {
    /// What holds.
    pub intent: &'g Intent,
    /// The blocks by hand.
    pub blocks: &'g [ManualBlock],
    /// Devices that have talked to what is asked about, and since when that is known.
    pub talks: &'g dyn Fn(&Question) -> Talks,
    /// Now.
    pub now: Timestamp,
}

/// Who talked to whom, the latest first, and since when that is known.
pub type Talks = (Vec<Talked>, Option<Timestamp>);

/// What is known.
#[must_use]
pub fn answer(question: &Question, ground: &Ground<'_>) -> Answer {
    let mut answer = match question {
        Question::Network(network) => of_network(*network, ground),
        Question::Domain(name) => of_domain(name, ground),
    };
    answer
        .listings
        .sort_by_key(|listed| (listed.state != LISTED, Reverse(listed.score), listed.feed.clone()));
    (answer.talked, answer.talks_since) = (ground.talks)(question);
    answer
}

const LISTED: &str = "listed";

fn of_network(network: IpNet, ground: &Ground<'_>) -> Answer {
    let intent = ground.intent;
    let host = (network.prefix_len() == network.max_prefix_len()).then(|| network.addr());
    let mut answer = Answer {
        query: host.map_or_else(|| network.to_string(), |address| address.to_string()),
        kind: if host.is_some() { "address" } else { "prefix" }.to_owned(),
        here: here(network, intent),
        ..Answer::default()
    };
    if let Some(address) = host {
        let country = intent.countries.as_ref().and_then(|countries| countries.country(address));
        answer.country = country.map(|code| code.iter().copied().map(char::from).collect());
        answer.verdicts = verdicts(address, intent);
    }
    for standing in intent.standings() {
        let Some(list) = standing.list() else { continue };
        let of = |kept| of_entry(standing, kept, ground);
        let around =
            list.covering(network.addr()).filter(|kept| kept.what.prefix_len() <= network.prefix_len());
        answer.listings.extend(around.flat_map(|kept| list.said_of(kept)).map(of));
        if host.is_none() {
            let mut inside = list.inside(network).filter(|kept| kept.what != network);
            let room = MOST_INSIDE.saturating_sub(answer.listings.len());
            answer.listings.extend(inside.by_ref().take(room).map(of));
            answer.more_inside += inside.count();
        }
    }
    let of_hand = ground
        .blocks
        .iter()
        .filter(|block| block.target.contains(&network) || network.contains(&block.target));
    answer.listings.extend(of_hand.map(|block| by_hand(block, intent)));
    answer
}

fn of_domain(name: &str, ground: &Ground<'_>) -> Answer {
    let mut listings = Vec::new();
    for standing in ground.intent.standings() {
        let Some(list) = standing.list() else { continue };
        for kept in list.naming(name) {
            for said in list.said_of_domain(kept) {
                let is_over = list.has_ended(said, ground.now);
                let (state, why) = match is_over {
                    true => ("ended", None),
                    false => ("kept", Some("domains are kept for lookups, and block nothing".to_owned())),
                };
                let listed = listed(standing, said, said.what.to_string(), ground.now);
                listings.push(Listed { state: state.to_owned(), why, ..listed });
            }
        }
    }
    Answer { query: name.to_owned(), kind: "domain".to_owned(), listings, ..Answer::default() }
}

/// What an address or prefix is on this network: why no list may block it, or its device.
fn here(network: IpNet, intent: &Intent) -> Option<String> {
    let address = Address::from(network.addr());
    let device = (network.prefix_len() == network.max_prefix_len())
        .then(|| intent.rows.device_addresses.get(&address))
        .flatten()
        .and_then(|device| intent.rows.names.devices.get(device));
    if let Some(device) = device {
        return Some(format!("device `{device}`"));
    }
    let removed = intent.spares(network).into_iter().find(|removed| removed.part.contains(&network));
    removed.map(|removed| removed.reason.to_string())
}

fn of_entry(standing: &Standing, kept: &Kept<IpNet>, ground: &Ground<'_>) -> Listed {
    let listed = listed(standing, kept, kept.what.to_string(), ground.now);
    let has_ended = standing.list().is_some_and(|list| list.has_ended(kept, ground.now));
    let spared = ground.intent.spares(kept.what).into_iter().find(|removed| removed.part == removed.entry);
    let (state, why) = if standing.feed.never_block {
        ("spared", Some("an entry of a `never_block` list: no list may block it".to_owned()))
    } else if has_ended {
        ("ended", None)
    } else if let Some(removed) = spared {
        ("spared", Some(removed.reason.to_string()))
    } else if listed.score < standing.feed.min_score {
        ("below", Some(format!("the feed's `min_score` is {}", standing.feed.min_score)))
    } else {
        (LISTED, None)
    };
    Listed { state: state.to_owned(), why, ..listed }
}

/// What a feed says of an entry.
fn listed<K>(standing: &Standing, kept: &Kept<K>, entry: String, now: Timestamp) -> Listed {
    let about = kept.about.as_deref().cloned().unwrap_or_default();
    let list = standing.list();
    Listed {
        feed: standing.feed.name.clone(),
        entry,
        score: kept.score.unwrap_or(standing.feed.score),
        category: about.category.or(standing.feed.category),
        port: kept.port,
        label: about.label.map(Into::into),
        reference: about.reference.map(Into::into),
        since: about.first_seen,
        last_seen: about.last_seen.or_else(|| list.map(|list| list.seen(kept))),
        until: list.and_then(|list| list.ends(kept, now)),
        ..Listed::default()
    }
}

fn by_hand(block: &ManualBlock, intent: &Intent) -> Listed {
    let refused = intent.refuse_blocks(&[block.target]);
    let (state, why) = match refused.first() {
        Some(why) => ("spared", Some(why.clone())),
        None => (LISTED, None),
    };
    Listed {
        feed: manual::FEED.to_owned(),
        entry: block.target.to_string(),
        score: block.score,
        state: state.to_owned(),
        why,
        since: Some(block.added),
        until: block.until,
        by: Some(block.by.clone()),
        note: block.note.clone(),
        ..Listed::default()
    }
}

/// What lists and countries are to each profile, as the program asks them: the far end of a device that is neither
/// protected nor open for now.
fn verdicts(address: IpAddr, intent: &Intent) -> Vec<Verdict> {
    let address = Address::from(address);
    let rows = &intent.rows;
    let listing = rows.listing(address);
    let country = rows.countries.longest(address).copied().unwrap_or(Country::UNKNOWN);
    let of = |(number, profile): (&u16, &iomt_filter_common::policy::Profile)| {
        let is_refused = profile.has_geo != 0 && address.has_country() && profile.geo.denies(country);
        let reason = match (listing.blocks(profile.block_score), is_refused) {
            (true, _) => Some("blocklist"),
            (false, true) => Some("geo"),
            (false, false) => None,
        };
        Verdict {
            profile: rows.names.profiles.get(number).cloned().unwrap_or_default(),
            verdict: if reason.is_some() { "drop" } else { "pass" }.to_owned(),
            reason: reason.map(str::to_owned),
            block_score: profile.block_score,
        }
    };
    rows.profiles.iter().map(of).collect()
}
