//! What the numbers were measured on.

use std::fmt;
use std::fs;

use serde::Serialize;

/// The machine.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// Whether programs are compiled to machine code.
    pub(crate) jit: bool,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jit = if self.jit { "jit on" } else { "jit off" };
        write!(f, "{}, {} cores, linux {}, {jit}", self.cpu, self.cores, self.kernel)
    }
}

pub(crate) fn look() -> Machine {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let jit = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").unwrap_or_default();
    Machine {
        cpu: model.map_or(std::env::consts::ARCH, |(_, model)| model).to_owned(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        kernel: kernel.trim().to_owned(),
        jit: jit.trim() != "0",
    }
}
