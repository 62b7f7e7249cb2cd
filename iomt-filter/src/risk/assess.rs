//! Findings of devices as they come about: what was imported is resolved and ranked, contacts are heard, and both become
//! one answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use iomt_filter_common::policy::Mode;
use jiff::Timestamp;

use super::exposure::{Watch, Watched};
use super::finding::{Resolved, resolve};
use super::kev::Exploited;
use super::rule::Rules;
use super::service::{Guess, guess};
use super::{Catalogs, Finding, LeftOut, MOST_FINDINGS, Rank, Risk, write};
use crate::baseline::{self, Scope};
use crate::contacts::{Contact, Direction};
use crate::policy::model::Management;
use crate::sbom::Kept;

/// What devices are judged by.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'g> {
    /// What is in force, and which addresses devices have.
    pub judged: baseline::Ground<'g>,
    /// Pairs that hold whatever the policy says.
    pub management: &'g [Management],
    /// What was imported.
    pub kept: &'g [Kept],
    /// The catalogs.
    pub catalogs: &'g Catalogs,
    /// From this probability on something is likely exploited.
    pub likely: f64,
}

/// An answer in the making.
#[derive(Debug)]
pub struct Assessing<'g> {
    ground: Ground<'g>,
    found: Vec<Found<'g>>,
    watch: Watch<'g>,
    more: usize,
    left_out: LeftOut,
    warnings: Vec<String>,
}

/// A finding of a device.
#[derive(Debug)]
struct Found<'g> {
    device: Device<'g>,
    graded: Rc<[Graded<'g>]>,
    which: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Device<'g> {
    pub(super) name: &'g str,
    pub(super) profile: &'g str,
    pub(super) mode: Mode,
}

/// What counts of a vulnerability, with its rank.
#[derive(Debug)]
struct Graded<'g> {
    resolved: Resolved,
    rank: Rank,
    exploited: Option<&'g Exploited>,
    epss: Option<f64>,
    guess: Guess,
}

impl<'g> Assessing<'g> {
    /// Begins with what was imported for the devices of a scope; `all` lists what is closed or unlikely too.
    #[must_use]
    pub fn begin(ground: Ground<'g>, scope: &Scope, all: bool) -> Self {
        let mut assessing = Self {
            watch: Watch::new(ground.judged, ground.management),
            ground,
            found: Vec::new(),
            more: 0,
            left_out: LeftOut::default(),
            warnings: Vec::new(),
        };
        let devices = assessing.devices();
        assessing.warn_of_strays(&devices);
        let lists_unscored = ground.catalogs.kev.is_none() && ground.catalogs.epss.is_none();
        let is_listed = |rank: Rank| match rank {
            Rank::Ransomware | Rank::KnownExploited | Rank::LikelyExploited => true,
            Rank::NotScored => all || lists_unscored,
            Rank::Unlikely | Rank::Closed => all,
        };
        let mut graded: HashMap<Vec<usize>, Rc<[Graded<'g>]>> = HashMap::new();
        for device in devices.into_iter().filter(|device| scope.has(device.name, device.profile)) {
            let files = ground.kept.iter().enumerate();
            let files = files.filter(|(_, kept)| kept.about.device.has(device.name, device.profile));
            let files: Vec<usize> = files.map(|(number, _)| number).collect();
            assessing.left_out.devices_without += usize::from(files.is_empty());
            let graded = graded.entry(files).or_insert_with_key(|files| assessing.grade(files)).clone();
            for (which, of) in graded.iter().enumerate() {
                let left_out = &mut assessing.left_out;
                match of.rank {
                    rank if is_listed(rank) => {}
                    Rank::Closed => left_out.closed += 1,
                    Rank::NotScored => left_out.not_scored += 1,
                    _ => left_out.unlikely += 1,
                }
                if is_listed(of.rank) {
                    assessing.found.push(Found { device, graded: graded.clone(), which });
                }
            }
        }
        assessing.found.sort_by(|one, other| one.order(other));
        assessing.more = assessing.found.len().saturating_sub(MOST_FINDINGS);
        assessing.found.truncate(MOST_FINDINGS);
        for found in &assessing.found {
            let graded = found.graded();
            let ports = graded.guess.ports.iter().filter(|_| graded.rank != Rank::Closed);
            ports.for_each(|&(protocol, port)| assessing.watch.want(found.device.profile, protocol, port));
        }
        assessing
    }

    /// Hears of a contact.
    pub fn hear(&mut self, contact: &Contact) {
        self.watch.hear(contact);
    }

    /// The answer, of contacts of `since` and later. `policy` is the text of the policy in force, and how its file is
    /// called.
    #[must_use]
    pub fn end(self, since: Timestamp, policy: Option<(&str, &str)>) -> Risk {
        let Self { ground, found, watch, more, left_out, mut warnings } = self;
        let watched = watch.end();
        let rules = Rules::of(&ground, &watched, found.iter().flat_map(Found::vulnerable));
        let findings = found.iter().map(|found| found.told(&ground, &watched, &rules)).collect();
        let proposals = rules.proposals();
        let (mut text, mut diff) = (String::new(), String::new());
        if let Some((name, policy)) = policy {
            let services = &ground.judged.intent.vocabulary.services;
            match write::write(&proposals, services, name, policy) {
                Ok(written) => {
                    (text, diff) = (written.fragment.policy, written.fragment.diff);
                    warnings.extend(written.warnings);
                }
                Err(why) => warnings.push(format!("the policy is not written out: {why}")),
            }
        }
        let sources = ground.catalogs.sources.clone();
        let of_catalogs = [
            ground.catalogs.kev.as_ref().map(|kev| kev.warnings.clone()).unwrap_or_default(),
            ground.catalogs.epss.as_ref().map_or(Vec::new(), |epss| {
                let faulty = (epss.faulty > 0)
                    .then(|| format!("{} lines of the EPSS file cannot be read", epss.faulty));
                faulty.into_iter().collect()
            }),
        ];
        warnings.extend(of_catalogs.concat());
        let mut said = BTreeSet::new();
        warnings.retain(|warning| said.insert(warning.clone()));
        Risk {
            findings,
            more,
            left_out,
            likely: ground.likely,
            sources,
            proposals,
            policy: text,
            diff,
            since,
            warnings,
        }
    }

    fn devices(&self) -> Vec<Device<'g>> {
        let rows = &self.ground.judged.intent.rows;
        let device = |(number, name): (&u32, &'g String)| {
            let row = rows.devices.get(number)?;
            let profile = rows.names.profiles.get(&row.profile)?;
            Some(Device { name, profile, mode: Mode::from_number(row.mode) })
        };
        let mut devices: Vec<_> = rows.names.devices.iter().filter_map(device).collect();
        devices.sort_unstable_by_key(|device| device.name);
        devices
    }

    /// Files of devices that there are no more: their findings are nobody's.
    fn warn_of_strays(&mut self, devices: &[Device<'_>]) {
        let has_device = |kept: &&Kept| devices.iter().any(|it| kept.about.device.has(it.name, it.profile));
        let strays: BTreeSet<&str> = self
            .ground
            .kept
            .iter()
            .filter(|kept| !has_device(kept))
            .map(|kept| kept.about.device.0.as_str())
            .collect();
        self.warnings.extend(strays.into_iter().map(|device| {
            format!("something was imported for `{device}`, and no device is that: `iomt-filter sbom remove` lets it go")
        }));
    }

    fn grade(&mut self, files: &[usize]) -> Rc<[Graded<'g>]> {
        let kept: Vec<&Kept> = files.iter().filter_map(|number| self.ground.kept.get(*number)).collect();
        let (resolved, elsewhere) = resolve(&kept);
        let names =
            || kept.iter().map(|kept| format!("`{}`", kept.about.file)).collect::<Vec<_>>().join(", ");
        if elsewhere > 0 {
            self.warnings.push(format!(
                "{elsewhere} statements in {} are about other SBOMs, or other revisions of them, than those that were imported for `{}`",
                names(),
                kept.first().map_or("", |kept| kept.about.device.0.as_str())
            ));
        }
        if !kept.is_empty() && resolved.is_empty() {
            self.warnings.push(format!(
                "{} names no vulnerability: a list of components alone says nothing of them; import what its maker or a scanner says (VEX), with `sbom import`",
                names()
            ));
        }
        resolved.into_iter().map(|resolved| self.graded(resolved)).collect()
    }

    fn graded(&self, resolved: Resolved) -> Graded<'g> {
        let Catalogs { kev, epss, .. } = self.ground.catalogs;
        let name = resolved.vulnerability.as_str();
        let exploited = kev.as_ref().and_then(|kev| kev.entries.get(name));
        let score = epss.as_ref().and_then(|epss| epss.of.get(name).copied()).or(resolved.rating.epss);
        let rank = if !resolved.state.is_open() {
            Rank::Closed
        } else if exploited.is_some_and(|exploited| exploited.ransomware) {
            Rank::Ransomware
        } else if exploited.is_some() || resolved.rating.is_exploited {
            Rank::KnownExploited
        } else {
            match score {
                Some(score) if score >= self.ground.likely => Rank::LikelyExploited,
                Some(_) => Rank::Unlikely,
                None => Rank::NotScored,
            }
        };
        let guess = guess(&resolved.component, exploited);
        Graded { rank, exploited, epss: score, guess, resolved }
    }
}

impl<'g> Found<'g> {
    fn graded(&self) -> &Graded<'g> {
        &self.graded[self.which]
    }

    /// The gravest first.
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        let (one, two) = (self.graded(), other.graded());
        let larger = |one: Option<f64>, two: Option<f64>| two.unwrap_or(-1.0).total_cmp(&one.unwrap_or(-1.0));
        let (cvss, other_cvss) = (one.resolved.rating.cvss, two.resolved.rating.cvss);
        one.rank
            .cmp(&two.rank)
            .then_with(|| larger(one.epss, two.epss))
            .then_with(|| larger(cvss, other_cvss))
            .then_with(|| self.device.name.cmp(other.device.name))
            .then_with(|| one.resolved.vulnerability.cmp(&two.resolved.vulnerability))
    }

    /// What of its profile's rules is vulnerable.
    fn vulnerable(&self) -> impl Iterator<Item = (&'g str, Direction, (u8, u16), &str)> {
        let graded = self.graded();
        let profile = self.device.profile;
        let ports = graded.guess.ports.iter().filter(|_| graded.rank != Rank::Closed);
        ports.flat_map(move |&port| {
            let directions = graded.guess.directions().iter();
            directions
                .map(move |direction| (profile, *direction, port, graded.resolved.vulnerability.as_str()))
        })
    }

    fn told(&self, ground: &Ground<'g>, watched: &Watched<'g>, rules: &Rules<'g>) -> Finding {
        let Graded { resolved, rank, exploited, epss, guess } = self.graded();
        let mut exposures = Vec::new();
        if *rank != Rank::Closed {
            for &port in &guess.ports {
                for &direction in guess.directions() {
                    exposures.push(watched.exposure(self.device, direction, port, rules));
                }
            }
        }
        let proposal = match (rank, exposures.as_slice()) {
            (Rank::Closed, _) => "none: nothing is to be done".to_owned(),
            (_, []) => {
                "none: see to it that only those reach the device who have to (`iomt-filter learn propose`)"
                    .to_owned()
            }
            (_, exposures) => {
                let mut said: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
                for exposure in exposures {
                    said.entry(&exposure.proposal).or_default().insert(&exposure.service);
                }
                let all = said.into_iter().map(|(proposal, services)| {
                    format!("{}: {proposal}", services.into_iter().collect::<Vec<_>>().join(", "))
                });
                all.collect::<Vec<_>>().join("; ")
            }
        };
        Finding {
            device: self.device.name.to_owned(),
            profile: self.device.profile.to_owned(),
            vulnerability: resolved.vulnerability.clone(),
            component: resolved.component.called(),
            purl: resolved.component.purl.clone(),
            cpe: resolved.component.cpe.clone(),
            file: resolved.file.clone(),
            rank: *rank,
            why: self.why(ground),
            known_exploited_since: exploited.map(|exploited| exploited.added.clone()),
            ransomware: exploited.is_some_and(|exploited| exploited.ransomware),
            epss: *epss,
            cvss: resolved.rating.cvss,
            state: resolved.state,
            justification: resolved.justification.clone(),
            service: guess.clone(),
            exposures,
            proposal,
        }
    }

    fn why(&self, ground: &Ground<'_>) -> String {
        let Graded { exploited, epss, resolved, rank, .. } = self.graded();
        let mut said = Vec::new();
        match exploited {
            Some(exploited) if exploited.ransomware => {
                said.push(format!("known to be exploited since {}, for ransomware too", exploited.added));
            }
            Some(exploited) => said.push(format!("known to be exploited since {}", exploited.added)),
            None if resolved.rating.is_exploited => {
                said.push("known to be exploited, as the file says".to_owned())
            }
            None => {}
        }
        match epss {
            Some(score) => said.push(format!("EPSS {score:.3}")),
            None if *rank == Rank::NotScored && ground.catalogs.epss.is_none() => {
                said.push("not scored: there is no EPSS file".to_owned());
            }
            None => said.push("no EPSS score".to_owned()),
        }
        said.extend(resolved.rating.cvss.map(|score| format!("CVSS {score:.1}")));
        said.join(", ")
    }
}

impl Guess {
    /// Who opens it.
    const fn directions(&self) -> &'static [Direction] {
        if self.is_opened_too {
            &[Direction::ToDevice, Direction::FromDevice]
        } else {
            &[Direction::ToDevice]
        }
    }
}
