//! Whether the kernel takes the program, and lets this process load it.

use super::super::facts::kernel::{Kernel, Trial};
use super::super::facts::rights::{Capability, Rights};
use super::super::finding::{Check, Finding};
use crate::datapath::load::{OLDEST_KERNEL, is_older_than};

/// The last kernel that counts maps against the limit of locked memory comes before this.
const COUNTS_BY_GROUP: (u32, u32) = (5, 11);

/// Kernel and rights.
pub(super) fn judge(kernel: &Kernel, rights: Rights) -> Vec<Finding> {
    let mut found = vec![release(kernel), capabilities(rights)];
    found.extend(program(kernel, rights));
    found.push(types(kernel));
    found.extend(kernel.jit.map(jit));
    found.extend(kernel.lockdown.as_deref().map(lockdown));
    found.extend(memory(kernel, rights));
    found
}

fn release(kernel: &Kernel) -> Finding {
    const CHECK: Check = Check::Kernel;
    let (release, (major, minor)) = (&kernel.release, OLDEST_KERNEL);
    if is_older_than(release, OLDEST_KERNEL) {
        let found = format!("{release} is older than {major}.{minor}, the oldest that the filter was run on");
        return Finding::warning(CHECK, found).mend(format!("boot Linux {major}.{minor} or newer"));
    }
    Finding::ok(CHECK, release.clone())
}

/// Capabilities that the filter needs and this process lacks. Without `CAP_PERFMON` the verifier lets no program
/// compare and copy pointers, as the filter's does.
fn missing(rights: Rights) -> Vec<&'static str> {
    let is_admin = rights.has(Capability::SysAdmin);
    let needed = [
        ("CAP_BPF", is_admin || rights.has(Capability::Bpf)),
        ("CAP_NET_ADMIN", rights.has(Capability::NetAdmin)),
        ("CAP_PERFMON", is_admin || rights.has(Capability::Perfmon)),
    ];
    needed.into_iter().filter_map(|(name, has)| (!has).then_some(name)).collect()
}

fn capabilities(rights: Rights) -> Finding {
    const CHECK: Check = Check::Capabilities;
    let missing = missing(rights);
    if missing.is_empty() {
        return Finding::ok(CHECK, "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
    }
    let found = format!("this process lacks {}", missing.join(", "));
    let mend = "run it as root, or as the user of the agent with \
                `AmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_PERFMON` in its unit";
    Finding::problem(CHECK, found).mend(mend)
}

fn program(kernel: &Kernel, rights: Rights) -> Option<Finding> {
    const CHECK: Check = Check::Program;
    let may_load = missing(rights).is_empty();
    match &kernel.program {
        Trial::Taken => Some(Finding::ok(CHECK, "the kernel takes the filter's program")),
        // What follows from that is said already.
        Trial::NotAllowed | Trial::Refused(_) if !may_load => None,
        Trial::NotAllowed => {
            let found =
                "bpf(2) is not allowed, with all capabilities: a sandbox or a security module keeps it away";
            let mend = "allow it: `SystemCallFilter=bpf` of a unit, `--security-opt seccomp=unconfined` of a container";
            Some(Finding::problem(CHECK, found).mend(mend))
        }
        Trial::Refused(why) => {
            let (major, minor) = OLDEST_KERNEL;
            let found = format!("the kernel refuses the filter's program: {}", without_log(why));
            let mend =
                format!("boot Linux {major}.{minor} or newer, with CONFIG_BPF_SYSCALL and CONFIG_BPF_JIT");
            Some(Finding::problem(CHECK, found).mend(mend))
        }
    }
}

/// What the verifier wrote on its way fills a screen; `run` shows it.
fn without_log(why: &str) -> &str {
    why.split_once(" Verifier output:").map_or(why, |(why, _)| why)
}

fn types(kernel: &Kernel) -> Finding {
    const CHECK: Check = Check::Btf;
    if kernel.has_types {
        return Finding::ok(CHECK, "the kernel describes its types");
    }
    let found = "the kernel does not describe its types (BTF): the filter does without, and was never run so";
    Finding::warning(CHECK, found).mend("boot a kernel with CONFIG_DEBUG_INFO_BTF")
}

fn jit(enabled: u8) -> Finding {
    const CHECK: Check = Check::Jit;
    if enabled != 0 {
        return Finding::ok(CHECK, "programs are compiled");
    }
    Finding::warning(CHECK, "programs are interpreted, which is many times slower")
        .mend("sysctl -w net.core.bpf_jit_enable=1")
}

fn lockdown(mode: &str) -> Finding {
    const CHECK: Check = Check::Lockdown;
    match mode {
        "confidentiality" => Finding::ok(
            CHECK,
            "confidentiality, which keeps programs from the kernel's memory; the filter's reads none",
        ),
        mode => Finding::ok(CHECK, mode),
    }
}

fn memory(kernel: &Kernel, rights: Rights) -> Option<Finding> {
    const CHECK: Check = Check::Memlock;
    if !is_older_than(&kernel.release, COUNTS_BY_GROUP) {
        return None;
    }
    // The agent raises the limit, where it may.
    if kernel.has_memory || rights.has(Capability::SysResource) {
        return Some(Finding::ok(CHECK, "as much memory may be locked as tables need"));
    }
    let found = "this kernel counts tables as locked memory, which is limited";
    Some(Finding::problem(CHECK, found).mend("ulimit -l unlimited, or `LimitMEMLOCK=infinity` in the unit"))
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Level;
    use super::*;

    const ALL: Rights = Rights { effective: u64::MAX, user: 0 };
    const NONE: Rights = Rights { effective: 0, user: 1_000 };

    fn kernel() -> Kernel {
        Kernel {
            release: "6.18.44".into(),
            has_types: true,
            jit: Some(1),
            lockdown: Some("none".into()),
            has_memory: false,
            program: Trial::Taken,
        }
    }

    fn only(rights: &[Capability]) -> Rights {
        Rights { effective: rights.iter().map(|right| 1_u64 << *right as u32).sum(), user: 1_000 }
    }

    fn one(check: Check, kernel: &Kernel, rights: Rights) -> Option<Finding> {
        judge(kernel, rights).into_iter().find(|finding| finding.check == check)
    }

    #[test]
    fn a_kernel_that_takes_the_program_is_well() {
        let found = judge(&kernel(), ALL);
        assert!(found.iter().all(|finding| finding.level == Level::Ok), "{found:?}");
        assert_eq!(found[0].found, "6.18.44");
    }

    #[test]
    fn an_old_kernel_may_still_take_it() {
        let old = Kernel { release: "5.10.0-32-amd64".into(), ..kernel() };
        assert_eq!(one(Check::Kernel, &old, ALL).unwrap().level, Level::Warning);
        let refused = Kernel {
            program: Trial::Refused("invalid argument. Verifier output: 0: R1=ctx()".into()),
            ..old
        };
        let found = one(Check::Program, &refused, ALL).unwrap();
        assert!(found.level == Level::Problem && found.found.ends_with("invalid argument."));
    }

    #[test]
    fn a_right_that_is_missing_is_named_once() {
        let not_allowed = Kernel { program: Trial::NotAllowed, ..kernel() };
        let found = one(Check::Capabilities, &not_allowed, NONE).unwrap();
        assert!(
            found.level == Level::Problem && found.found.ends_with("CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON")
        );
        assert_eq!(one(Check::Program, &not_allowed, NONE), None);
        let found = one(Check::Capabilities, &kernel(), only(&[Capability::SysAdmin])).unwrap();
        assert!(found.found.ends_with("lacks CAP_NET_ADMIN"));
        let enough = one(
            Check::Capabilities,
            &kernel(),
            only(&[Capability::Bpf, Capability::NetAdmin, Capability::Perfmon]),
        )
        .unwrap();
        assert_eq!(enough.level, Level::Ok);
    }

    #[test]
    fn a_program_that_is_refused_for_want_of_a_right_is_not_blamed_on_the_kernel() {
        let refused = Kernel { program: Trial::Refused("permission denied".into()), ..kernel() };
        let rights = only(&[Capability::Bpf, Capability::NetAdmin]);
        assert!(one(Check::Capabilities, &refused, rights).unwrap().found.ends_with("lacks CAP_PERFMON"));
        assert_eq!(one(Check::Program, &refused, rights), None);
    }

    #[test]
    fn a_sandbox_is_told_from_missing_rights() {
        let found = one(Check::Program, &Kernel { program: Trial::NotAllowed, ..kernel() }, ALL).unwrap();
        assert!(found.level == Level::Problem && found.found.contains("sandbox"));
    }

    #[test]
    fn what_is_slow_or_was_never_tried_is_a_warning() {
        let slow = Kernel { jit: Some(0), has_types: false, ..kernel() };
        let mend = one(Check::Jit, &slow, ALL).unwrap().mend;
        assert_eq!(mend.as_deref(), Some("sysctl -w net.core.bpf_jit_enable=1"));
        assert_eq!(one(Check::Btf, &slow, ALL).unwrap().level, Level::Warning);
        assert_eq!(
            one(Check::Jit, &Kernel { jit: None, ..kernel() }, ALL),
            None,
            "not to be read in a namespace"
        );
    }

    #[test]
    fn lockdown_is_told() {
        let locked = Kernel { lockdown: Some("confidentiality".into()), ..kernel() };
        assert!(one(Check::Lockdown, &locked, ALL).unwrap().found.contains("reads none"));
    }

    #[test]
    fn locked_memory_counts_on_old_kernels_alone() {
        let old = Kernel { release: "5.10.0".into(), ..kernel() };
        assert_eq!(one(Check::Memlock, &kernel(), NONE), None);
        assert_eq!(one(Check::Memlock, &old, NONE).unwrap().level, Level::Problem);
        assert_eq!(one(Check::Memlock, &old, ALL).unwrap().level, Level::Ok);
        assert_eq!(one(Check::Memlock, &Kernel { has_memory: true, ..old }, NONE).unwrap().level, Level::Ok);
    }
}
