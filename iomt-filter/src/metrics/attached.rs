//! What is judged, by what: interfaces, profiles and their devices.

use std::collections::BTreeMap;

use super::family::{Family, gauge};

/// How an interface may be judged, as `status` says it.
pub(super) const MODES: [&str; 6] = ["native", "generic", "kept", "left over", "missing", "not attached"];

pub(super) static FAMILIES: [Family; 8] = [
    gauge(
        "interface_mode",
        &["interface", "port", "mode"],
        "How an interface is judged: 1 for the mode that it is in, 0 for the others; `kept` is as an earlier agent attached it, `missing` and `not attached` are not judged",
        |shown, to| {
            for interface in &shown.status.interfaces {
                to.put_state(&[&interface.name, &interface.port], &MODES, &interface.mode);
            }
        },
    ),
    gauge("segments", &[], "Networks that count as behind the device ports", |shown, to| {
        to.put(&[], shown.status.segments.len());
    }),
    gauge(
        "defaults_info",
        &["unknown_device", "unparsed", "midstream"],
        "What holds where policy leaves a choice; always 1",
        |shown, to| {
            let defaults = &shown.status.defaults;
            to.put(&[&defaults.unknown_device, &defaults.unparsed, &defaults.midstream], true);
        },
    ),
    gauge(
        "devices",
        &["profile", "mode"],
        "Devices of the inventory, by profile and the mode that they are in",
        |shown, to| {
            let mut devices: BTreeMap<(&str, &str), usize> = BTreeMap::new();
            for device in &shown.devices {
                if let (Some(profile), Some(mode)) = (&device.profile, &device.mode) {
                    *devices.entry((profile, mode)).or_default() += 1;
                }
            }
            devices.into_iter().for_each(|((profile, mode), count)| to.put(&[profile, mode], count));
        },
    ),
    gauge(
        "profile_fail_open",
        &["profile"],
        "1 where `fail` of the profile is `open`: its devices may do everything while policy cannot be evaluated",
        |shown, to| {
            for profile in &shown.status.profiles {
                to.put(&[&profile.name], profile.fail == "open");
            }
        },
    ),
    gauge(
        "profile_agent_loss_open",
        &["profile"],
        "1 where `on_agent_loss` of the profile is `open`: its devices may do everything while the agent is lost",
        |shown, to| {
            for profile in &shown.status.profiles {
                to.put(&[&profile.name], profile.on_agent_loss == "open");
            }
        },
    ),
    gauge(
        "profile_reset",
        &["profile"],
        "1 where `on_block` of the profile is `reset`, and TCP is answered",
        |shown, to| {
            for profile in &shown.status.profiles {
                to.put(&[&profile.name], profile.on_block == "reset");
            }
        },
    ),
    gauge(
        "profile_limit",
        &["profile", "limit"],
        "A limit of the profile, as `limits` of the policy has it; none where it is not set",
        |shown, to| {
            for profile in &shown.status.profiles {
                for (name, limit) in &profile.limits {
                    to.put(&[&profile.name, name], *limit);
                }
            }
        },
    ),
];
