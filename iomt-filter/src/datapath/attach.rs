//! Puts the program on interfaces by links that outlive the process, and takes it off again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aya::maps::MapInfo;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{ProgramError, ProgramInfo, Xdp, loaded_programs};
use iomt_filter_common::abi::{PROGRAM, map};
use nix::net::if_::{if_indextoname, if_nametoindex};
use thiserror::Error;

use super::link::{self, Link};
use super::load::{Datapath, LoadError, program};
use super::lock::WriterToken;
use super::pins::{maps_folder, remove_folder, remove_tables};
use super::ports::{NoRoom, Roles};

/// How the kernel runs the program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// In the driver, before a socket buffer exists.
    Native,
    /// In the network stack, slower, on any interface.
    Generic,
}

/// Which mode an interface is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WantedMode {
    /// Native where the driver can, generic otherwise.
    #[default]
    Auto,
    /// Native or not at all.
    Native,
    /// Generic.
    Generic,
}

/// How an interface stands to the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is configured and judged.
    Judging,
    /// It is judged by the link of an earlier process, and configured no more.
    LeftOver,
    /// It is configured, and not on this host at present.
    Missing,
    /// It is configured and there, and the program could not be put on it.
    NotAttached,
}

impl Standing {
    /// Whether the program is on it.
    #[must_use]
    pub const fn is_judged(self) -> bool {
        matches!(self, Self::Judging | Self::LeftOver)
    }
}

/// The program on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Name of the interface.
    pub interface: String,
    /// Its index.
    pub index: u32,
    /// Its role, and those of VLANs on it.
    pub roles: Roles,
    /// How the program runs there; `None` where a link of an earlier process was taken over.
    pub mode: Option<AttachMode>,
    /// How it stands to the configuration.
    pub standing: Standing,
}

/// Why the program could not be put on an interface.
#[derive(Debug, Error)]
pub enum AttachError {
    /// There is no such interface.
    #[error("no interface `{0}` on this host; `ip link` lists those there are")]
    NoInterface(String),
    /// The interface already runs an XDP program.
    #[error(
        "another XDP program runs on `{0}`; take it off first: `bpftool net` names it; `ip link set dev {0} xdp off` removes a program, `bpftool link detach` a link"
    )]
    Busy(String),
    /// The driver cannot run it natively, and nothing else was wanted.
    #[error(
        "the driver of `{interface}` cannot run this program natively; set `mode = \"auto\"` or `\"generic\"`"
    )]
    NotNative {
        /// The interface.
        interface: String,
        /// What the kernel said.
        #[source]
        error: ProgramError,
    },
    /// The attachment would end with the process.
    #[error("the kernel attached to `{0}` without a link, which cannot outlive the agent; it was undone")]
    NoLink(String),
    /// The kernel refused.
    #[error("failed to attach to `{interface}`")]
    Attach {
        /// The interface.
        interface: String,
        /// What the kernel said.
        #[source]
        error: ProgramError,
    },
    /// The link that is pinned for it cannot be used; it goes on as it was.
    #[error("failed to take over the link of `{interface}`, which goes on as it was")]
    TakeOver {
        /// The interface.
        interface: String,
        /// What went wrong.
        #[source]
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The kernel does not say what runs on it.
    #[error("failed to find out what runs on `{interface}`")]
    Look {
        /// The interface.
        interface: String,
        /// What went wrong.
        #[source]
        error: io::Error,
    },
    /// The link could not be pinned.
    #[error("failed to pin the link of `{interface}`")]
    Pin {
        /// The interface.
        interface: String,
        /// What went wrong.
        #[source]
        error: aya::pin::PinError,
    },
    /// The role of the interface could not be told to the program.
    #[error("failed to write the role of `{interface}`")]
    Port {
        /// The interface.
        interface: String,
        /// What went wrong.
        #[source]
        error: NoRoom,
    },
    /// The program is not there.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl Datapath {
    /// Puts the program on an interface, or into the place of the one that an earlier process left
    /// there, without a packet between them.
    ///
    /// # Errors
    /// When there is no such interface, the kernel refuses, or the link cannot be pinned. A link that
    /// was there before is then left as it was.
    pub fn attach(
        &mut self,
        interface: &str,
        roles: &Roles,
        wanted: WantedMode,
        token: &WriterToken,
    ) -> Result<Attachment, AttachError> {
        let name = || interface.to_owned();
        let index = if_nametoindex(interface).map_err(|_| AttachError::NoInterface(name()))?;
        let pin = self.pins.as_deref().map(|pins| pin_of(pins, interface));
        let mut found = pinned(pin.as_deref(), interface)?;
        if let Some(pins) = self.pins.as_deref()
            && !matches!(found, Link::Missing)
            && found != Link::At(index)
        {
            tidy(pins)?;
            found = pinned(pin.as_deref(), interface)?;
        }
        let replaced = self
            .replace_roles(index, roles, token)
            .map_err(|error| AttachError::Port { interface: name(), error })?;
        let xdp = program(&mut self.ebpf)?;
        let attachment = |mode| Attachment {
            interface: name(),
            index,
            roles: roles.clone(),
            mode,
            standing: Standing::Judging,
        };
        if let Some(pin) = &pin
            && found == Link::At(index)
        {
            if let Err(error) = replace(xdp, pin) {
                self.put_back_roles(&replaced);
                return Err(AttachError::TakeOver { interface: name(), error });
            }
            self.keep_hold(index, pin);
            return Ok(attachment(None));
        }
        let attached = attach_new(xdp, interface, index, wanted);
        let (link, mode) = attached.inspect_err(|_| self.put_back_roles(&replaced))?;
        if let Some(pin) = pin {
            let failed = |error| AttachError::Pin { interface: name(), error };
            if let Some(folder) = pin.parent() {
                // A folder that is missing shows when the link is pinned.
                let _ = fs::create_dir_all(folder);
            }
            link.pin(&pin).map_err(failed)?;
            self.keep_hold(index, &pin);
        } else {
            self.links.push(link);
        }
        Ok(attachment(Some(mode)))
    }

    /// Puts the program into the links of interfaces that are not among `configured`, and lists them:
    /// they go on being judged, in the role that they had.
    pub fn take_left_over(&mut self, configured: &[String], _token: &WriterToken) -> Vec<Attachment> {
        let Some(pins) = self.pins.clone() else { return Vec::new() };
        let mut found = Vec::new();
        for interface in attached_interfaces(&pins) {
            let pin = pin_of(&pins, &interface);
            if configured.contains(&interface) {
                continue;
            }
            let Ok(Link::At(index)) = link::look(&pin) else { continue };
            let replaced = program(&mut self.ebpf).map_err(Into::into).and_then(|xdp| replace(xdp, &pin));
            if let Err(error) = replaced {
                tracing::error!(%error, interface, "this interface goes on with the program of an earlier agent");
            }
            self.let_go(index);
            let roles = self.roles(index);
            found.push(Attachment { interface, index, roles, mode: None, standing: Standing::LeftOver });
        }
        found
    }
}

/// The program of each pinned link below `pins`, by the index of the interface that it is on.
///
/// # Errors
/// When a pin cannot be read.
pub fn programs(pins: &Path) -> io::Result<BTreeMap<u32, u32>> {
    let all = attached_interfaces(pins).into_iter().map(|interface| link::program(&pin_of(pins, &interface)));
    all.filter_map(Result::transpose).collect()
}

/// Names of the programs that the kernel holds, by their numbers; none where this process may not ask.
#[must_use]
pub fn names() -> BTreeMap<u32, String> {
    let programs = loaded_programs().flatten();
    programs.filter_map(|program| Some((program.id(), program.name_as_str()?.to_owned()))).collect()
}

/// Programs in pinned links below `pins` that are not the filter's: they have another name, or judge by other tables.
/// None where this process may not ask.
#[must_use]
pub fn strangers(pins: &Path) -> BTreeSet<u32> {
    let Ok(linked) = programs(pins) else { return BTreeSet::new() };
    let linked: BTreeSet<_> = linked.into_values().collect();
    let table = MapInfo::from_pin(maps_folder(pins).join(map::ACTIVE)).map(|table| table.id());
    let is_ours = |program: &ProgramInfo| {
        let maps = program.map_ids().ok().flatten();
        let reads = |table: &u32| maps.as_ref().is_none_or(|maps| maps.contains(table));
        program.name_as_str() == Some(PROGRAM) && table.as_ref().map_or(true, reads)
    };
    let all = loaded_programs().flatten().filter(|program| linked.contains(&program.id()));
    all.filter(|program| !is_ours(program)).map(|program| program.id()).collect()
}

/// Makes every pinned link bear the name that its interface has now, and removes those whose interface
/// is gone. What is judged does not change.
///
/// # Errors
/// When a pin cannot be read, renamed or removed.
pub fn tidy(pins: &Path) -> Result<(), AttachError> {
    let mut moved = Vec::new();
    for interface in attached_interfaces(pins) {
        let pin = pin_of(pins, &interface);
        let failed = |error| AttachError::Look { interface: interface.clone(), error };
        match link::look(&pin).map_err(failed)? {
            Link::Missing => {}
            Link::Gone => fs::remove_file(&pin).map_err(failed)?,
            Link::At(index) => {
                let now = if_indextoname(index).ok().and_then(|name| name.into_string().ok());
                let now = now.unwrap_or_else(|| elsewhere(index));
                if now != interface {
                    tracing::warn!(before = interface, now, "an interface that is judged has another name");
                    moved.push((index, pin, now));
                }
            }
        }
    }
    // By way of a name that no interface has: two may have changed names with each other.
    for (index, pin, now) in &moved {
        let failed = |error| AttachError::Look { interface: now.clone(), error };
        fs::rename(pin, pin_of(pins, &elsewhere(*index))).map_err(failed)?;
    }
    for (index, _, now) in &moved {
        let failed = |error| AttachError::Look { interface: now.clone(), error };
        fs::rename(pin_of(pins, &elsewhere(*index)), pin_of(pins, now)).map_err(failed)?;
    }
    Ok(())
}

/// What stands for the name of an interface that has none here; longer than any name.
fn elsewhere(index: u32) -> String {
    format!("elsewhere-index-{index}")
}

fn pinned(pin: Option<&Path>, interface: &str) -> Result<Link, AttachError> {
    let failed = |error| AttachError::Look { interface: interface.to_owned(), error };
    pin.map_or(Ok(Link::Missing), link::look).map_err(failed)
}

/// Interfaces that have a pinned link below `pins`.
#[must_use]
pub fn attached_interfaces(pins: &Path) -> Vec<String> {
    let entries = fs::read_dir(links_folder(pins)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.map(|name| name.replace(':', ".")).collect();
    names.sort();
    names
}

/// Takes the program off every interface and removes all pins: filtering ends here.
///
/// # Errors
/// When a pin cannot be removed; those before it are gone.
pub fn detach(pins: &Path) -> io::Result<Vec<String>> {
    let interfaces = attached_interfaces(pins);
    // The links first: tables without a link are tables that judge nobody, and a start knows them.
    remove_folder(&links_folder(pins))?;
    remove_tables(pins)?;
    match fs::remove_dir(pins) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(interfaces),
    }
}

/// Takes the program off one interface.
///
/// # Errors
/// When its pin cannot be removed.
pub fn detach_interface(pins: &Path, interface: &str) -> io::Result<()> {
    fs::remove_file(pin_of(pins, interface))
}

/// A BPF file system reserves names with a dot, which interfaces of VLANs have; a colon, which no
/// interface has, stands for it.
pub(super) fn pin_of(pins: &Path, interface: &str) -> PathBuf {
    links_folder(pins).join(interface.replace('.', ":"))
}

fn links_folder(pins: &Path) -> PathBuf {
    pins.join("links")
}

/// Puts the program into a pinned link. Where that fails, link and pin are as they were.
pub(super) fn replace(xdp: &mut Xdp, pin: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let link = XdpLink::try_from(FdLink::from(PinnedLink::from_pin(pin)?))?;
    let id = xdp.attach_to_link(link)?;
    // The pin keeps the link; this is only our handle to it.
    drop(FdLink::try_from(xdp.take_link(id)?));
    Ok(())
}

fn attach_new(
    xdp: &mut Xdp,
    interface: &str,
    index: u32,
    wanted: WantedMode,
) -> Result<(FdLink, AttachMode), AttachError> {
    let attempts: &[(XdpMode, AttachMode)] = match wanted {
        WantedMode::Auto => &[(XdpMode::Driver, AttachMode::Native), (XdpMode::Skb, AttachMode::Generic)],
        WantedMode::Native => &[(XdpMode::Driver, AttachMode::Native)],
        WantedMode::Generic => &[(XdpMode::Skb, AttachMode::Generic)],
    };
    let mut last = None;
    for (mode, result) in attempts {
        match xdp.attach_to_if_index(index, *mode) {
            Ok(id) => {
                let link = xdp.take_link(id).map_err(|error| refused(interface, error))?;
                let link = FdLink::try_from(link).map_err(|_| AttachError::NoLink(interface.to_owned()))?;
                return Ok((link, *result));
            }
            Err(error) if is_busy(&error) => return Err(AttachError::Busy(interface.to_owned())),
            Err(error) => last = Some(error),
        }
    }
    match (wanted, last) {
        (WantedMode::Native, Some(error)) => {
            Err(AttachError::NotNative { interface: interface.to_owned(), error })
        }
        (_, Some(error)) => Err(refused(interface, error)),
        (_, None) => Err(AttachError::NoLink(interface.to_owned())),
    }
}

fn refused(interface: &str, error: ProgramError) -> AttachError {
    AttachError::Attach { interface: interface.to_owned(), error }
}

fn is_busy(error: &ProgramError) -> bool {
    matches!(error, ProgramError::SyscallError(call)
        if matches!(call.io_error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST)))
}
