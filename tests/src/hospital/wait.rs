//! Waiting for a condition, with a deadline, until someone presses Ctrl-C.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::signal::unix::{SignalKind, signal};

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(5);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Looks again and again until `look` finds something.
///
/// # Errors
/// When `look` fails, nothing was found within `limit`, or the user interrupts.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    through(what, limit, || match look()? {
        None if is_interrupted() => bail!("interrupted"),
        found => Ok(found),
    })
}

/// As [`until`], through an interruption: for what cleaning up waits for.
///
/// # Errors
/// When `look` fails, or nothing was found within `limit`.
pub fn through<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "waited {} s in vain for {what}", limit.as_secs_f32());
        thread::sleep(INTERVAL);
    }
}

/// Waits for the user to interrupt, and looks after things meanwhile.
///
/// # Errors
/// When `look` fails.
pub fn until_interrupted(mut look: impl FnMut() -> Result<()>) -> Result<()> {
    while !is_interrupted() {
        look()?;
        thread::sleep(INTERVAL);
    }
    Ok(())
}

/// Makes Ctrl-C, a closed terminal and a polite kill end every wait, instead of the process.
///
/// # Errors
/// When the kernel refuses.
pub fn watch_signals() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("failed to make a runtime for signals")?;
    let entered = runtime.enter();
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let streams = kinds.map(signal).into_iter().collect::<io::Result<Vec<_>>>();
    drop(entered);
    for mut stream in streams.context("failed to watch signals")? {
        runtime.spawn(async move {
            while stream.recv().await.is_some() {
                INTERRUPTED.store(true, Ordering::Relaxed);
            }
        });
    }
    thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    Ok(())
}

/// Whether the user has interrupted.
#[must_use]
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_waited_for_is_named() {
        let error = until("the moon", Duration::from_millis(10), || Ok(None::<()>)).unwrap_err();
        assert_eq!(error.to_string(), "waited 0.01 s in vain for the moon");
    }
}
