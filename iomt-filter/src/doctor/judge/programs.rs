//! XDP programs that are in the way: on the interface, or on one above it.

use super::super::facts::links::{Link, Mode, Program};
use super::super::facts::ports::{Port, Ports};
use super::super::finding::{Check, Finding};
use super::place::above;

const CHECK: Check = Check::Xdp;
/// What libxdp calls the program that calls others.
const DISPATCHER: &str = "xdp_dispatcher";
/// What the filter's own program is called.
const OURS: &str = iomt_filter_common::abi::PROGRAM;

/// Programs on an interface, and above it.
pub(super) fn judge(port: &Port, ports: &Ports) -> Vec<Finding> {
    let Some(link) = &port.link else { return Vec::new() };
    let mut found: Vec<_> = others(port, link).map(|program| other(link, program, ports)).collect();
    found.extend(port.stranger.map(|program| stranger(port, program, ports)));
    found.extend(odd_one(port, ports));
    if found.is_empty() && port.ours.is_none() {
        let in_the_way = above(link, ports).find_map(|above| Some((above, above.programs.first()?)));
        found.extend(in_the_way.map(|(above, program)| beyond(above, program, ports)));
    }
    if found.is_empty() {
        found.push(Finding::ok(
            CHECK,
            match port.ours {
                Some(id) => format!("runs this filter's program, {id}"),
                None => "runs no program yet".to_owned(),
            },
        ));
    }
    found.into_iter().map(|finding| finding.on(&port.name)).collect()
}

/// Programs on an interface that are not the filter's.
fn others<'p>(port: &Port, link: &'p Link) -> impl Iterator<Item = &'p Program> {
    let ours = port.ours.or(port.stranger);
    link.programs.iter().filter(move |program| ours != Some(program.id))
}

fn other(link: &Link, program: &Program, ports: &Ports) -> Finding {
    if !ports.knows_ours {
        let found =
            format!("runs {}, and whose it is cannot be told without the right to", shown(program, ports));
        return Finding::warning(CHECK, found).mend("run this as root");
    }
    let name = ports.names.get(&program.id).map(String::as_str);
    let found = match name {
        Some(OURS) => {
            format!("runs {}, which belongs to a filter with another `paths.pins`", shown(program, ports))
        }
        _ => format!("another XDP program runs on it: {}", shown(program, ports)),
    };
    let mend = match name {
        Some(OURS) => {
            "iomt-filter detach --pins DIR, with its pin folder, which `bpftool --bpffs link list` shows"
                .into()
        }
        Some(DISPATCHER) => format!("xdp-loader unload {} --all", link.name),
        _ => take_off(link, program),
    };
    Finding::problem(CHECK, found).mend(mend).refusing()
}

/// Whoever may use BPF can put another program into a link.
fn stranger(port: &Port, program: u32, ports: &Ports) -> Finding {
    let name = ports.names.get(&program).map(|name| format!(" `{name}`")).unwrap_or_default();
    let found = format!(
        "this filter's link runs program {program}{name}, which is not this filter's: what comes in here is not judged"
    );
    let mend = format!(
        "an agent that runs puts its own back within a second; find out who put it there, and start the agent, or \
         `iomt-filter detach --interface {}`",
        port.name
    );
    Finding::problem(CHECK, found).mend(mend)
}

/// An agent puts one and the same program on every interface.
fn odd_one(port: &Port, ports: &Ports) -> Option<Finding> {
    let ours = port.ours?;
    let other = ports.ports.iter().find(|other| other.ours.is_some_and(|other| other != ours))?;
    let found = format!(
        "this filter's link runs program {ours}, and that on `{}` program {}: one of them is not the agent's",
        other.name,
        other.ours.unwrap_or_default()
    );
    Some(Finding::warning(CHECK, found).mend("start the agent, which puts its own on both"))
}

/// The kernel puts no program on an interface below one that has one.
fn beyond(above: &Link, program: &Program, ports: &Ports) -> Finding {
    let found =
        format!("`{}` above it runs {}, and the kernel puts none below", above.name, shown(program, ports));
    Finding::problem(CHECK, found).mend(take_off(above, program)).refusing()
}

fn shown(program: &Program, ports: &Ports) -> String {
    let name = ports.names.get(&program.id).map(|name| format!(" `{name}`")).unwrap_or_default();
    format!("program {}{name} ({})", program.id, program.mode.name())
}

fn take_off(link: &Link, program: &Program) -> String {
    let mode = match program.mode {
        Mode::Native => "xdp",
        Mode::Generic => "xdpgeneric",
        Mode::Offloaded => "xdpoffload",
    };
    format!(
        "ip link set dev {} {mode} off; where a link holds it, `bpftool link list` names it and `bpftool link detach id \
         ID` takes it off",
        link.name
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Level;
    use super::*;

    fn link(index: u32, name: &str, programs: &[(u32, Mode)]) -> Link {
        let programs = programs.iter().map(|(id, mode)| Program { id: *id, mode: *mode }).collect();
        Link { index, name: name.into(), programs, ..Link::default() }
    }

    fn port(programs: &[(u32, Mode)], ours: Option<u32>) -> Port {
        Port { name: "eth1".into(), link: Some(link(2, "eth1", programs)), ours, ..Port::default() }
    }

    fn ports(names: &[(u32, &str)]) -> Ports {
        let names = names.iter().map(|(id, name)| (*id, (*name).to_owned())).collect();
        Ports { knows_ours: true, names, ..Ports::default() }
    }

    #[test]
    fn no_program_and_the_filters_own_are_well() {
        assert_eq!(judge(&port(&[], None), &ports(&[]))[0].found, "runs no program yet");
        let ours = judge(&port(&[(7, Mode::Native)], Some(7)), &ports(&[]));
        assert_eq!((ours.len(), ours[0].level), (1, Level::Ok));
        assert!(ours[0].found.contains("this filter's"));
    }

    #[test]
    fn anothers_is_named_and_refused() {
        let found = &judge(&port(&[(8, Mode::Generic)], None), &ports(&[(8, "xdp_pass")]))[0];
        assert!(found.refuses && found.found.contains("program 8 `xdp_pass` (generic)"), "{found}");
        assert!(found.mend.as_ref().unwrap().starts_with("ip link set dev eth1 xdpgeneric off;"));
        let dispatcher = &judge(&port(&[(8, Mode::Native)], None), &ports(&[(8, DISPATCHER)]))[0];
        assert_eq!(dispatcher.mend.as_deref(), Some("xdp-loader unload eth1 --all"));
        let second = &judge(&port(&[(8, Mode::Native)], None), &ports(&[(8, OURS)]))[0];
        assert!(second.refuses && second.found.contains("another `paths.pins`"));
    }

    #[test]
    fn one_on_the_card_beside_the_filters_own_is_seen() {
        let found = judge(&port(&[(7, Mode::Native), (9, Mode::Offloaded)], Some(7)), &ports(&[]));
        assert!(found.len() == 1 && found[0].found.contains("program 9 (offloaded)"), "{found:?}");
    }

    #[test]
    fn anothers_in_the_filters_own_link_is_a_problem_and_keeps_nobody_from_putting_it_out() {
        let mut taken = port(&[(8, Mode::Native)], None);
        taken.stranger = Some(8);
        let found = judge(&taken, &ports(&[(8, "xdp_pass")]));
        assert!(found.len() == 1 && found[0].level == Level::Problem && !found[0].refuses, "{found:?}");
        assert!(found[0].found.contains("program 8 `xdp_pass`, which is not this filter's"), "{found:?}");
    }

    #[test]
    fn two_programs_on_the_filters_links_are_one_too_many() {
        let one = port(&[(7, Mode::Native)], Some(7));
        let mut all = ports(&[]);
        let other = Port { name: "eth2".into(), ..port(&[(9, Mode::Native)], Some(9)) };
        all.ports = vec![one.clone(), other];
        let found = judge(&one, &all);
        assert!(found.len() == 1 && found[0].level == Level::Warning, "{found:?}");
        assert!(found[0].found.contains("that on `eth2` program 9"), "{found:?}");
        all.ports.truncate(1);
        assert_eq!(judge(&one, &all)[0].level, Level::Ok);
    }

    #[test]
    fn without_the_right_nobody_is_accused() {
        let unknown = Ports { knows_ours: false, ..ports(&[]) };
        let found = &judge(&port(&[(8, Mode::Native)], None), &unknown)[0];
        assert!(found.level == Level::Warning && !found.refuses, "{found}");
    }

    #[test]
    fn a_program_on_what_is_above_keeps_ours_out() {
        let mut above = link(3, "br0", &[(8, Mode::Generic)]);
        above.kind = Some("bridge".into());
        let mut port = port(&[], None);
        port.link.as_mut().unwrap().master = Some(3);
        let ports = Ports { links: vec![port.link.clone().unwrap(), above], ..ports(&[]) };
        let found = &judge(&port, &ports)[0];
        assert!(found.refuses && found.found.starts_with("`br0` above it runs program 8"), "{found}");
        port.ours = Some(7);
        assert_eq!(judge(&port, &ports)[0].level, Level::Ok, "it is on already");
    }
}
