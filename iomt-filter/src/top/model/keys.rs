//! What keys do. None of them changes anything but the screen.

use super::{Effect, Model, Page, Pane};
use crate::top::page;

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A letter, or a sign.
    Char(char),
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// The last letter is taken back.
    Backspace,
    /// To the next pane.
    Tab,
    /// To the one before.
    BackTab,
    /// A line up.
    Up,
    /// A line down.
    Down,
    /// As many lines up as are shown.
    PageUp,
    /// As many lines down as are shown.
    PageDown,
    /// To the first line.
    Home,
    /// To the last line.
    End,
    /// Control and C.
    Interrupt,
}

/// How long what is looked for may be.
const LONGEST: usize = 100;

impl Model {
    /// A key was pressed.
    pub fn key(&mut self, key: Key) -> Option<Effect> {
        match key {
            Key::Interrupt => Some(Effect::Leave),
            _ if self.is_typing => {
                self.type_in(key);
                None
            }
            _ if self.page.is_some() => self.key_on_page(key),
            _ => self.key_on_panes(key),
        }
    }

    fn type_in(&mut self, key: Key) {
        match key {
            Key::Char(c) if self.filter.chars().count() < LONGEST => self.filter.extend(c.to_lowercase()),
            Key::Backspace => drop(self.filter.pop()),
            Key::Enter | Key::Tab => self.is_typing = false,
            Key::Escape => {
                self.is_typing = false;
                self.filter.clear();
            }
            _ => {}
        }
        self.devices.arrange(&self.filter);
    }

    fn key_on_page(&mut self, key: Key) -> Option<Effect> {
        let last = self.last_scroll();
        match key {
            Key::Char('q') | Key::Escape => return self.close(),
            Key::Char('?') if self.page == Some(Page::Help) => return self.close(),
            Key::Char('p' | ' ') => return self.pause(),
            key => self.scroll = moved(self.scroll, key, self.rows(), last + 1).unwrap_or(self.scroll),
        }
        None
    }

    fn key_on_panes(&mut self, key: Key) -> Option<Effect> {
        match key {
            Key::Char('q') => return Some(Effect::Leave),
            Key::Escape if self.filter.is_empty() => return Some(Effect::Leave),
            Key::Escape => {
                self.filter.clear();
                self.devices.arrange(&self.filter);
            }
            Key::Tab => self.pane = self.pane.next(),
            Key::BackTab => self.pane = self.pane.previous(),
            Key::Char('s') => {
                self.devices.sort = self.devices.sort.next();
                self.devices.arrange(&self.filter);
            }
            Key::Char('/') => self.is_typing = true,
            Key::Char('p' | ' ') => return self.pause(),
            Key::Char('?') => return self.open(Page::Help),
            Key::Char('a') => return self.open(Page::Alarms),
            Key::Char('e') => return self.explain(),
            Key::Enter => return self.look_into(),
            key => self.walk(key),
        }
        None
    }

    fn pause(&mut self) -> Option<Effect> {
        self.is_paused = !self.is_paused;
        if !self.is_paused {
            self.events.catch_up();
        }
        Some(Effect::Pause(self.is_paused))
    }

    fn open(&mut self, page: Page) -> Option<Effect> {
        self.scroll = 0;
        let watched = if let Page::Device(name) = &page { Some(name.clone()) } else { None };
        self.page = Some(page);
        watched.map(|name| Effect::Watch(Some(name)))
    }

    fn close(&mut self) -> Option<Effect> {
        let page = self.page.take();
        matches!(page, Some(Page::Device(_))).then_some(Effect::Watch(None))
    }

    /// Moves to another line of the pane.
    fn walk(&mut self, key: Key) {
        let rows = self.rows();
        match self.pane {
            Pane::Devices => {
                let count = self.devices.shown().len();
                if let Some(line) = moved(self.devices.line(), key, rows, count) {
                    self.devices.choose(line);
                }
            }
            Pane::Events => {
                let numbers: Vec<u64> = self.shown_events().map(|row| row.number).collect();
                if let Some(line) = moved(self.event_line(), key, rows, numbers.len()) {
                    self.events.choose(numbers.get(line).copied().filter(|_| line > 0));
                }
            }
            Pane::Reasons => {
                let count = self.reasons.rows.len();
                self.lines[0] = moved(self.reason_line(), key, rows, count).unwrap_or(self.lines[0]);
            }
            Pane::Feeds => {
                let count = self.feeds.len();
                self.lines[1] = moved(self.feed_line(), key, rows, count).unwrap_or(self.lines[1]);
            }
        }
    }

    /// Where the event that is chosen stands; the first where none is, or it is not shown any more.
    #[must_use]
    pub fn event_line(&self) -> usize {
        let Some(chosen) = self.events.chosen() else { return 0 };
        self.shown_events().position(|row| row.number == chosen).unwrap_or(0)
    }

    /// Where the reason that is chosen stands.
    #[must_use]
    pub fn reason_line(&self) -> usize {
        self.lines[0].min(self.reasons.rows.len().saturating_sub(1))
    }

    /// Where the feed that is chosen stands.
    #[must_use]
    pub fn feed_line(&self) -> usize {
        self.lines[1].min(self.feeds.len().saturating_sub(1))
    }

    fn look_into(&mut self) -> Option<Effect> {
        match self.pane {
            Pane::Devices => {
                let name = self.devices.chosen()?.name.clone()?;
                self.open(Page::Device(name))
            }
            Pane::Reasons => {
                let reason = self.reasons.rows.get(self.reason_line())?.reason.clone();
                self.filter = reason;
                self.devices.arrange(&self.filter);
                None
            }
            Pane::Feeds => {
                let name = self.feeds.get(self.feed_line())?.name.clone();
                self.open(Page::Feed(name))
            }
            Pane::Events => self.explain(),
        }
    }

    /// Asks about the event that is chosen.
    fn explain(&mut self) -> Option<Effect> {
        let row = self.shown_events().nth(self.event_line())?.clone();
        let record = Box::new(row.record);
        self.events.choose(Some(row.number));
        self.open(Page::Event(row.number, record.clone(), None));
        page::is_about_a_packet(&record).then_some(Effect::Explain(row.number, record))
    }
}

/// The line that a key leads to, of `count`, of which `rows` are shown; none where it leads nowhere.
fn moved(line: usize, key: Key, rows: usize, count: usize) -> Option<usize> {
    let last = count.saturating_sub(1);
    let line = match key {
        Key::Up | Key::Char('k') => line.saturating_sub(1),
        Key::Down | Key::Char('j') => line + 1,
        Key::PageUp => line.saturating_sub(rows),
        Key::PageDown => line + rows,
        Key::Home | Key::Char('g') => 0,
        Key::End | Key::Char('G') => last,
        _ => return None,
    };
    Some(line.min(last))
}
