//! Settings that are understood and kept, and do nothing yet: nobody may rely on them unaware.

use crate::config::Config;
use crate::diagnostic::{Diagnostic, Place};

/// One warning for each kind of setting that has no effect.
pub(super) fn warnings(config: &Config) -> Vec<Diagnostic> {
    let events = &config.events;
    let has_sink = events.file.is_some() || events.eve.is_some() || events.syslog.is_some();
    let of_config = Place::file(&config.paths.config.display().to_string());
    let found = [(
        has_sink,
        &of_config,
        "events are not written to `[events]` sinks yet",
        "read them with `iomt-filter events --follow`",
    )];
    found
        .into_iter()
        .filter(|(applies, ..)| *applies)
        .map(|(_, place, message, help)| Diagnostic::warning(place, message).help(help))
        .collect()
}
