//! Whether interfaces are judged by the program of this process, and what keeps them so: the link of an interface stays
//! while its agent lives, whoever removes the pin, and a program that somebody has put into it is put out again.

use std::error::Error;
use std::path::Path;

use nix::net::if_::if_nametoindex;

use super::attach::{Attachment, pin_of, replace};
use super::link::{self, Link};
use super::load::{Datapath, LoadError, program};
use super::lock::WriterToken;

/// How the program stands on the interface that has an attachment's name at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It judges there, by a link that is pinned.
    Judges,
    /// It judges there, and the pin is gone: the next agent would not find the link.
    Unpinned,
    /// The link runs another program, which has this number in the kernel.
    Taken(u32),
    /// The interface is gone, or is another one, or has no program of this filter.
    Lost,
}

impl Datapath {
    /// How the program stands on an interface.
    #[must_use]
    pub fn hold(&self, attachment: &Attachment) -> Hold {
        let Attachment { interface, index, .. } = attachment;
        if if_nametoindex(interface.as_str()) != Ok(*index) {
            return Hold::Lost;
        }
        let Some(pins) = &self.pins else { return Hold::Judges };
        match link::program(&pin_of(pins, interface)) {
            Ok(Some((place, program))) if place == *index => match program == self.program {
                true => Hold::Judges,
                false => Hold::Taken(program),
            },
            Ok(_) if self.has_hold(*index) => Hold::Unpinned,
            Ok(_) => Hold::Lost,
            // Where the kernel does not answer, nothing is known that could be mended.
            Err(_) => Hold::Judges,
        }
    }

    /// Puts the program of this process into the link of an interface again, without a packet between them.
    ///
    /// # Errors
    /// When the link cannot be opened, or the kernel refuses.
    pub fn take_back(
        &mut self,
        attachment: &Attachment,
        _token: &WriterToken,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let Some(pins) = &self.pins else { return Ok(()) };
        replace(program(&mut self.ebpf)?, &pin_of(pins, &attachment.interface))
    }

    /// Gives the link of an interface its pin again.
    ///
    /// # Errors
    /// When there is none, something else has the name, or the kernel refuses.
    pub fn pin_again(&mut self, attachment: &Attachment, _token: &WriterToken) -> Result<(), LoadError> {
        let (Some(pins), Some(link)) = (&self.pins, self.held.get(&attachment.index)) else { return Ok(()) };
        let pin = pin_of(pins, &attachment.interface);
        if let Some(folder) = pin.parent() {
            // A folder that is missing shows when the link is pinned.
            let _ = std::fs::create_dir_all(folder);
        }
        link::pin(link, &pin).map_err(|error| LoadError::Pins { path: pin, error })
    }

    /// From here on the link pinned at `pin` stays for as long as this process does.
    pub(super) fn keep_hold(&mut self, index: u32, pin: &Path) {
        match link::open(pin) {
            Ok(Some(link)) => drop(self.held.insert(index, link)),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, pin = %pin.display(), "this link stays only while its pin does")
            }
        }
    }

    /// A link that is nobody's any more stays only while its pin does.
    pub(super) fn let_go(&mut self, index: u32) {
        self.held.remove(&index);
    }

    /// Lets go of the links of interfaces that are not among `indexes`.
    pub fn keep_holds(&mut self, indexes: &[u32], _token: &WriterToken) {
        self.held.retain(|index, _| indexes.contains(index));
    }

    fn has_hold(&self, index: u32) -> bool {
        self.held
            .get(&index)
            .is_some_and(|link| link::place(link).is_ok_and(|place| place == Link::At(index)))
    }
}
