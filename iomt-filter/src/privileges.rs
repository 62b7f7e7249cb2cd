//! What this process may do, and how it gives that up.
//!
//! The program is loaded with [`NEEDED`], once. From then on nothing asks the kernel for a right: tables are memory that
//! is shared or maps that are open, whose use is a matter of having them (`kernel/bpf/syscall.c`); a link to an
//! interface that comes back is made with the program at hand (`bpf_xdp_link_attach` in `net/core/dev.c`); and pins lie
//! in a folder of the user's own. So an agent that is no root's keeps none of them.
//!
//! Capabilities belong to threads: each thread gives up its own. Root stays what it is, unless it becomes somebody else.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;
use nix::unistd::{Uid, User};
use serde::{Deserialize, Serialize};

mod owner;
mod user;

pub use owner::as_owner_of;
pub use user::{BecomeError, Belongings, become_user};

/// What loading takes: `CAP_BPF` for the program and for tries, `CAP_NET_ADMIN` because it is a program for networks,
/// and `CAP_PERFMON` because the verifier takes it as leave to compare and copy pointers: without it the program is
/// refused, and what is not would be slowed down by the mitigations that then go into it.
pub const NEEDED: [Capability; 3] = [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_PERFMON];

/// What the threads of this process may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// The user, by name, or by number where it has none.
    pub user: String,
    /// Its number.
    pub uid: u32,
    /// Capabilities that any of the threads has, or could take up.
    pub capabilities: Vec<String>,
    /// Whether no thread, nor any program that one would start, can get more.
    pub no_new_privileges: bool,
}

impl Privileges {
    /// Those that there are now.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn read() -> io::Result<Self> {
        let uid = Uid::effective();
        let user = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
        let (mut held, mut no_new_privileges) = (BTreeSet::new(), true);
        for thread in fs::read_dir("/proc/self/task")? {
            let status = match fs::read_to_string(thread?.path().join("status")) {
                Ok(status) => status,
                // It ended meanwhile.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOENT)) => continue,
                Err(error) => return Err(error),
            };
            let (capabilities, is_bound) = of_thread(&status);
            held.extend(capabilities);
            no_new_privileges &= is_bound;
        }
        let capabilities = held.into_iter().collect();
        Ok(Self { user, uid: uid.as_raw(), capabilities, no_new_privileges })
    }
}

/// Has nothing that this thread, and threads and programs that it starts, do from now on get it more rights.
///
/// # Errors
/// When the kernel refuses.
pub fn never_more() -> io::Result<()> {
    Ok(prctl::set_no_new_privs()?)
}

/// Lets this thread keep nothing but what loading takes, of that what it has. Root keeps everything.
///
/// # Errors
/// When the kernel refuses.
pub fn keep_needed() -> io::Result<()> {
    if Uid::effective().is_root() {
        return Ok(());
    }
    keep(&NEEDED.into_iter().collect())
}

/// Takes from this thread whatever it may do. Root keeps everything.
///
/// # Errors
/// When the kernel refuses.
pub fn give_up() -> io::Result<()> {
    if Uid::effective().is_root() {
        return Ok(());
    }
    keep(&CapsHashSet::new())
}

/// For the begin of a thread that is started before the rights are given up: it needs none.
pub fn give_up_here() {
    if let Err(error) = give_up() {
        tracing::error!(%error, "a thread could not give up its capabilities");
    }
}

/// Names of what loading takes and this thread does not have.
#[must_use]
pub fn missing() -> Vec<String> {
    let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    // It stands for the other three (`include/linux/capability.h`).
    if has(Capability::CAP_SYS_ADMIN) {
        return Vec::new();
    }
    NEEDED
        .into_iter()
        .filter(|capability| !has(*capability))
        .map(|capability| capability.to_string())
        .collect()
}

fn keep(wanted: &CapsHashSet) -> io::Result<()> {
    let failed = |error: caps::errors::CapsError| io::Error::other(error);
    let permitted = caps::read(None, CapSet::Permitted).map_err(failed)?;
    let kept: CapsHashSet = permitted.intersection(wanted).copied().collect();
    caps::set(None, CapSet::Effective, &kept).map_err(failed)?;
    // Without these, ambient ones go too.
    caps::clear(None, CapSet::Inheritable).map_err(failed)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(failed)
}

/// Reads `/proc/PID/status`: names of the capabilities, and whether more cannot be had.
fn of_thread(status: &str) -> (Vec<String>, bool) {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let mask = |name| field(name).and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(u64::MAX);
    let held = mask("CapPrm:") | mask("CapEff:") | mask("CapInh:") | mask("CapAmb:");
    let mut known: Vec<Capability> = caps::all().into_iter().collect();
    known.sort_by_key(Capability::index);
    let named = known.iter().filter(|capability| held & capability.bitmask() != 0).map(ToString::to_string);
    (named.collect(), field("NoNewPrivs:") == Some("1"))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_status_is_read() {
        let status = |mask: &str, bound| {
            format!(
                "Name:\tx\nCapInh:\t{mask}\nCapPrm:\t{mask}\nCapEff:\t0\nCapAmb:\t0\nNoNewPrivs:\t{bound}\n"
            )
        };
        assert_eq!(of_thread(&status("0000000000000000", 1)), (Vec::new(), true));
        let names = ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"].map(str::to_owned);
        assert_eq!(of_thread(&status("000000c000001000", 0)), (names.to_vec(), false));
        assert!(!of_thread("").0.is_empty(), "what cannot be read is not taken for nothing");
    }

    #[test]
    fn a_thread_keeps_what_it_is_to_keep_and_then_nothing() {
        let done = thread::spawn(|| {
            let before: Vec<_> = missing();
            keep(&NEEDED.into_iter().collect()).unwrap();
            assert_eq!(missing(), before);
            let held = caps::read(None, CapSet::Permitted).unwrap();
            assert!(held.iter().all(|capability| NEEDED.contains(capability)), "{held:?}");
            keep(&CapsHashSet::new()).unwrap();
            for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable, CapSet::Ambient] {
                assert!(caps::read(None, set).unwrap().is_empty(), "{set:?}");
            }
            assert_eq!(missing().len(), NEEDED.len());
            assert!(keep(&NEEDED.into_iter().collect()).is_ok() && missing().len() == NEEDED.len());
        });
        done.join().unwrap();
    }
}
