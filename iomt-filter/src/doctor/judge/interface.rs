//! An interface by itself: whether it is there, and how a program would run on it.

use super::super::facts::features::Feature;
use super::super::facts::links::{Link, Mode};
use super::super::facts::ports::{Port, Ports};
use super::super::finding::{Check, Finding};
use super::driver::{self, Reset};
use crate::config::AttachMode;

/// The largest packet in a page of 4 KiB, behind room for what programs put in front and the kernel behind, with
/// its Ethernet header (`XDP_PACKET_HEADROOM`, `struct skb_shared_info`).
const MTU_OF_A_PAGE: u32 = 4_096 - 256 - 320 - 14;
/// What every driver takes that runs programs at all.
const MTU_OF_ETHERNET: u32 = 1_500;

/// Everything about one interface that does not go by others.
pub(super) fn judge(port: &Port, ports: &Ports) -> Vec<Finding> {
    let Some(link) = &port.link else { return vec![missing(port, ports)] };
    let mut found = vec![standing(port, link), native(port, link, ports), mtu(port, link, ports)];
    found.extend(merging(port, link, ports));
    found.extend(reset(port, link, ports));
    found.into_iter().map(|finding| finding.on(&port.name)).collect()
}

fn missing(port: &Port, ports: &Ports) -> Finding {
    let mend = format!("`ip link` lists those there are; mend `[interfaces]` in `{}`", ports.config);
    Finding::problem(Check::Interface, "is not on this host").mend(mend).on(&port.name).refusing()
}

fn standing(port: &Port, link: &Link) -> Finding {
    let driver = port.driver.as_deref().or(link.kind.as_deref()).unwrap_or("unknown");
    if !link.is_up {
        return Finding::warning(Check::Interface, format!("is down (driver {driver})"))
            .mend(format!("ip link set dev {} up", port.name));
    }
    if !link.has_carrier {
        let found =
            format!("is up and has no carrier (driver {driver}): nothing is at the other end of the cable");
        return Finding::warning(Check::Interface, found).mend(format!("ethtool {}", port.name));
    }
    Finding::ok(Check::Interface, format!("is up and has a carrier (driver {driver})"))
}

/// Whether the kernel has a program of the filter on it, in a mode.
fn running(port: &Port, link: &Link) -> Option<Mode> {
    let ours = port.ours?;
    link.programs.iter().find(|program| program.id == ours).map(|program| program.mode)
}

fn native(port: &Port, link: &Link, ports: &Ports) -> Finding {
    const CHECK: Check = Check::Native;
    let name = &port.name;
    match (running(port, link), ports.wanted) {
        (Some(Mode::Generic), AttachMode::Native) => {
            let found = "is judged by this filter in the network stack, and `mode = \"native\"`";
            let mend = format!("iomt-filter detach --interface {name}, then start the agent again");
            return Finding::warning(CHECK, found).mend(mend);
        }
        (Some(mode), _) => return Finding::ok(CHECK, format!("is judged by this filter, {}", mode.name())),
        (None, AttachMode::Generic) => {
            return Finding::ok(CHECK, "is to run programs in the network stack: `mode = \"generic\"`");
        }
        (None, _) => {}
    }
    let driver = port.driver.as_deref().or(link.kind.as_deref()).unwrap_or("this interface");
    if driver == "vif" {
        // Its `xennet_xdp_set` answers with success where it has put no program on.
        let found =
            "Xen's network driver takes a program and runs none where the other end has no room for it";
        return Finding::problem(CHECK, found).mend(set_mode("generic", ports)).refusing();
    }
    let can = port.abilities.map(|abilities| abilities.native);
    match (can, driver::known(driver), ports.wanted) {
        (Some(true), ..) => Finding::ok(CHECK, format!("`{driver}` runs programs natively")),
        (Some(false), _, AttachMode::Native) => {
            let found = format!("`{driver}` runs no programs natively, and `mode = \"native\"`");
            Finding::problem(CHECK, found).mend(set_mode("auto", ports)).refusing()
        }
        (Some(false), ..) => {
            let found = format!(
                "`{driver}` runs no programs natively: this one will run in the network stack, which is slower"
            );
            Finding::warning(CHECK, found).mend(set_mode("generic", ports))
        }
        (None, Some((_, source)), _) => {
            Finding::ok(CHECK, format!("`{driver}` is known to run programs natively ({source})"))
        }
        (None, None, AttachMode::Native) => {
            let found =
                format!("whether `{driver}` runs programs natively is unknown, and `mode = \"native\"`");
            Finding::warning(CHECK, found).mend(set_mode("auto", ports))
        }
        (None, None, _) => {
            let found = format!("whether `{driver}` runs programs natively is unknown; they run in any case");
            Finding::ok(CHECK, found)
        }
    }
}

fn set_mode(mode: &str, ports: &Ports) -> String {
    format!("set `mode = \"{mode}\"` in `[interfaces]` of `{}`", ports.config)
}

fn mtu(port: &Port, link: &Link, ports: &Ports) -> Finding {
    const CHECK: Check = Check::Mtu;
    let mtu = link.mtu;
    let is_generic =
        ports.wanted == AttachMode::Generic || port.abilities.is_some_and(|abilities| !abilities.native);
    // A tap shows frames that do not fit by way of the network stack (`tun_get_user`).
    let is_any_size = is_generic || port.driver.as_deref() == Some("tun");
    let in_several = port.abilities.map(|abilities| abilities.several_buffers);
    if running(port, link).is_some() || is_any_size || mtu <= MTU_OF_ETHERNET {
        return Finding::ok(CHECK, format!("{mtu}"));
    }
    let mend = format!("ip link set dev {} mtu {MTU_OF_ETHERNET}", port.name);
    match (in_several, ports.wanted) {
        (Some(true), _) => Finding::ok(CHECK, format!("{mtu}, which the driver takes in several buffers")),
        (Some(false), AttachMode::Native) if mtu > MTU_OF_A_PAGE => {
            let found = format!(
                "{mtu} does not fit one buffer ({MTU_OF_A_PAGE}), the driver shows programs no frame in several, and \
                 `mode = \"native\"`"
            );
            Finding::problem(CHECK, found).mend(mend).refusing()
        }
        (Some(false), _) if mtu > MTU_OF_A_PAGE => {
            let found = format!(
                "{mtu} does not fit one buffer ({MTU_OF_A_PAGE}), and the driver shows programs no frame in several: \
                 this one will run in the network stack, which is slower"
            );
            Finding::warning(CHECK, found).mend(mend)
        }
        (Some(false) | None, _) => {
            let found = format!(
                "{mtu} is more than every driver runs programs with natively; whether this one does shows when it \
                 is attached"
            );
            Finding::warning(CHECK, found).mend(mend)
        }
    }
}

/// What the card puts together before a program sees it.
fn merging(port: &Port, link: &Link, ports: &Ports) -> Vec<Finding> {
    let Some(features) = port.features else {
        let found = "whether the card merges frames is unknown: this kernel does not say what it does";
        return vec![Finding::warning(Check::Lro, found).mend(format!("ethtool -k {}", port.name))];
    };
    let mut found = vec![merge(Check::Lro, "lro", "LRO", features.lro, port, link, ports)];
    if features.gro.is_on {
        found.push(merge(Check::GroHw, "rx-gro-hw", "hardware GRO", features.gro, port, link, ports));
    }
    found
}

fn merge(
    check: Check,
    switch: &str,
    shown: &str,
    feature: Feature,
    port: &Port,
    link: &Link,
    ports: &Ports,
) -> Finding {
    let stays_generic = ports.wanted == AttachMode::Generic;
    // `virtnet_xdp_set` of `drivers/net/virtio_net.c`.
    let is_in_the_way = !feature.is_changeable && port.driver.as_deref() == Some("virtio_net");
    if !feature.is_on {
        return Finding::ok(check, format!("{shown} is off"));
    }
    if stays_generic {
        return Finding::ok(
            check,
            format!("{shown} is on; the kernel turns it off for a program in the network stack"),
        );
    }
    let finding = if running(port, link).is_some() {
        let found = format!("{shown} is on: frames are judged after the card has put them together");
        Finding::warning(check, found)
    } else if ports.wanted == AttachMode::Native && (check == Check::Lro || is_in_the_way) {
        let found = format!("{shown} is on: the driver refuses programs beside it, and `mode = \"native\"`");
        Finding::problem(check, found).refusing()
    } else if is_in_the_way {
        let found = format!(
            "{shown} is on and cannot be turned off: the driver refuses programs beside it, and this one will run in \
             the network stack, which is slower"
        );
        Finding::warning(check, found)
    } else {
        let found = format!(
            "{shown} is on: a driver turns it off for a program, or refuses the program, which then runs in the \
             network stack, or shows it frames that the card has put together"
        );
        Finding::warning(check, found)
    };
    match (feature.is_changeable, ports.wanted) {
        (true, _) => finding.mend(format!("ethtool -K {} {switch} off", port.name)),
        (false, AttachMode::Native) => finding.mend(set_mode("generic", ports)),
        (false, _) => finding,
    }
}

/// What putting a program on it does to traffic.
fn reset(port: &Port, link: &Link, ports: &Ports) -> Option<Finding> {
    const CHECK: Check = Check::LinkReset;
    let cannot = port.abilities.is_some_and(|abilities| !abilities.native);
    if port.ours.is_some() || ports.wanted == AttachMode::Generic || cannot {
        return None;
    }
    let driver = port.driver.as_deref().or(link.kind.as_deref()).unwrap_or("this interface");
    let mend =
        "start the agent for the first time when nobody needs the devices; later starts change nothing here";
    let Some((reset, source)) = driver::known(driver) else {
        let found = format!("whether attaching takes the link of `{driver}` down for a moment is unknown");
        return Some(Finding::warning(CHECK, found).mend(mend));
    };
    Some(match reset {
        Reset::None => {
            Finding::ok(CHECK, format!("attaching is known to leave the link of `{driver}` up ({source})"))
        }
        Reset::Queues => {
            let found = format!(
                "`{driver}` is known to make its queues anew when a program is attached: nothing comes through for a \
                 moment ({source})"
            );
            Finding::warning(CHECK, found).mend(mend)
        }
        Reset::Interface => {
            let found = format!(
                "`{driver}` is known to stop and start the interface when a program is attached: its link may be down \
                 for seconds ({source})"
            );
            Finding::warning(CHECK, found).mend(mend)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::facts::abilities::Abilities;
    use super::super::super::facts::features::Features;
    use super::super::super::facts::links::Program;
    use super::super::super::finding::Level;
    use super::*;

    fn port() -> Port {
        let link = Link {
            index: 2,
            name: "eth1".into(),
            mtu: 1_500,
            is_up: true,
            has_carrier: true,
            ..Link::default()
        };
        Port {
            name: "eth1".into(),
            link: Some(link),
            driver: Some("virtio_net".into()),
            features: Some(Features::default()),
            abilities: Some(Abilities { native: true, several_buffers: true }),
            ..Port::default()
        }
    }

    fn ports(wanted: AttachMode) -> Ports {
        Ports { wanted, config: "config.toml".into(), knows_ours: true, ..Ports::default() }
    }

    /// What one check makes of a port.
    fn one(check: Check, port: &Port, wanted: AttachMode) -> Finding {
        let found = judge(port, &ports(wanted)).into_iter().find(|finding| finding.check == check);
        found.unwrap_or_else(|| panic!("no `{}`", check.name()))
    }

    fn with(port: &Port, change: impl Fn(&mut Link)) -> Port {
        let mut port = port.clone();
        change(port.link.as_mut().unwrap());
        port
    }

    #[test]
    fn a_usual_interface_has_nothing_to_mend() {
        for wanted in [AttachMode::Auto, AttachMode::Native, AttachMode::Generic] {
            let found = judge(&port(), &ports(wanted));
            assert!(found.iter().all(|finding| finding.level == Level::Ok), "{found:?}");
            assert!(found.iter().all(|finding| finding.interface.as_deref() == Some("eth1")));
        }
    }

    #[test]
    fn one_that_is_missing_down_or_without_a_cable_is_said() {
        let missing = one(Check::Interface, &Port { link: None, ..port() }, AttachMode::Auto);
        assert!(
            missing.level == Level::Problem && missing.refuses && missing.found.contains("not on this host")
        );
        let down = one(Check::Interface, &with(&port(), |link| link.is_up = false), AttachMode::Auto);
        assert_eq!((down.level, down.mend.as_deref()), (Level::Warning, Some("ip link set dev eth1 up")));
        let loose = one(Check::Interface, &with(&port(), |link| link.has_carrier = false), AttachMode::Auto);
        assert!(loose.level == Level::Warning && loose.found.contains("no carrier"));
    }

    #[test]
    fn native_where_only_generic_is_possible_is_refused_and_auto_is_slow() {
        let cannot = Port { abilities: Some(Abilities::default()), ..port() };
        let native = one(Check::Native, &cannot, AttachMode::Native);
        assert!(native.refuses && native.mend.unwrap().contains("mode = \"auto\""));
        let auto = one(Check::Native, &cannot, AttachMode::Auto);
        assert!(auto.level == Level::Warning && auto.found.contains("slower") && !auto.refuses);
        assert_eq!(one(Check::Native, &cannot, AttachMode::Generic).level, Level::Ok);
    }

    #[test]
    fn kernels_that_do_not_say_leave_it_to_what_is_known() {
        let silent = Port { abilities: None, ..port() };
        let known = one(Check::Native, &silent, AttachMode::Native);
        assert!(known.level == Level::Ok && known.found.contains("drivers/net/virtio_net.c"), "{known}");
        let strange = Port { driver: Some("foo".into()), ..silent };
        let unknown = one(Check::Native, &strange, AttachMode::Native);
        assert!(unknown.level == Level::Warning && unknown.found.contains("unknown"));
        assert!(one(Check::Native, &strange, AttachMode::Auto).found.contains("unknown"));
    }

    #[test]
    fn the_mode_of_the_filters_own_program_is_told() {
        let run = |mode| with(&port(), |link| link.programs = vec![Program { id: 5, mode }]);
        let ours = |mode| Port { ours: Some(5), ..run(mode) };
        assert_eq!(
            one(Check::Native, &ours(Mode::Native), AttachMode::Auto).found,
            "is judged by this filter, native"
        );
        assert!(one(Check::Native, &ours(Mode::Generic), AttachMode::Auto).found.ends_with("generic"));
        let slow = one(Check::Native, &ours(Mode::Generic), AttachMode::Native);
        assert!(
            slow.level == Level::Warning
                && !slow.refuses
                && slow.mend.unwrap().contains("detach --interface eth1")
        );
    }

    #[test]
    fn xen_takes_a_program_that_it_may_not_run() {
        let xen = Port { driver: Some("vif".into()), ..port() };
        assert!(one(Check::Native, &xen, AttachMode::Auto).refuses);
        assert_eq!(one(Check::Native, &xen, AttachMode::Generic).level, Level::Ok);
    }

    #[test]
    fn jumbo_frames_need_a_driver_that_shows_them_in_several_buffers() {
        let jumbo = with(&port(), |link| link.mtu = 9_000);
        assert_eq!(one(Check::Mtu, &jumbo, AttachMode::Native).level, Level::Ok);
        let single = Port { abilities: Some(Abilities { native: true, several_buffers: false }), ..jumbo };
        assert!(one(Check::Mtu, &single, AttachMode::Native).refuses);
        let auto = one(Check::Mtu, &single, AttachMode::Auto);
        assert_eq!(
            (auto.level, auto.mend.as_deref()),
            (Level::Warning, Some("ip link set dev eth1 mtu 1500"))
        );
        assert_eq!(one(Check::Mtu, &single, AttachMode::Generic).level, Level::Ok);
        let cannot = Port { abilities: Some(Abilities::default()), ..single.clone() };
        assert_eq!(
            one(Check::Mtu, &cannot, AttachMode::Auto).level,
            Level::Ok,
            "it runs in the network stack"
        );
        let tap = Port { driver: Some("tun".into()), ..single.clone() };
        assert_eq!(one(Check::Mtu, &tap, AttachMode::Native).level, Level::Ok);
        let between = with(&single, |link| link.mtu = 2_000);
        let unsure = one(Check::Mtu, &between, AttachMode::Native);
        assert!(unsure.level == Level::Warning && !unsure.refuses && unsure.found.contains("shows when"));
    }

    #[test]
    fn lro_is_refused_where_the_driver_would_refuse() {
        let on =
            |is_changeable| Features { lro: Feature { is_on: true, is_changeable }, ..Features::default() };
        let merging = Port { features: Some(on(true)), ..port() };
        let native = one(Check::Lro, &merging, AttachMode::Native);
        assert!(native.refuses);
        assert_eq!(native.mend.as_deref(), Some("ethtool -K eth1 lro off"));
        assert_eq!(one(Check::Lro, &merging, AttachMode::Auto).level, Level::Warning);
        assert_eq!(one(Check::Lro, &merging, AttachMode::Generic).level, Level::Ok);
        let fixed = Port { features: Some(on(false)), ..port() };
        assert!(one(Check::Lro, &fixed, AttachMode::Native).mend.unwrap().contains("generic"));
        let unknown = one(Check::Lro, &Port { features: None, ..port() }, AttachMode::Auto);
        assert!(unknown.level == Level::Warning && unknown.found.contains("unknown"));
    }

    #[test]
    fn hardware_gro_is_slow_where_it_can_be_turned_off() {
        let gro = Feature { is_on: true, is_changeable: true };
        let merging = Port { features: Some(Features { gro, ..Features::default() }), ..port() };
        let native = one(Check::GroHw, &merging, AttachMode::Native);
        assert!(native.level == Level::Warning && !native.refuses);
        assert_eq!(native.mend.as_deref(), Some("ethtool -K eth1 rx-gro-hw off"));
        assert_eq!(one(Check::GroHw, &merging, AttachMode::Generic).level, Level::Ok);
        let fixed = Features { gro: Feature { is_changeable: false, ..gro }, ..Features::default() };
        let virtual_machine = Port { features: Some(fixed), ..port() };
        assert!(one(Check::GroHw, &virtual_machine, AttachMode::Native).refuses, "there is no way round it");
        let slow = one(Check::GroHw, &virtual_machine, AttachMode::Auto);
        assert!(slow.level == Level::Warning && slow.found.contains("slower"));
        let other = Port { driver: Some("foo".into()), ..virtual_machine };
        assert!(!one(Check::GroHw, &other, AttachMode::Native).refuses);
    }

    #[test]
    fn what_attaching_does_to_the_link_is_known_or_said_to_be_unknown() {
        let of = |driver: &str| {
            one(Check::LinkReset, &Port { driver: Some(driver.into()), ..port() }, AttachMode::Auto)
        };
        assert_eq!(of("virtio_net").level, Level::Ok);
        assert!(of("ixgbe").found.contains("known to stop and start") && of("ixgbe").level == Level::Warning);
        assert!(of("mlx5_core").found.contains("known to make its queues anew"));
        assert!(of("foo").found.contains("unknown"));
        let attached = Port { ours: Some(5), driver: Some("ixgbe".into()), ..port() };
        let found = judge(&attached, &ports(AttachMode::Auto));
        assert!(found.iter().all(|finding| finding.check != Check::LinkReset), "it is behind us");
    }
}
