//! A terminal of the kernel's, with what draws on it: keys go in, and what stands on it can be looked at.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;

use crate::hospital::wait;

/// How long something may take to be drawn.
const LIMIT: Duration = Duration::from_secs(30);

/// A terminal with a program on it, which is killed when this value goes.
pub struct Terminal {
    child: Child,
    keys: File,
    line: OwnedFd,
    drawn: Arc<Mutex<Drawn>>,
}

struct Drawn {
    parser: vt100::Parser,
    bytes: Vec<u8>,
}

impl Terminal {
    /// Starts a program on a terminal of so many columns and lines. It is a session of its own there, as behind SSH.
    ///
    /// # Errors
    /// When there is no terminal left, or no such program.
    pub fn start(command: &Command, (columns, lines): (u16, u16)) -> Result<Self> {
        let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None).context("failed to open a terminal")?;
        let end = || slave.try_clone().map(Stdio::from);
        let mut session = Command::new("setsid");
        session.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            session.current_dir(folder);
        }
        let child = session.stdin(end()?).stdout(end()?).stderr(end()?).spawn();
        let child = child.context("failed to start `setsid`")?;
        let drawn =
            Drawn { parser: vt100::Parser::new(nonzero(lines)?, nonzero(columns)?, 0), bytes: Vec::new() };
        let drawn = Arc::new(Mutex::new(drawn));
        let keys = File::from(master);
        let (mut reads, taken) = (keys.try_clone()?, drawn.clone());
        thread::spawn(move || {
            let mut buffer = [0; 8_192];
            while let Ok(length @ 1..) = reads.read(&mut buffer) {
                let mut drawn = taken.lock().unwrap_or_else(PoisonError::into_inner);
                let bytes = buffer.get(..length).unwrap_or_default();
                drawn.parser.process(bytes);
                drawn.bytes.extend_from_slice(bytes);
            }
        });
        Ok(Self { child, keys, line: slave, drawn })
    }

    fn drawn(&self) -> MutexGuard<'_, Drawn> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Presses keys: what a terminal sends for them.
    ///
    /// # Errors
    /// When nobody reads them.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        self.keys.write_all(keys.as_bytes()).context("failed to press a key")
    }

    /// What stands on the screen, a line each, without blanks at their ends.
    #[must_use]
    pub fn text(&self) -> String {
        let drawn = self.drawn();
        let (_, columns) = drawn.parser.screen().size();
        let lines = drawn.parser.screen().rows(0, columns.get());
        lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }

    /// Every byte that was sent to the terminal.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.drawn().bytes.clone()
    }

    /// Whether any cell has a colour.
    #[must_use]
    pub fn has_colour(&self) -> bool {
        let drawn = self.drawn();
        let screen = drawn.parser.screen();
        let (lines, columns) = screen.size();
        let (lines, columns) = (lines.get(), columns.get());
        let mut cells =
            (0..lines).flat_map(|line| (0..columns).filter_map(move |column| screen.cell(line, column)));
        cells.any(|cell| cell.fgcolor() != vt100::Color::Default || cell.bgcolor() != vt100::Color::Default)
    }

    /// Waits until what stands on the screen is as `is_it` wants it; returns it.
    ///
    /// # Errors
    /// With what stands there instead.
    pub fn wait_until(&self, what: &str, is_it: impl Fn(&str) -> bool) -> Result<String> {
        let look = || Ok(Some(self.text()).filter(|text| is_it(text)));
        wait::until(what, LIMIT, look).with_context(|| format!("on the screen stands:\n{}", self.text()))
    }

    /// Waits until this stands on the screen; returns all that does.
    ///
    /// # Errors
    /// As of [`wait_until`](Self::wait_until).
    pub fn wait_for(&self, text: &str) -> Result<String> {
        self.wait_until(&format!("`{text}` on the screen"), |screen| screen.contains(text))
    }

    /// Gives the terminal another size.
    ///
    /// # Errors
    /// When `stty` cannot.
    pub fn resize(&self, (columns, lines): (u16, u16)) -> Result<()> {
        self.drawn().parser.screen_mut().set_size(nonzero(lines)?, nonzero(columns)?);
        let mut stty = Command::new("stty");
        stty.args(["rows", &lines.to_string(), "cols", &columns.to_string()]);
        let status = stty.stdin(Stdio::from(self.line.try_clone()?)).status()?;
        ensure!(status.success(), "`stty` ended with {status}");
        Ok(())
    }

    /// Whether it is as a shell wants it: lines are edited and echoed, and no other screen covers what was there.
    ///
    /// # Errors
    /// When its modes cannot be read.
    pub fn is_as_before(&self) -> Result<bool> {
        let modes = tcgetattr(&self.line).context("failed to read the modes of a terminal")?;
        let is_edited = modes.local_flags.contains(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
        let drawn = self.drawn();
        let screen = drawn.parser.screen();
        Ok(is_edited && !screen.alternate_screen() && !screen.hide_cursor())
    }

    /// Sends the program a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).context("no such process id")?);
        kill(pid, signal).context("failed to send a signal")
    }

    /// Waits until the program has ended.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let ended = wait::until("a program to end", LIMIT, || Ok(self.child.try_wait()?));
        ended.with_context(|| format!("on the screen stands:\n{}", self.text()))
    }
}

/// Columns or lines, of which no terminal has none.
fn nonzero(number: u16) -> Result<NonZero<u16>> {
    NonZero::new(number).context("a terminal has a column and a line at least")
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
