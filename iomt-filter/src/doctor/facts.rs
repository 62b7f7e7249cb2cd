//! What is: of the kernel, of this process, of folders, files and interfaces. Only ever reads, and judges nothing.

mod netlink;
mod raw;
pub mod kernel;
pub mod rights;
pub mod places;
pub mod clock;
pub mod pins;
pub mod sources;
pub mod links;
pub mod features;
pub mod abilities;
pub mod ports;

use std::io;
use std::path::Path;

use self::clock::Clock;
use self::kernel::Kernel;
use self::pins::Pins;
use self::places::{Folder, Socket};
use self::ports::Ports;
use self::rights::Rights;
use self::sources::Sources;

/// Everything that is judged.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The kernel.
    pub kernel: Kernel,
    /// What this process may do.
    pub rights: Rights,
    /// The pin folder.
    pub pins: Pins,
    /// The time of day.
    pub clock: Clock,
    /// The state folder.
    pub state: Folder,
    /// The control socket.
    pub socket: Socket,
    /// What the files say.
    pub sources: Sources,
    /// The interfaces.
    pub ports: Ports,
}

impl Facts {
    /// Looks at everything that a filter with the configuration at `path` would need.
    ///
    /// # Errors
    /// When the kernel does not say which interfaces there are, or what this process may do.
    pub fn read(path: &Path) -> io::Result<Self> {
        let (config, sources) = Sources::read(path);
        let paths = &config.paths;
        let binary = std::env::current_exe().unwrap_or_default();
        let known = [binary.as_path(), path, &paths.policy, &paths.devices, &paths.state];
        let pins = Pins::look(&paths.pins);
        Ok(Self {
            kernel: Kernel::read(),
            rights: Rights::read()?,
            clock: Clock::read(&known),
            state: Folder::look(&paths.state),
            socket: Socket::look(&paths.socket, &paths.state),
            ports: Ports::read(&config, &pins, sources.have_vlans)?,
            pins,
            sources,
        })
    }
}
