//! What this process writes to its log, down to the last detail, kept for tests to search.

use std::sync::{Mutex, Once};

use log::{LevelFilter, Log, Metadata, Record};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LOG: Lines = Lines;
static ONCE: Once = Once::new();

struct Lines;

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        LINES.lock().unwrap().push(format!("{} {} {}", record.level(), record.target(), record.args()));
    }

    fn flush(&self) {}
}

/// Keeps everything from now on.
pub(crate) fn keep() {
    ONCE.call_once(|| {
        log::set_logger(&LOG).unwrap();
        log::set_max_level(LevelFilter::Trace);
    });
}

/// All lines so far.
pub(crate) fn all() -> String {
    LINES.lock().unwrap().join("\n")
}
