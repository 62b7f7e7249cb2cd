//! The first file system of an emulated machine: a shell, the test binary, and the modules it needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::debian::{Kernel, files};
use crate::process;

const INIT: &str = include_str!("init");
/// The driver that the program is attached to; those that it depends on come with it.
const MODULE: &str = "veth";

/// Packs it, and returns its path.
pub(crate) fn make(kernel: &Kernel, unpacked: &Path, test: &Path, folder: &Path) -> Result<PathBuf> {
    let root = folder.join("initrd");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("failed to remove `{}`", root.display()))?;
    }
    for name in ["bin", "dev", "modules", "proc", "sys", "tmp"] {
        make_folder(&root.join(name))?;
    }
    write(&root.join("init"), INIT.as_bytes())?;
    process::run(Command::new("chmod").arg("755").arg(root.join("init")))?;
    let busybox = which("busybox")?;
    copy(&busybox, &root.join("bin/busybox"))?;
    process::run(Command::new("strip").arg("-o").arg(root.join("kernel")).arg(test))?;
    for program in [test, &busybox] {
        // Of a program that is linked statically, `ldd` says that on standard error, and fails.
        let ldd = Command::new("ldd").arg(program).output().context("failed to start `ldd`")?;
        for library in libraries(&String::from_utf8_lossy(&ldd.stdout)) {
            copy(Path::new(&library), &root.join(library.trim_start_matches('/')))?;
        }
    }
    let mut order = Vec::new();
    add_module(MODULE, unpacked, &root.join("modules"), &mut order)?;
    write(&root.join("modules/order"), order.join("\n").as_bytes())?;

    let packed = folder.join(format!("{}.initrd", kernel.release));
    let script = format!("find . | cpio --quiet --create --format=newc --owner=0:0 > '{}'", packed.display());
    process::run(Command::new("sh").args(["-c", &script]).current_dir(&root))?;
    Ok(packed)
}

/// Reads `ldd`: the files, the dynamic linker among them.
fn libraries(ldd: &str) -> Vec<String> {
    ldd.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(str::to_owned)
        .collect()
}

/// Adds a module behind those that it depends on.
fn add_module(name: &str, unpacked: &Path, folder: &Path, order: &mut Vec<String>) -> Result<()> {
    let file = format!("{name}.ko");
    if order.contains(&file) {
        return Ok(());
    }
    let is_it = |found: &str| {
        let found = found.replace('-', "_");
        found == file || found == format!("{file}.xz")
    };
    let Some(path) = files(unpacked, &is_it).into_iter().next() else {
        bail!("the kernel in `{}` has no module `{name}`", unpacked.display());
    };
    let module = if path.extension().is_some_and(|extension| extension == "xz") {
        let xz = Command::new("xz").args(["--decompress", "--stdout"]).arg(&path).output();
        xz.with_context(|| format!("failed to decompress `{}`", path.display()))?.stdout
    } else {
        fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))?
    };
    for needed in dependencies(&module) {
        add_module(&needed, unpacked, folder, order)?;
    }
    write(&folder.join(&file), &module)?;
    order.push(file);
    Ok(())
}

/// What a module's `.modinfo` section says behind `depends=`: names with commas between them.
fn dependencies(module: &[u8]) -> Vec<String> {
    const FIELD: &[u8] = b"\0depends=";
    let Some(at) = module.windows(FIELD.len()).position(|window| window == FIELD) else { return Vec::new() };
    let value = module[at + FIELD.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value).replace('-', "_");
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn which(program: &str) -> Result<PathBuf> {
    let folders = ["/usr/bin", "/bin", "/usr/local/bin"].map(Path::new);
    let found = folders.iter().map(|folder| folder.join(program)).find(|path| path.is_file());
    found.with_context(|| format!("failed to find `{program}`"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    to.parent().map_or(Ok(()), make_folder)?;
    fs::copy(from, to).map(drop).with_context(|| format!("failed to copy `{}`", from.display()))
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).with_context(|| format!("failed to write `{}`", path.display()))
}

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("failed to make `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_linker_but_not_what_the_kernel_brings() {
        let ldd = "\tlinux-vdso.so.1 (0x7ff)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7fa)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x7fb)\n";
        assert_eq!(libraries(ldd), ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
        assert!(libraries("\tstatically linked\n").is_empty());
    }

    #[test]
    fn dependencies_in_a_modules_own_words() {
        assert_eq!(dependencies(b"..\0depends=page-pool,libcrc32c\0name=veth\0"), ["page_pool", "libcrc32c"]);
        assert!(dependencies(b"..\0depends=\0name=veth\0").is_empty());
    }
}
