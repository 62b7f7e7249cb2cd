//! What the screen knows, and what keys make of it.
//!
//! What the agent said and keys that were pressed come in, an [`Effect`] goes out where something is to be done: pure,
//! but for nothing. Time comes in too, as how long the screen has been there.

use std::time::Duration;

use jiff::Timestamp;
use ratatui::layout::Rect;

use super::layout::{Pane, Places};
use super::page;
use crate::api::messages::{DeviceStatus, FlowStatus, Status};
use crate::events::Record;

mod devices;
mod events;
mod feeds;
mod keys;
mod reasons;

pub use self::devices::{DeviceRow, Devices, Sort};
pub use self::events::{EventRow, Events};
pub use self::feeds::FeedRow;
pub use self::keys::Key;
pub use self::reasons::{ReasonRow, Reasons};

/// How long an answer may take before that is said.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it is said that another agent answers.
const NEWS: Duration = Duration::from_secs(30);

/// What the agent said, or did not.
#[derive(Clone, Debug)]
pub enum Told {
    /// How everything stands.
    Round(Box<Round>),
    /// It does not answer, and why.
    Unanswered(Unanswered),
    /// Events begin: those that were shown are told again, or are gone.
    EventsBegin,
    /// An event.
    Event(Box<Record>),
    /// So many events came too fast to be told.
    Missed(u64),
    /// What was asked about an event, by its number.
    Explained {
        /// Which event.
        number: u64,
        /// The answer.
        lines: Vec<String>,
    },
}

/// An agent that does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Why.
    pub why: String,
    /// Whether that is because of who asks.
    pub is_refused: bool,
    /// Whether somebody listens all the same.
    pub is_there: bool,
    /// What goes on judging all the same.
    pub judged: Vec<String>,
}

/// Answers of one moment.
#[derive(Clone, Debug)]
pub struct Round {
    /// When, since the screen is there.
    pub at: Duration,
    /// How long nothing is asked after it.
    pub rest: Duration,
    /// `GET /v1/status`.
    pub status: Status,
    /// What nobody should overlook in it, but for a change that is pending.
    pub loud: Vec<String>,
    /// `GET /v1/devices`.
    pub devices: Vec<DeviceStatus>,
    /// The device that is looked into, where one is.
    pub watched: Option<Watched>,
}

/// A device that is looked into.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Its name.
    pub device: String,
    /// Its flows.
    pub flows: Vec<FlowStatus>,
    /// Its latest events, the oldest first.
    pub events: Vec<Record>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The screen ends.
    Leave,
    /// Ask about this device too from now on, or about none.
    Watch(Option<String>),
    /// Ask what became of such a packet now, and what is known of its far end.
    Explain(u64, Box<Record>),
    /// Ask nothing for a while, or go on.
    Pause(bool),
}

/// How the agent answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// Not yet.
    #[default]
    Asking,
    /// It does.
    Answers,
    /// It does not, since a moment of the screen.
    Silent(Duration, Unanswered),
}

/// What is shown in place of the panes.
#[derive(Clone, Debug, PartialEq)]
pub enum Page {
    /// What keys do.
    Help,
    /// Every alarm in full.
    Alarms,
    /// A device, by name.
    Device(String),
    /// A feed, by name.
    Feed(String),
    /// An event, by its number, and what was answered about it.
    Event(u64, Box<Record>, Option<Vec<String>>),
}

/// What the screen knows.
#[derive(Debug, Default)]
pub struct Model {
    /// How the agent answers.
    pub link: Link,
    /// The latest answers.
    pub round: Option<Round>,
    /// Devices with their rates.
    pub devices: Devices,
    /// Reasons with their rates.
    pub reasons: Reasons,
    /// Feeds, and the country database.
    pub feeds: Vec<FeedRow>,
    /// Events.
    pub events: Events,
    /// The pane that keys are for.
    pub pane: Pane,
    /// The line of the pane of reasons, and of feeds, that keys are for.
    pub lines: [usize; 2],
    /// What is shown in place of the panes.
    pub page: Option<Page>,
    /// The first line of the page that is shown.
    pub scroll: usize,
    /// What is looked for in devices and events, in lower case; nothing where everything is shown.
    pub filter: String,
    /// Whether keys are letters of that.
    pub is_typing: bool,
    /// Whether the screen stands still.
    pub is_paused: bool,
    /// How often the agent is asked.
    pub interval: Duration,
    /// How long the screen has been there.
    pub now: Duration,
    /// The time of day.
    pub clock: Timestamp,
    /// The size of the screen.
    pub area: Rect,
    /// When another agent began to answer, since the screen is there.
    pub renewed: Option<Duration>,
}

impl Model {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self { interval, ..Self::default() }
    }

    /// Time goes on.
    pub fn tick(&mut self, now: Duration, clock: Timestamp) {
        (self.now, self.clock) = (now, clock);
    }

    /// The screen has this size.
    pub fn resized(&mut self, area: Rect) {
        self.area = area;
        self.scroll = self.scroll.min(self.last_scroll());
    }

    /// Takes in what the agent said. A screen that stands still is not told the rest.
    pub fn told(&mut self, told: Told) {
        match told {
            Told::Round(round) if !self.is_paused => self.take(*round),
            Told::Round(_) => {}
            Told::Unanswered(unanswered) => {
                let since = match self.link {
                    Link::Silent(since, _) => since,
                    Link::Asking | Link::Answers => self.now,
                };
                self.link = Link::Silent(since, unanswered);
                self.devices.forget_rates();
                self.reasons.forget_rates();
            }
            Told::EventsBegin => self.events.begin(),
            Told::Event(record) => self.events.push(*record),
            Told::Missed(missed) => self.events.missed += missed,
            Told::Explained { number, lines } => {
                if let Some(Page::Event(of, _, answer)) = &mut self.page
                    && *of == number
                {
                    *answer = Some(lines);
                }
            }
        }
        if !self.is_paused {
            self.events.catch_up();
        }
    }

    fn take(&mut self, round: Round) {
        let before = self.round.as_ref();
        let is_new = before.is_some_and(|before| before.status.started != round.status.started);
        if is_new {
            self.renewed = Some(round.at);
            self.devices.forget_rates();
            self.reasons.forget_rates();
        }
        self.link = Link::Answers;
        self.devices.take(&round, &self.filter);
        self.reasons.take(&round);
        self.feeds = FeedRow::all(&round.status);
        self.round = Some(round);
        self.scroll = self.scroll.min(self.last_scroll());
    }

    /// Seconds for which the agent has said nothing, where that is longer than it may take.
    #[must_use]
    pub fn silence(&self) -> Option<u64> {
        let (last, rest) = self.round.as_ref().map_or_else(Default::default, |round| (round.at, round.rest));
        let silence = self.now.saturating_sub(last);
        let is_well = self.link != Link::Answers || self.is_paused || silence <= rest + PATIENCE;
        (!is_well).then_some(silence.as_secs())
    }

    /// Seconds that are left until the change that is pending is taken back.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        let round = self.round.as_ref()?;
        let left = round.status.change.pending.as_ref()?.left_seconds;
        Some(left.saturating_sub(self.now.saturating_sub(round.at).as_secs()))
    }

    /// Whether another agent has begun to answer a moment ago.
    #[must_use]
    pub fn is_renewed(&self) -> bool {
        self.renewed.is_some_and(|at| self.now.saturating_sub(at) < NEWS)
    }

    /// Events that are shown, the latest first.
    pub fn shown_events(&self) -> impl Iterator<Item = &EventRow> {
        let is_shown =
            |row: &&EventRow| self.filter.is_empty() || row.text.to_lowercase().contains(&self.filter);
        self.events.latest().filter(is_shown)
    }

    /// Lines of a pane below its heading, or of the page.
    fn rows(&self) -> usize {
        let places = Places::of(self.area, page::alarms(self).len(), self.pane);
        let place = if self.page.is_some() { places.body } else { places.of_pane(self.pane) };
        usize::from(place.height.saturating_sub(1)).max(1)
    }

    fn last_scroll(&self) -> usize {
        let lines = page::lines(self, usize::from(self.area.width)).len();
        lines.saturating_sub(self.rows())
    }
}
