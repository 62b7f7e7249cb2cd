//! The addresses of domains that MUD files name: the system's resolver is asked, and what it said last is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::agent::store;
use crate::mud::Answer;
use crate::output;

/// The file of the state folder.
const NAMES: &str = "mud_names.json";
/// Domains that are asked for at a time.
const AT_A_TIME: usize = 32;
/// Domains of one file that are asked for.
const MOST: usize = 256;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

type Answers = BTreeMap<String, Answer>;

/// Addresses of `names`, as far as somebody knows them; new ones are kept in `state`.
pub(super) fn resolve(names: &BTreeSet<&str>, state: Option<&Path>, offline: bool) -> Answers {
    if names.is_empty() {
        return Answers::new();
    }
    let mut kept = state.map_or_else(Answers::new, load);
    kept.values_mut().for_each(|answer| answer.is_kept = true);
    let mut fresh = if offline { Answers::new() } else { ask(names) };
    take_no_worse(&mut fresh, &kept);
    if let Some(state) = state.filter(|_| !fresh.is_empty()) {
        let mut all = kept.clone();
        all.extend(fresh.clone());
        if let Err(error) = store::save(state, NAMES, &all) {
            output::note(format!("the addresses of names are not kept: {:#}", anyhow::Error::from(error)));
        }
    }
    for (name, answer) in kept {
        if names.contains(name.as_str()) {
            fresh.entry(name).or_insert(answer);
        }
    }
    fresh
}

/// Takes out answers without an address that could be allowed, where there was a better one before.
fn take_no_worse(fresh: &mut Answers, kept: &Answers) {
    fresh.retain(|name, answer| {
        let is_worse = !answer.is_usable() && kept.get(name).is_some_and(Answer::is_usable);
        if is_worse {
            output::note(format!(
                "`{name}` is said to have no address that could be allowed; what was said before holds"
            ));
        }
        !is_worse
    });
}

fn load(state: &Path) -> Answers {
    store::load(state, NAMES).unwrap_or_else(|error| {
        output::note(format!("no address that was kept is known: {:#}", anyhow::Error::from(error)));
        Answers::new()
    })
}

fn ask(names: &BTreeSet<&str>) -> Answers {
    let mut answers = Answers::new();
    if names.len() > MOST {
        output::note(format!("the file names {} domains, of which {MOST} are asked for", names.len()));
    }
    let names: Vec<&str> = names.iter().copied().take(MOST).collect();
    for some in names.chunks(AT_A_TIME) {
        let (sender, receiver) = mpsc::channel();
        for name in some {
            let (name, sender) = ((*name).to_owned(), sender.clone());
            // Nobody waits for a thread whose answer takes too long: the system gives up by itself.
            thread::spawn(move || {
                let found = (name.as_str(), 0).to_socket_addrs().map(Iterator::collect::<Vec<SocketAddr>>);
                let _ = sender.send((name, found));
            });
        }
        drop(sender);
        let until = Instant::now() + PATIENCE;
        let mut waiting: BTreeSet<&str> = some.iter().copied().collect();
        while let Ok((name, found)) = receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
            waiting.remove(name.as_str());
            match found {
                Ok(found) => {
                    let addresses: BTreeSet<_> = found.iter().map(SocketAddr::ip).collect();
                    let addresses = addresses.into_iter().collect();
                    answers.insert(name, Answer { addresses, at: Timestamp::now(), is_kept: false });
                }
                Err(error) => output::note(format!("`{name}` cannot be resolved: {error}")),
            }
        }
        for name in waiting {
            output::note(format!(
                "`{name}` cannot be resolved: no answer within {} seconds",
                PATIENCE.as_secs()
            ));
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_nothing_can_be_allowed_by_replaces_no_better_one() {
        let answers = |all: &[(&str, &[&str])]| -> Answers {
            let answer = |addresses: &[&str]| Answer {
                addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
                at: Timestamp::UNIX_EPOCH,
                is_kept: false,
            };
            all.iter().map(|(name, addresses)| ((*name).to_owned(), answer(addresses))).collect()
        };
        let kept = answers(&[("moved", &["192.0.2.1"]), ("sunk", &["192.0.2.2"]), ("gone", &["192.0.2.3"])]);
        let moved: (&str, &[&str]) = ("moved", &["192.0.2.9", "127.0.0.1"]);
        let mut fresh =
            answers(&[moved, ("sunk", &["0.0.0.0", "::1"]), ("gone", &[]), ("new", &["127.0.0.1"])]);
        take_no_worse(&mut fresh, &kept);
        assert_eq!(fresh, answers(&[moved, ("new", &["127.0.0.1"])]));
    }
}
