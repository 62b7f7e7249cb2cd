//! What this process may do.

use std::fs;
use std::io;

/// Capabilities by their numbers (`include/uapi/linux/capability.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// `CAP_NET_ADMIN`.
    NetAdmin = 12,
    /// `CAP_SYS_ADMIN`, which stands for `CAP_BPF` and `CAP_PERFMON` too.
    SysAdmin = 21,
    /// `CAP_SYS_RESOURCE`.
    SysResource = 24,
    /// `CAP_PERFMON`.
    Perfmon = 38,
    /// `CAP_BPF`.
    Bpf = 39,
}

/// The capabilities that count at this moment, and whose they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// A bit each.
    pub effective: u64,
    /// The user.
    pub user: u32,
}

impl Rights {
    pub(super) fn read() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let effective = effective(&status)
            .ok_or_else(|| io::Error::other("`/proc/self/status` does not say what this process may do"))?;
        Ok(Self { effective, user: nix::unistd::geteuid().as_raw() })
    }

    /// Whether a capability is among them.
    #[must_use]
    pub const fn has(self, capability: Capability) -> bool {
        self.effective >> capability as u32 & 1 != 0
    }
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_bits() {
        let status = "Name:\tx\nCapPrm:\tffffffffffffffff\nCapEff:\t0000008000001000\n";
        let rights = Rights { effective: effective(status).unwrap(), user: 0 };
        assert!(rights.has(Capability::NetAdmin) && rights.has(Capability::Bpf));
        assert!(!rights.has(Capability::SysAdmin) && !rights.has(Capability::SysResource));
        assert_eq!(effective("Name:\tx\n"), None);
    }
}
