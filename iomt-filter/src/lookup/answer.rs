//! From what holds to an answer.

use std::cmp::Reverse;
use std::net::IpAddr;

use iomt_filter_common::Address;
use iomt_filter_common::geo::Country;
use ipnet::IpNet;
use jiff::Timestamp;

use super::{Answer, Budget, ByHand, Listed, Question, Talked, Verdict};
use crate::feeds::list::Kept;
use crate::feeds::{List, ManualBlock, manual};
use crate::intent::{Intent, Standing};
use crate::policy::peer::canonical;

/// What an answer is made of.
pub struct Ground<'g> {
    /// What holds.
    pub intent: &'g Intent,
    /// The blocks by hand.
    pub blocks: &'g ByHand,
    /// Devices that have talked to what is asked about, within a budget.
    pub talks: &'g dyn Fn(&Question, Budget) -> Talks,
    /// Now.
    pub now: Timestamp,
}

/// Who talked to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Talks {
    /// The latest, the latest first.
    pub talked: Vec<Talked>,
    /// How many others are known.
    pub more: usize,
    /// Whether there are others still, which were not looked at.
    pub is_part: bool,
    /// Since when it is known.
    pub since: Option<Timestamp>,
}

/// What is known, an answer to each question in their order. However they are asked, the work and the size of all
/// answers are bounded: see [`Budget`].
#[must_use]
pub fn answers<'q>(
    questions: impl ExactSizeIterator<Item = &'q Question>,
    ground: &Ground<'_>,
) -> Vec<Answer> {
    let budget = Budget::of(questions.len());
    questions.map(|question| answer(question, ground, budget)).collect()
}

fn answer(question: &Question, ground: &Ground<'_>, budget: Budget) -> Answer {
    let mut answer = match question {
        Question::Network(network) => of_network(*network, ground, budget),
        Question::Domain(name) => of_domain(name, ground, budget),
    };
    answer
        .listings
        .sort_by_key(|listed| (listed.state != LISTED, Reverse(listed.score), listed.feed.clone()));
    let Talks { talked, more, is_part, since } = (ground.talks)(question, budget);
    Answer { talked, more_talked: more, talked_is_part: is_part, talks_since: since, ..answer }
}

const LISTED: &str = "listed";

fn of_network(network: IpNet, ground: &Ground<'_>, budget: Budget) -> Answer {
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
    let by_hand = |block| by_hand(block, ground);
    answer.listings.extend(ground.blocks.covering(network).map(by_hand));
    let mut said = Said::default();
    for (standing, list) in lists(intent) {
        let around =
            list.covering(network.addr()).filter(|kept| kept.what.prefix_len() <= network.prefix_len());
        around.for_each(|kept| said.add(standing, list.said_of(kept), budget));
    }
    let (gravest, more) = said.gravest(budget.listed.saturating_sub(answer.listings.len()));
    answer.more_listings = more;
    answer.listings.extend(gravest.map(|(standing, kept)| of_entry(standing, kept, ground)));
    if host.is_none() {
        let blocks = ground.blocks.inside(network);
        let room = budget.listed.saturating_sub(answer.listings.len());
        answer.listings.extend(blocks.iter().take(room).map(by_hand));
        answer.more_inside = blocks.len().saturating_sub(room);
        for (standing, list) in lists(intent) {
            let inside = inside(list.networks(), network);
            let room = budget.listed.saturating_sub(answer.listings.len());
            let listed = inside.iter().take(room).map(|kept| of_entry(standing, kept, ground));
            answer.listings.extend(listed);
            answer.more_inside += inside.len().saturating_sub(room);
        }
    }
    answer
}

/// Entries that lie in `network`, itself left out: they follow on it, and end with its last address.
fn inside(networks: &[Kept<IpNet>], network: IpNet) -> &[Kept<IpNet>] {
    let first = networks.partition_point(|kept| kept.what <= network);
    let last = IpNet::from(network.broadcast());
    let end = networks.partition_point(|kept| kept.what <= last);
    networks.get(first..end).unwrap_or_default()
}

fn lists(intent: &Intent) -> impl Iterator<Item = (&Standing, &List)> {
    intent.standings().iter().filter_map(|standing| Some((standing, standing.list()?)))
}

/// What feeds say of what is asked about. One feed may say a million things of one address.
struct Said<'l, K> {
    /// With the place among what its feed says of it.
    found: Vec<(usize, &'l Standing, &'l Kept<K>)>,
    count: usize,
}

impl<K> Default for Said<'_, K> {
    fn default() -> Self {
        Self { found: Vec::new(), count: 0 }
    }
}

impl<'l, K> Said<'l, K> {
    fn add(&mut self, standing: &'l Standing, said: &'l [Kept<K>], budget: Budget) {
        self.count += said.len();
        self.found.extend((0..budget.listed).zip(said).map(|(nth, kept)| (nth, standing, kept)));
    }

    /// At most `most`, the gravest first but something of every entry before more of another, and how many are left.
    fn gravest(mut self, most: usize) -> (impl Iterator<Item = (&'l Standing, &'l Kept<K>)>, usize) {
        let score = |standing: &Standing, kept: &Kept<K>| kept.score.unwrap_or(standing.feed.score);
        self.found.sort_by_key(|(nth, standing, kept)| (*nth, Reverse(score(standing, kept))));
        self.found.truncate(most);
        let more = self.count.saturating_sub(self.found.len());
        (self.found.into_iter().map(|(_, standing, kept)| (standing, kept)), more)
    }
}

fn of_domain(name: &str, ground: &Ground<'_>, budget: Budget) -> Answer {
    let mut said = Said::default();
    for (standing, list) in lists(ground.intent) {
        list.naming(name).for_each(|kept| said.add(standing, list.said_of_domain(kept), budget));
    }
    let (gravest, more_listings) = said.gravest(budget.listed);
    let of = |(standing, said): (&Standing, &Kept<Box<str>>)| {
        let has_ended = standing.list().is_some_and(|list| list.has_ended(said, ground.now));
        let (state, why) = match has_ended {
            true => ("ended", None),
            false => ("kept", Some("domains are kept for lookups, and block nothing".to_owned())),
        };
        Listed { state: state.to_owned(), why, ..listed(standing, said, said.what.to_string(), ground.now) }
    };
    let listings = gravest.map(of).collect();
    Answer { query: name.to_owned(), kind: "domain".to_owned(), listings, more_listings, ..Answer::default() }
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
    // Where its ends are not spared all of it is not: what may be spared in between need not be gathered.
    let guard = intent.lists().guard();
    if !guard.spares(network.addr()) || !guard.spares(network.broadcast()) {
        return None;
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
    } else if standing.number == 0 {
        ("kept", Some("no number is left for the feed, so that nothing is blocked by it".to_owned()))
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
        since: about.first_seen.or_else(|| list.and_then(|list| list.since(kept))),
        last_seen: about.last_seen.or_else(|| list.map(|list| list.seen(kept))),
        until: list.and_then(|list| list.ends(kept, now)),
        ..Listed::default()
    }
}

fn by_hand(block: &ManualBlock, ground: &Ground<'_>) -> Listed {
    let target = canonical(block.target);
    let has_ended = block.until.is_some_and(|until| until <= ground.now);
    let refused = ground.intent.refuse_blocks(&[target]);
    let ends = [target.addr(), target.broadcast()];
    // A block stays without what is spared in it.
    let is_spared = || ends.iter().all(|&end| !ground.intent.refuse_blocks(&[end.into()]).is_empty());
    let (state, why) = match refused.into_iter().next() {
        _ if has_ended => ("ended", None),
        Some(why) if is_spared() => ("spared", Some(why)),
        why => (LISTED, why),
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
