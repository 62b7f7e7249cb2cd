//! The terminal: what is drawn goes out, keys come in.
//!
//! However the screen ends, by a key, a signal, an error or a panic, the terminal is as it was before.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use nix::sys::signal::{SigSet, Signal};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::Rect;

use super::asking::Asking;
use super::model::{Effect, Key, Model, Told};
use super::view::{Theme, draw};

/// How long a key is waited for before what was told is looked at.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long the screen may take to end after a signal.
const FAREWELL: Duration = Duration::from_secs(1);
/// What is taken in before the screen is drawn again.
const AT_ONCE: usize = 10_000;

/// A terminal that is this screen's, until this value goes.
#[derive(Debug)]
pub struct Screen {
    terminal: DefaultTerminal,
    theme: Theme,
    is_ending: Arc<AtomicBool>,
}

impl Screen {
    /// Takes the terminal on standard output. Called before there is another thread: signals that end a program end the
    /// screen from then on.
    ///
    /// # Errors
    /// When standard output is no terminal that can be drawn on.
    pub fn open() -> Result<Self> {
        let instead = "ask `iomt-filter status`, `devices` and `events --follow` instead";
        if !io::stdout().is_terminal() {
            bail!("standard output is no terminal, `top` has nowhere to draw; {instead}");
        }
        if std::env::var("TERM").is_ok_and(|term| term == "dumb") {
            bail!("a terminal of type `dumb` cannot be drawn on; {instead}, or set `TERM`");
        }
        let is_ending = end_by_signals()?;
        let has_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let terminal = ratatui::try_init().inspect_err(|_| ratatui::restore());
        let terminal = terminal.context("failed to take the terminal")?;
        Ok(Self { terminal, theme: Theme { has_colour }, is_ending })
    }

    /// Shows a model until a key or a signal ends it.
    ///
    /// # Errors
    /// When the terminal is gone, or whoever tells.
    pub fn show(
        mut self,
        mut model: Model,
        told: &Receiver<Told>,
        asking: &Asking,
        begun: Instant,
    ) -> Result<()> {
        let (mut drawn_at, mut is_changed) = (None, true);
        while !self.is_ending.load(Ordering::Relaxed) {
            model.tick(begun.elapsed(), Timestamp::now());
            let second = model.clock.as_second();
            if is_changed || drawn_at != Some(second) {
                self.draw(&mut model)?;
                drawn_at = Some(second);
            }
            is_changed = false;
            let mut patience = PATIENCE;
            while event::poll(patience).context("failed to read the terminal")? {
                is_changed = true;
                patience = Duration::ZERO;
                let Some(key) = key(&event::read().context("failed to read the terminal")?) else { continue };
                match model.key(key) {
                    Some(Effect::Leave) => return Ok(()),
                    Some(effect) => asking.ask(effect),
                    None => {}
                }
            }
            for told in told.try_iter().take(AT_ONCE) {
                model.told(told);
                is_changed = true;
            }
            ensure!(asking.goes_on(), "what asks the agent broke off");
        }
        Ok(())
    }

    fn draw(&mut self, model: &mut Model) -> Result<()> {
        let theme = self.theme;
        let draw_in = |frame: &mut ratatui::Frame<'_>| {
            let area: Rect = frame.area();
            model.resized(area);
            draw(model, theme, area, frame.buffer_mut());
        };
        self.terminal.draw(draw_in).map(drop).context("failed to write to the terminal")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // After a panic it is given back already, and once more would move the cursor onto what the panic says.
        if !thread::panicking() {
            let _ = ratatui::try_restore();
        }
    }
}

/// Set when a signal has come that ends a program.
fn end_by_signals() -> Result<Arc<AtomicBool>> {
    let is_ending = Arc::new(AtomicBool::new(false));
    let signals: SigSet =
        [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT].into_iter().collect();
    signals.thread_block().context("failed to hold signals back")?;
    let seen = is_ending.clone();
    let wait = move || {
        let _signal = signals.wait();
        seen.store(true, Ordering::Relaxed);
        // A terminal that is gone keeps whoever reads keys from it for ever.
        thread::sleep(FAREWELL);
        let _ = ratatui::try_restore();
        std::process::exit(0);
    };
    thread::Builder::new().name("signals".into()).spawn(wait).context("failed to start a thread")?;
    Ok(is_ending)
}

/// What a key means here; nothing where it means nothing.
fn key(event: &Event) -> Option<Key> {
    let Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else { return None };
    if *kind == KeyEventKind::Release {
        return None;
    }
    let is_with = |modifier| modifiers.contains(modifier);
    Some(match code {
        KeyCode::Char('c' | 'd') if is_with(KeyModifiers::CONTROL) => Key::Interrupt,
        KeyCode::Char('h') if is_with(KeyModifiers::CONTROL) => Key::Backspace,
        KeyCode::Char(_) if is_with(KeyModifiers::CONTROL) || is_with(KeyModifiers::ALT) => return None,
        KeyCode::Char(c) => Key::Char(*c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}
