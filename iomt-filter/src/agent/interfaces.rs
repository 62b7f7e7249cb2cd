//! Which interfaces are judged: puts the program on them at the start, and looks after them whenever the kernel tells of
//! one, and every second.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use iomt_filter_common::device::Port;
use nix::net::if_::if_nametoindex;

use super::core::{Core, chain};
use super::recorder::Page;
use super::views::mode_name;
use crate::config::{AttachMode, Config};
use crate::datapath::attach::{self, WantedMode};
use crate::datapath::{AttachError, Attachment, Hold, Roles, Standing};
use crate::diagnostic::SourceFile;
use crate::doctor::{self, Check, Finding};
use crate::generations::{Generations, Known, Outcome};
use crate::intent::Intent;

/// What keeps every configured interface from being judged, so that a start that would fail, or silently not
/// protect, changes nothing. One that is missing and was judged before keeps nobody from judging the others: it is no
/// typing error, and its card may be broken for long.
pub(super) fn check(config: &Config, intent: &Intent, generations: &Generations) -> Result<Vec<Finding>> {
    let judged = attach::attached_interfaces(&config.paths.pins);
    attach::tidy(&config.paths.pins)?;
    let verdict = doctor::interfaces(config, intent).context("failed to ask the kernel for interfaces")?;
    for Finding { interface, found, mend, refuses, .. } in &verdict.told {
        let (interface, mend) = (interface.as_deref(), mend.as_deref());
        if *refuses {
            // Judged as it is, it is safer than without an agent.
            tracing::error!(interface, mend, "{found}");
        } else {
            tracing::warn!(interface, mend, "{found}");
        }
    }
    let is_missing = |finding: &Finding| finding.check == Check::Interface;
    let missing = verdict.refused.iter().filter(|finding| is_missing(finding)).count();
    if missing == 0 || missing == named(config).len() {
        return Ok(verdict.refused);
    }
    let known: BTreeSet<String> = judged.into_iter().chain(named_before(config, generations)).collect();
    let is_known = |finding: &Finding| finding.interface.as_ref().is_some_and(|name| known.contains(name));
    Ok(verdict.refused.into_iter().filter(|finding| !(is_missing(finding) && is_known(finding))).collect())
}

/// Interfaces that a generation has judged that is kept.
fn named_before(config: &Config, generations: &Generations) -> BTreeSet<String> {
    let path = &config.paths.config;
    let interfaces = |known: &Known| {
        let sources = generations.sources(&known.record).ok()?;
        let file = SourceFile::new(&path.display().to_string(), sources.config.content.as_str());
        Config::parse(&file, path, false).ok().map(|config| named(&config).into_keys())
    };
    let (known, _) = generations.list();
    let held = known.iter().filter(|known| known.outcome != Outcome::Reverted);
    held.filter_map(interfaces).flatten().collect()
}

/// Every interface that is to be judged, once, with its roles. One that is named for VLANs alone is a device
/// port for the rest.
pub(crate) fn named(config: &Config) -> BTreeMap<String, Roles> {
    let mut all: BTreeMap<String, Roles> = BTreeMap::new();
    for (places, port) in
        [(&config.interfaces.device, Port::Device), (&config.interfaces.uplink, Port::Uplink)]
    {
        for place in places {
            let roles = all.entry(place.interface.clone()).or_default();
            match place.vlan {
                None => roles.port = port,
                Some(vlan) => drop(roles.vlans.insert(vlan, port)),
            }
        }
    }
    all
}

impl Core {
    /// Puts the program on every configured interface, and into what earlier agents left behind.
    pub(super) fn attach_all(&mut self) -> Result<()> {
        let before = attach::attached_interfaces(&self.config.paths.pins);
        let is_known = self.datapath.is_adopted() && self.current.is_some();
        let mut strange = 0;
        for (interface, roles) in named(&self.config) {
            let index = if_nametoindex(interface.as_str());
            let has_link = is_known && before.contains(&interface);
            strange += usize::from(has_link && index.is_ok_and(|index| self.datapath.roles(index) != roles));
            match self.attach(&interface, &roles) {
                Ok(attachment) => {
                    log_attachment(&attachment);
                    self.attachments.push(attachment);
                }
                Err(AttachError::NoInterface(_)) => {
                    tracing::error!(
                        interface,
                        "this interface is not on this host: the others are judged, and it is as soon as it comes"
                    );
                    let (index, mode, standing) = (0, None, Standing::Missing);
                    self.attachments.push(Attachment { interface, index, roles, mode, standing });
                }
                Err(error) => {
                    self.undo(&before);
                    return Err(error.into());
                }
            }
        }
        if strange > 0 {
            self.found_strange_roles(strange);
        }
        let left_over = self.left_over();
        self.attachments.extend(left_over);
        self.forget_others();
        self.note_interfaces();
        Ok(())
    }

    /// Mends what has happened to interfaces: one that was made anew under its name is judged again, one that has
    /// another name now is known by that, and what somebody else has put into links and roles is put out.
    pub(super) fn look_after_interfaces(&mut self) {
        let before = self.attachments.clone();
        self.look_after_links();
        if !before.iter().all(|attachment| self.judges(attachment))
            && let Err(error) = attach::tidy(&self.config.paths.pins)
        {
            tracing::error!(error = chain(&error), "failed to follow an interface to its new name");
        }
        let kept: Vec<_> = before.iter().filter_map(|attachment| self.look_after(attachment)).collect();
        self.attachments = kept;
        let left_over = self.left_over();
        self.attachments.extend(left_over);
        if self.attachments != before {
            self.forget_others();
            self.note_interfaces();
        }
        self.look_after_roles();
    }

    /// Forgets what was kept of interfaces that are not judged any more.
    fn forget_others(&mut self) {
        let judged = self.attachments.iter().filter(|attachment| attachment.standing.is_judged());
        let indexes: Vec<_> = judged.map(|attachment| attachment.index).collect();
        self.datapath.keep_roles(&indexes, &self.token);
        self.datapath.keep_holds(&indexes, &self.token);
    }

    fn judges(&self, attachment: &Attachment) -> bool {
        !matches!(self.datapath.hold(attachment), Hold::Lost)
    }

    fn look_after(&mut self, attachment: &Attachment) -> Option<Attachment> {
        let interface = attachment.interface.as_str();
        let judges = self.judges(attachment);
        let with = |standing| Some(Attachment { standing, ..attachment.clone() });
        match attachment.standing {
            Standing::LeftOver if judges => return Some(attachment.clone()),
            Standing::LeftOver => {
                tracing::info!(interface, "no longer judged under this name");
                return None;
            }
            _ if judges => return with(Standing::Judging),
            _ => {}
        }
        if if_nametoindex(interface).is_err() {
            if attachment.standing != Standing::Missing {
                tracing::error!(interface, "this interface is gone; it is judged again when it comes back");
            }
            return with(Standing::Missing);
        }
        match self.attach(interface, &attachment.roles) {
            Ok(attachment) => {
                self.was_unjudged(interface);
                log_attachment(&attachment);
                Some(attachment)
            }
            Err(error) => {
                if attachment.standing != Standing::NotAttached {
                    let error = chain(&error);
                    tracing::error!(
                        interface,
                        error,
                        "this interface is not judged; it is tried every second"
                    );
                }
                with(Standing::NotAttached)
            }
        }
    }

    fn attach(&mut self, interface: &str, roles: &Roles) -> Result<Attachment, AttachError> {
        let wanted = match self.config.interfaces.mode {
            AttachMode::Auto => WantedMode::Auto,
            AttachMode::Native => WantedMode::Native,
            AttachMode::Generic => WantedMode::Generic,
        };
        self.datapath.attach(interface, roles, wanted, &self.token)
    }

    /// Interfaces with a link that nothing speaks of yet.
    fn left_over(&mut self) -> Vec<Attachment> {
        let known: Vec<_> = self.attachments.iter().map(|attachment| attachment.interface.clone()).collect();
        let found = self.datapath.take_left_over(&known, &self.token);
        for attachment in &found {
            tracing::warn!("{}", left_over_warning(attachment));
        }
        found
    }

    /// Events name interfaces by the page of their generation.
    fn note_interfaces(&self) {
        let generation = self.datapath.generation().map_or(0, |generation| generation.number);
        self.book.write(generation, Page::new(&self.host_name, &self.intent, &self.attachments));
    }

    /// Takes the program off what this start put it on.
    fn undo(&self, before: &[String]) {
        for attachment in &self.attachments {
            if !before.contains(&attachment.interface)
                && let Err(error) = attach::detach_interface(&self.config.paths.pins, &attachment.interface)
            {
                tracing::error!(%error, interface = attachment.interface, "failed to detach again");
            }
        }
    }
}

/// What `status` and the log say of an interface that is judged without being configured.
pub(super) fn left_over_warning(attachment: &Attachment) -> String {
    let name = &attachment.interface;
    format!(
        "`{name}` is judged as before ({}), and `[interfaces]` does not name it; `iomt-filter detach --interface {name}` ends that",
        attachment.roles
    )
}

fn log_attachment(attachment: &Attachment) {
    let mode = mode_name(attachment);
    tracing::info!(interface = attachment.interface, port = %attachment.roles, mode, "judging");
}
