//! Settings that are understood and kept, and do nothing yet: nobody may rely on them unaware.

use crate::config::Config;
use crate::diagnostic::{Diagnostic, Place};
use crate::policy::Policy;
use crate::rows::Rows;

/// One warning for each kind of setting that has no effect.
pub(super) fn warnings(config: &Config, policy: &Policy, rows: &Rows) -> Vec<Diagnostic> {
    let events = &config.events;
    let has_sink = events.file.is_some() || events.eve.is_some() || events.syslog.is_some();
    let profile = |is: fn(&iomt_filter_common::policy::Profile) -> bool| rows.profiles.values().any(is);
    let of_config = Place::file(&config.paths.config.display().to_string());
    let found = [
        (
            has_sink,
            &of_config,
            "events are not written to `[events]` sinks yet",
            "read them with `iomt-filter events --follow`",
        ),
        (
            config.metrics.listen.is_some(),
            &of_config,
            "metrics are not served yet",
            "read `iomt-filter status --output json`",
        ),
        (
            profile(|row| row.reset != 0),
            &policy.place,
            "`on_block = \"reset\"` drops without a reset yet",
            "nothing has to be done: what is blocked is blocked",
        ),
        (
            profile(|row| row.fail_open != 0),
            &policy.place,
            "`fail = \"open\"` has no effect yet",
            "treat these devices as `closed`",
        ),
        (
            profile(|row| row.open_on_agent_loss != 0),
            &policy.place,
            "`on_agent_loss = \"open\"` has no effect yet",
            "treat these devices as `static`: the last policy holds",
        ),
    ];
    found
        .into_iter()
        .filter(|(applies, ..)| *applies)
        .map(|(_, place, message, help)| Diagnostic::warning(place, message).help(help))
        .collect()
}
