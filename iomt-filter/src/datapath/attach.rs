//! Puts the program on interfaces by links that outlive the process, and takes it off again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aya::maps::MapError;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{ProgramError, Xdp};
use iomt_filter_common::device::Port;
use nix::net::if_::if_nametoindex;
use thiserror::Error;

use super::load::{Datapath, LoadError, program};
use super::lock::WriterToken;
use super::pins::{remove_folder, remove_tables};

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

/// The program on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Name of the interface.
    pub interface: String,
    /// Its index.
    pub index: u32,
    /// Its role.
    pub port: Port,
    /// How the program runs there; `None` where a link of an earlier process was taken over.
    pub mode: Option<AttachMode>,
}

/// Why the program could not be put on an interface.
#[derive(Debug, Error)]
pub enum AttachError {
    /// There is no such interface.
    #[error("no interface `{0}` on this host; `ip link` lists those there are")]
    NoInterface(String),
    /// The interface already runs an XDP program.
    #[error("another XDP program runs on `{0}`; take it off first (`ip link set dev {0} xdp off`)")]
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
        error: MapError,
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
    /// When there is no such interface, the kernel refuses, or the link cannot be pinned.
    pub fn attach(
        &mut self,
        interface: &str,
        port: Port,
        wanted: WantedMode,
        token: &WriterToken,
    ) -> Result<Attachment, AttachError> {
        let name = || interface.to_owned();
        let index = if_nametoindex(interface).map_err(|_| AttachError::NoInterface(name()))?;
        self.set_port(index, port, token).map_err(|error| AttachError::Port { interface: name(), error })?;
        let pin = self.pins.as_deref().map(|pins| links_folder(pins).join(interface));
        let xdp = program(&mut self.ebpf)?;
        if let Some(pin) = &pin
            && replace(xdp, pin)
        {
            return Ok(Attachment { interface: name(), index, port, mode: None });
        }
        let (link, mode) = attach_new(xdp, interface, index, wanted)?;
        if let Some(pin) = pin {
            let failed = |error| AttachError::Pin { interface: name(), error };
            if let Some(folder) = pin.parent() {
                // A folder that is missing shows when the link is pinned.
                let _ = fs::create_dir_all(folder);
            }
            link.pin(&pin).map_err(failed)?;
        } else {
            self.links.push(link);
        }
        Ok(Attachment { interface: name(), index, port, mode: Some(mode) })
    }

    /// Tells the program the role of an interface by its index. Test runs come in on index 1, that of
    /// `lo`, where nothing else is said.
    ///
    /// # Errors
    /// When the kernel refuses the row.
    pub fn set_port(&mut self, interface: u32, port: Port, _token: &WriterToken) -> Result<(), MapError> {
        self.maps.ports.insert(interface, port as u32, 0)
    }
}

/// Interfaces that have a pinned link below `pins`.
#[must_use]
pub fn attached_interfaces(pins: &Path) -> Vec<String> {
    let entries = fs::read_dir(links_folder(pins)).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
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
    fs::remove_file(links_folder(pins).join(interface))
}

fn links_folder(pins: &Path) -> PathBuf {
    pins.join("links")
}

/// Puts the program into a pinned link. `false` where there is none, or its interface is gone.
fn replace(xdp: &mut Xdp, pin: &Path) -> bool {
    let Ok(pinned) = PinnedLink::from_pin(pin) else { return false };
    let replaced = XdpLink::try_from(FdLink::from(pinned))
        .ok()
        .and_then(|link| xdp.attach_to_link(link).ok())
        .and_then(|id| xdp.take_link(id).ok());
    match replaced {
        Some(link) => {
            // The pin keeps the link; this is only our handle to it.
            drop(FdLink::try_from(link));
            true
        }
        None => {
            let _ = fs::remove_file(pin);
            false
        }
    }
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
