//! Finds a compiler that can build the XDP program.
//!
//! In comes what lies on this machine: rustup's toolchains, the distribution's compiler, the path.
//! Out goes a [`Route`], or [`Missing`] with the exact commands that complete one. Nothing is ever
//! installed, printed or asked here; what build scripts print for cargo is behind the feature `build`.

mod found;
mod apt;
mod route;
mod missing;
#[cfg(feature = "build")]
mod build;

#[cfg(feature = "build")]
pub use build::{Program, build};
pub use missing::{Missing, Step};
pub use route::Route;

use apt::Offered;
use found::Found;

/// The environment variable that names a rustup toolchain and overrides the choice.
pub const OVERRIDE: &str = "IOMT_FILTER_EBPF_TOOLCHAIN";

/// The name under which rustup knows the distribution's compiler.
pub const DEBIAN_TOOLCHAIN: &str = "bpf-debian";

/// Picks the route by looking at this machine; takes a few `rustc --print sysroot`.
pub fn find() -> Result<Route, Missing> {
    let found = Found::look();
    match route::choose(&found) {
        Some(route) if found.linker => Ok(route),
        route => Err(missing::explain(&found, route.as_ref(), &Offered::ask())),
    }
}
