//! What each stage of the judgement found, in words.
//!
//! What the program left of a frame and the rows that it judged with come in, one line a stage goes out.
//! Nothing is decided here: which stage answered, and how, is the program's word.

use std::net::IpAddr;

use iomt_filter_common::case::End;
use iomt_filter_common::geo::Country;
use iomt_filter_common::policy::{Mode, Otherwise, Profile};
use iomt_filter_common::reputation::Listing;
use iomt_filter_common::{Address, Case, Stage};

use super::Step;
use crate::events::Record;
use crate::geo::CountryDatabase;
use crate::rows::{Prefix, Rows};

/// A frame that was judged, and what its numbers mean.
pub(super) struct View<'a> {
    pub(super) case: &'a Case,
    pub(super) record: &'a Record,
    pub(super) rows: &'a Rows,
    pub(super) countries: Option<&'a CountryDatabase>,
}

/// What lists say of a far end.
pub(super) struct Listed {
    pub(super) feed: String,
    pub(super) entry: String,
    pub(super) score: u8,
}

impl View<'_> {
    /// The stage that gave the answer.
    pub(super) fn answered(&self) -> Option<Stage> {
        Stage::from_number(self.case.decision.step())
    }

    /// Every stage.
    pub(super) fn steps(&self) -> Vec<Step> {
        let answered = self.case.decision.step();
        let steps = Stage::ALL.into_iter().map(|stage| {
            let number = stage as u8;
            let (result, detail) = if number == Stage::Conclusion as u8 {
                (self.record.verdict.to_string(), self.conclusion())
            } else if number == answered {
                (self.record.verdict.to_string(), self.answer(stage))
            } else if number < answered {
                ("next".to_owned(), self.finding(stage))
            } else {
                ("not-reached".to_owned(), String::new())
            };
            Step { name: stage.name().to_owned(), result, detail }
        });
        steps.collect()
    }

    /// The entry that covers a far end, whether or not it is severe enough.
    pub(super) fn listed(&self) -> Option<Listed> {
        let listing = match self.case.decision.listing {
            Listing::NONE => self.case.listing,
            listing => listing,
        };
        if listing == Listing::NONE {
            return None;
        }
        let covers = |far: &Address| self.rows.listing(*far) == listing;
        let far = self.far_ends().into_iter().map(|(_, far)| far).find(covers)?;
        let feed = self.rows.names.feeds.get(&listing.feed);
        Some(Listed {
            feed: feed.cloned().unwrap_or_else(|| format!("#{}", listing.feed)),
            entry: Prefix::of(far, listing.prefix_bits).to_string(),
            score: listing.score,
        })
    }

    pub(super) fn profile(&self, end: &End) -> Option<&Profile> {
        self.rows.profiles.get(&end.profile)
    }

    pub(super) fn profile_name(&self, end: &End) -> String {
        self.rows.names.profiles.get(&end.profile).cloned().unwrap_or_else(|| format!("#{}", end.profile))
    }

    pub(super) fn device_name(&self, end: &End) -> String {
        self.rows.names.devices.get(&end.device).cloned().unwrap_or_else(|| format!("#{}", end.device))
    }

    /// The devices, each with its far end.
    fn far_ends(&self) -> Vec<(End, Address)> {
        let packet = &self.case.packet;
        let sender = self.case.sender().map(|end| (end, packet.destination));
        let receiver = self.case.receiver().map(|end| (end, packet.source));
        sender.into_iter().chain(receiver).collect()
    }

    /// What a stage in front of the one that answered found.
    fn finding(&self, stage: Stage) -> String {
        match stage {
            Stage::Readable => self.readable(),
            Stage::Link => "no link protocol".into(),
            Stage::Identity => self.identity(),
            Stage::Management => self.management(),
            Stage::Standing => self.standing(),
            Stage::Established => self.established().into(),
            Stage::FarEnd => {
                let of_end = |(end, far): &(End, Address)| self.far_end(end, *far);
                self.far_ends().iter().map(of_end).collect::<Vec<_>>().join("; ")
            }
            Stage::Conversation if self.case.has_flow() => "its flow is judged again".into(),
            Stage::Conversation => "opens a conversation".into(),
            Stage::Answer => "answers no question to a group".into(),
            Stage::Rules | Stage::Conclusion | Stage::Memory => String::new(),
        }
    }

    /// What the stage that answered found.
    fn answer(&self, stage: Stage) -> String {
        let found = match stage {
            Stage::Identity | Stage::Readable => self.readable(),
            Stage::Link => "link protocols and who may speak them".into(),
            Stage::Management => "a management pair".into(),
            Stage::Standing => self.standing(),
            Stage::Established => {
                let rule = self.record.rule.as_deref().unwrap_or("a rule");
                format!("a flow that this generation allows, by {rule}")
            }
            Stage::FarEnd => self.finding(Stage::FarEnd),
            Stage::Conversation if self.case.is_spoofed() => "the sender is not who it says".into(),
            Stage::Conversation if self.record.reason == "related" => "quotes a flow that passes".into(),
            Stage::Conversation => "TCP that opens no connection, and no flow".into(),
            Stage::Answer => "answers a question to a group".into(),
            Stage::Rules => self.rule(),
            Stage::Conclusion | Stage::Memory => self.conclusion(),
        };
        format!("{}: {found}", self.record.reason)
    }

    fn readable(&self) -> String {
        let record = self.record;
        let mut words = vec![format!("IPv{}", record.ip_version.unwrap_or(0))];
        words.extend(record.protocol.as_ref().map(ToString::to_string));
        words.extend(record.tcp_flags.as_ref().map(|flags| format!("flags {flags}")));
        words.extend(record.icmp_type.map(|kind| format!("type {kind}")));
        words.extend(record.vlan.iter().flatten().map(|vlan| format!("in VLAN {vlan}")));
        format!("{}, on the {} port", words.join(" "), record.port)
    }

    fn identity(&self) -> String {
        let doubt = match (self.case.is_spoofed(), self.case.is_unknown()) {
            (true, _) => ", and the sender is not who it says",
            (_, true) => ", and an end that ought to be in the inventory is not",
            _ => "",
        };
        let sender = self.end("sender", self.case.sender());
        format!("{sender}, {}{doubt}", self.end("receiver", self.case.receiver()))
    }

    fn end(&self, what: &str, end: Option<End>) -> String {
        let Some(end) = end else { return format!("{what} is no device") };
        let lost = if end.is_open { ", open" } else { "" };
        let device = self.device_name(&end);
        format!("{what} is {device} (profile {}, mode {}{lost})", self.profile_name(&end), end.mode.name())
    }

    fn management(&self) -> String {
        match self.rows.settings.has_management {
            0 => "no management pair is configured".into(),
            _ => "no management pair, or a sender that is not believed".into(),
        }
    }

    fn standing(&self) -> String {
        let choice = Otherwise::from_number(self.rows.settings.unknown_device);
        match self.record.reason.as_ref() {
            "no-device" => "neither end is a device".into(),
            "unknown-device" if choice == Otherwise::Drop => "not in the inventory".into(),
            "spoofed" => "the sender is not who it says".into(),
            "quarantine" => "in quarantine".into(),
            _ if self.case.is_spoofed() => "not who it says, which its mode lets on".into(),
            _ if self.case.is_unknown() => {
                "not in the inventory, and lets on to what the receiver says".into()
            }
            _ => "known, and not in quarantine".into(),
        }
    }

    const fn established(&self) -> &'static str {
        match (self.case.has_flow(), self.case.is_reply()) {
            (false, _) => "no flow",
            (true, false) => "a flow that another generation has judged, or that is shared",
            (true, true) => "the answer to a flow that another generation has judged, or that is shared",
        }
    }

    fn far_end(&self, end: &End, far: Address) -> String {
        let address = IpAddr::from(far);
        if end.is_open {
            return format!("{address}: not asked, {} is open", self.device_name(end));
        }
        let covers = |(device, prefix): &(u32, Prefix)| {
            *device == end.device && Prefix::of(far, prefix.bits) == *prefix
        };
        if self.rows.protected.iter().any(covers) {
            return format!("{address}: not asked, a protected pair of {}", self.device_name(end));
        }
        let Some(profile) = self.profile(end) else { return format!("{address}: no profile to ask by") };
        let listed = match self.listed() {
            Some(listed) if self.is_covered(far, &listed) => {
                let relation = if listed.score >= profile.block_score { "≥" } else { "<" };
                let (feed, entry, score) = (listed.feed, listed.entry, listed.score);
                format!("{feed} lists {entry}, score {score} {relation} {}", profile.block_score)
            }
            _ => "not listed".to_owned(),
        };
        if self.record.reason == "blocklist" {
            return format!("{address}: {listed}");
        }
        format!("{address}: {listed}, {}", self.country(profile, far))
    }

    fn is_covered(&self, far: Address, listed: &Listed) -> bool {
        let entry = listed.entry.parse::<ipnet::IpNet>();
        entry.is_ok_and(|entry| entry.contains(&IpAddr::from(far)))
    }

    fn country(&self, profile: &Profile, far: Address) -> String {
        if !far.has_country() {
            return "its kind has no country".into();
        }
        if profile.has_geo == 0 {
            return "every country allowed".into();
        }
        let known = match self.case.decision.country {
            0 => Country(self.case.country),
            country => Country(country),
        };
        let code = self.countries.and_then(|countries| countries.country(far.into())).or(known.code());
        let name = code.map_or_else(
            || "country unknown".to_owned(),
            |code| format!("country {}", String::from_utf8_lossy(&code)),
        );
        let refused = if self.record.reason == "geo" { "refused" } else { "allowed" };
        format!("{name}, {refused}")
    }

    fn rule(&self) -> String {
        if let Some(rule) = &self.record.rule {
            return rule.clone();
        }
        let ends = [self.case.sender(), self.case.receiver()].into_iter().flatten();
        let Some(end) = ends.into_iter().find(|end| end.device == self.case.decision.device) else {
            return "no rule".into();
        };
        if !end.has_rules {
            return format!("the policy of {} cannot be evaluated", self.device_name(&end));
        }
        let grants = if end.has_grants { " and no grant" } else { "" };
        let softened = match end.mode {
            Mode::Learn => ", and it learns",
            Mode::Monitor => ", and it is only monitored",
            Mode::Enforce | Mode::Quarantine => "",
        };
        format!("no rule of {}{grants} for {}{softened}", self.profile_name(&end), self.device_name(&end))
    }

    fn conclusion(&self) -> String {
        match self.record.verdict.as_ref() {
            "reset" => "the sender is told by a TCP reset".into(),
            "drop" => "the packet ends here".into(),
            _ if self.record.reason == "rate-limit" => "beyond a limit, which its mode lets on".into(),
            _ => "within the limits".into(),
        }
    }
}
