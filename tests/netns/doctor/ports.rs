//! Interfaces: those that are missing, or stand among others; and that `run` refuses what `doctor` says of them.

use std::fs;

use iomt_filter_tests::hospital::filter::{Filter, pins};
use iomt_filter_tests::ward::DEVICES;

use super::{Site, assert_refused, doctor, doctor_with};
use crate::can_run;

#[test]
fn an_interface_that_is_missing_down_or_loose_is_said() {
    if !can_run() {
        return;
    }
    let site = Site::build();
    let filter = site.filter(&["port-ct", "port-pump"], "uplink");
    assert_refused(&site, &filter, "interface", "port-pump");
    let said = doctor(&filter);
    assert!(said.assert("interface", Some("port-pump"), "problem", "not on this host").contains("`ip link`"));

    site.ip("link set port-ct down");
    site.far.ip(&["link", "set", "uplink", "down"]).unwrap();
    let said = doctor(&site.usual());
    said.assert_fit();
    let mend = said.assert("interface", Some("port-ct"), "warning", "is down");
    assert_eq!(mend, "ip link set dev port-ct up");
    said.assert("interface", Some("uplink"), "warning", "no carrier");
}

#[test]
fn a_bridge_stands_for_none_of_its_ports() {
    if !can_run() {
        return;
    }
    let site = Site::build();
    site.ip("link add br0 type bridge");
    site.ip("link set port-ct master br0");
    site.ip("link set br0 up");
    let bridge = site.filter(&["br0"], "uplink");
    assert_refused(&site, &bridge, "bridge", "br0");
    assert!(
        doctor(&bridge).assert("bridge", Some("br0"), "problem", "never comes by").contains("name `port-ct`")
    );
    let both = site.filter(&["br0", "port-ct"], "uplink");
    assert_refused(&site, &both, "bridge", "port-ct");

    // A port beside that nobody names is no reason not to judge the others.
    site.ip("link set uplink master br0");
    let mut alone = site.filter(&["port-ct"], "port-ct:10");
    let mend =
        doctor(&alone).assert("bridge", Some("port-ct"), "warning", "`uplink` beside it is not judged");
    assert!(mend.contains("ip link set dev uplink nomaster"), "{mend}");
    alone.start().unwrap();
    assert!(alone.log().contains("`uplink` beside it is not judged"), "{}", alone.log());
    alone.remove().unwrap();
    let whole = doctor(&site.usual());
    whole.assert_fit();
    whole.assert("bridge", Some("uplink"), "ok", "all of its ports are judged");
}

#[test]
fn members_of_a_bond_are_judged_together_or_not_at_all() {
    if !can_run() {
        return;
    }
    let site = Site::build();
    let made = site.host.output(&["ip", "link", "add", "bond0", "type", "bond"]).unwrap();
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(said.contains("Unknown device type"), "{said}");
        eprintln!("skipped: this kernel has no bonds: {}", said.trim());
        return;
    }
    for port in ["port-ct", "uplink"] {
        site.ip(&format!("link set {port} down"));
        site.ip(&format!("link set {port} master bond0"));
    }
    assert_refused(&site, &site.filter(&["port-ct"], "port-ct:10"), "bond", "port-ct");
    assert_refused(&site, &site.usual(), "bond", "uplink");
    assert_refused(&site, &site.filter(&["bond0"], "bond0:10"), "bond", "bond0");
}

#[test]
fn native_is_refused_where_there_is_only_generic() {
    if !can_run() {
        return;
    }
    let site = Site::build();
    site.ip("link add link port-ct name mac0 type macvlan");
    site.ip("link set mac0 up");
    let mut filter = site.filter(&["mac0"], "uplink");
    let usual = fs::read_to_string(filter.config()).unwrap();
    let with_mode = |mode: &str| usual.replace("[paths]", &format!("mode = \"{mode}\"\n\n[paths]"));

    filter.write("config.toml", with_mode("native")).unwrap();
    if doctor(&filter).one("native", Some("mac0"))["found"].as_str().unwrap().contains("unknown") {
        eprintln!("skipped: this kernel does not say which drivers run programs (it does since 6.3)");
        return;
    }
    assert_refused(&site, &filter, "native", "mac0");
    filter.write("config.toml", &usual).unwrap();
    let said = doctor(&filter);
    said.assert_fit();
    said.assert("native", Some("mac0"), "warning", "slower");
    assert!(
        said.assert("macvlan", Some("mac0"), "warning", "a macvlan on `port-ct`").contains("name `port-ct`")
    );
    filter.start().unwrap();
    let status = filter.json(&["status"]).unwrap();
    let mode = |name: &str| {
        let all = status["interfaces"].as_array().unwrap();
        all.iter().find(|interface| interface["name"] == name).unwrap()["mode"].clone()
    };
    assert_eq!((mode("mac0"), mode("uplink")), ("generic".into(), "native".into()), "as it was foretold");
    said_generic(&filter);
    filter.remove().unwrap();
}

fn said_generic(filter: &Filter<'_>) {
    doctor(filter).assert("native", Some("mac0"), "ok", "is judged by this filter, generic");
}

#[test]
fn jumbo_frames_are_judged_natively_where_it_says_so() {
    if !can_run() {
        return;
    }
    let site = Site::build();
    for host in [&site.host, &site.far] {
        host.ip(&["link", "set", "port-ct", "mtu", "9000"]).unwrap();
    }
    let mut filter = site.usual();
    let text = fs::read_to_string(filter.config()).unwrap();
    filter.write("config.toml", text.replace("[paths]", "mode = \"native\"\n\n[paths]")).unwrap();
    let said = doctor(&filter);
    said.assert_fit();
    if said.one("mtu", Some("port-ct"))["level"] == "warning" {
        eprintln!("skipped: this kernel does not say which drivers run programs (it does since 6.3)");
        return;
    }
    said.assert("mtu", Some("port-ct"), "ok", "9000, which the driver takes in several buffers");
    filter.start().unwrap();
    doctor(&filter).assert("native", Some("port-ct"), "ok", "is judged by this filter, native");
    filter.remove().unwrap();
}

#[test]
fn another_program_is_named_with_what_takes_it_off() {
    if !can_run() {
        return;
    }
    let site = Site::build();
    let mut first = site.usual();
    first.start().unwrap();
    first.kill().unwrap();
    let text = fs::read_to_string(first.config()).unwrap();
    let other = format!("{}-other", site.name());
    let second = text.replace(&format!("/{}\"", site.name()), &format!("/{other}\""));
    first.write("config.toml", &second).unwrap();
    let said = doctor(&first);
    let mend =
        said.assert("xdp", Some("port-ct"), "problem", "belongs to a filter with another `paths.pins`");
    assert!(said.code == 1 && mend.contains("bpftool"), "{mend}");
    let refused = first.ask(&["run"]).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.errors.contains(&mend) && !pins(&other).join("links").exists(), "{}", refused.errors);
    // The lock is the folder itself.
    let _ = fs::remove_dir_all(pins(&other));
    first.write("config.toml", text).unwrap();
    first.remove().unwrap();
}

#[test]
fn a_program_of_libxdp_is_named() {
    if !can_run() {
        return;
    }
    let site = Site::build();
    let load = "mount -t bpf bpf /sys/fs/bpf\nxdp-filter load --mode skb port-ct >&2";
    let said = doctor_with(&site.usual(), load);
    let mend = said.assert("xdp", Some("port-ct"), "problem", "(generic)");
    let found = said.one("xdp", Some("port-ct"))["found"].as_str().unwrap();
    // Where programs cannot be exchanged within others, libxdp puts them on by themselves.
    let expected = match found.contains("`xdp_dispatcher`") {
        true => "xdp-loader unload port-ct --all",
        false => "ip link set dev port-ct xdpgeneric off;",
    };
    assert!(said.code == 1 && mend.starts_with(expected), "{found} {mend}");
    assert!(found.contains("`xdp"), "it has a name: {found}");
}

#[test]
fn tags_beside_the_frames_of_a_veth_pair_are_warned_of_where_vlans_count() {
    if !can_run() {
        return;
    }
    let site = Site::build();
    let filter = site.usual();
    doctor(&filter).assert("rxvlan", Some("port-ct"), "ok", "");
    let tagged = DEVICES.replacen("profile = \"ct-scanner\"", "profile = \"ct-scanner\"\nvlan    = 110", 1);
    assert_ne!(tagged, DEVICES);
    filter.write("devices.toml", tagged).unwrap();
    let said = doctor(&filter);
    said.assert_fit();
    assert!(said.assert("rxvlan", Some("port-ct"), "warning", "veth").contains("txvlan off"));
}
