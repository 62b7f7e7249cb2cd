//! What was counted: frames, and what became of the records of them.

use super::family::{Family, counter};

pub(super) static FAMILIES: [Family; 4] = [
    counter(
        "frames",
        &["verdict", "reason"],
        "Frames that were judged, since the tables were made",
        |shown, to| {
            for (verdict, reasons) in &shown.status.frames {
                for (reason, frames) in reasons {
                    to.put(&[verdict, reason], *frames);
                }
            }
        },
    ),
    counter(
        "device_frames",
        &["device", "profile", "outcome"],
        "Frames of a device that were `allowed`, `dropped` (or reset), or would have been dropped in `enforce`; `device` is empty for frames of none, and `profile` for a device that has left the inventory",
        |shown, to| {
            for device in &shown.devices {
                let (name, profile) = (text(device.name.as_ref()), text(device.profile.as_ref()));
                to.put(&[name, profile, "allowed"], device.allowed);
                to.put(&[name, profile, "dropped"], device.dropped);
                to.put(&[name, profile, "would-drop"], device.would_dropped);
            }
        },
    ),
    counter(
        "device_reason_frames",
        &["device", "profile", "verdict", "reason"],
        "The same by verdict and reason, where there were any",
        |shown, to| {
            for device in &shown.devices {
                let (name, profile) = (text(device.name.as_ref()), text(device.profile.as_ref()));
                for (verdict, reasons) in &device.reasons {
                    for (reason, frames) in reasons {
                        to.put(&[name, profile, verdict, reason], *frames);
                    }
                }
            }
        },
    ),
    counter(
        "events",
        &["verdict", "fate"],
        "What became of the records of frames that did not pass as they were: `emitted`, `suppressed` by the rate limit, or `lost`, because the buffer was full; the three together are those frames",
        |shown, to| {
            for (verdict, fates) in &shown.status.events {
                to.put(&[verdict, "emitted"], fates.emitted);
                to.put(&[verdict, "suppressed"], fates.suppressed);
                to.put(&[verdict, "lost"], fates.lost);
            }
        },
    ),
];

fn text(name: Option<&String>) -> &str {
    name.map_or("", String::as_str)
}
