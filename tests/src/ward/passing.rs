//! A program that passes every frame, on the far end of a cable: without one there, the driver of veth
//! does not send what an XDP program sends back.

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::programs::Xdp;
use aya::programs::xdp::XdpMode;
use bench_ebpf::FLOOR;

use crate::netns::Namespace;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/bench"));

/// The program on an interface; taken off when this value goes.
pub struct Passing {
    _ebpf: Ebpf,
}

impl Passing {
    /// Puts it on an interface of a namespace.
    ///
    /// # Errors
    /// When there is no such interface, or the kernel refuses.
    pub fn attach(inside: &Namespace, interface: &str) -> Result<Self> {
        inside.inside(|| {
            let mut ebpf = Ebpf::load(OBJECT).context("failed to load the program that passes frames")?;
            let program = ebpf.program_mut(FLOOR).context("no program that passes frames")?;
            let program: &mut Xdp = program.try_into()?;
            program.load().context("the kernel refused the program that passes frames")?;
            let attached = program.attach(interface, XdpMode::Driver);
            attached.with_context(|| format!("failed to attach to `{interface}`"))?;
            Ok(Self { _ebpf: ebpf })
        })?
    }
}
