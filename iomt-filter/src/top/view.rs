//! Draws what the screen knows into a buffer.
//!
//! A model and a size come in, cells go out. Every text goes through [`plain`](super::plain): whatever a name holds, it
//! stays in its place. Colour says nothing that words or signs do not say too.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::layout::{Pane, Places};
use super::model::{Link, Model};
use super::page::{self, Level, Line};
use super::plain::{Side, count, fitted, lasting, short};

mod panes;

/// How things look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Whether there are colours, the first eight of a terminal's.
    pub has_colour: bool,
}

impl Theme {
    fn coloured(self, colour: Color) -> Style {
        if self.has_colour { Style::new().fg(colour) } else { Style::new() }
    }

    fn of(self, level: Level) -> Style {
        match level {
            Level::Bad => self.coloured(Color::Red).add_modifier(Modifier::BOLD),
            Level::Odd => self.coloured(Color::Yellow),
            Level::Well => self.coloured(Color::Green),
        }
    }

    /// A verdict, or another word that says how something stands.
    fn of_verdict(self, verdict: &str) -> Style {
        match verdict {
            "drop" | "reset" => self.coloured(Color::Red),
            "would-drop" | "notice" => self.coloured(Color::Yellow),
            _ => Style::new(),
        }
    }

    /// A heading; that of the pane that keys are for stands out.
    fn heading(self, is_for_keys: bool) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if is_for_keys {
            style.add_modifier(Modifier::REVERSED)
        } else {
            style.add_modifier(Modifier::UNDERLINED)
        }
    }
}

/// Draws the screen.
pub fn draw(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    let alarms = page::alarms(model);
    let places = Places::of(area, alarms.len(), model.pane);
    head(model, places.head, buffer);
    self::alarms(&alarms, theme, places.alarms, buffer);
    if model.page.is_some() {
        page(model, theme, places.body, buffer);
    } else {
        panes::devices(model, theme, places.devices, buffer);
        panes::reasons(model, theme, places.reasons, buffer);
        panes::feeds(model, theme, places.feeds, buffer);
        panes::events(model, theme, places.events, buffer);
    }
    foot(model, places.foot, buffer);
}

/// A text on a line of its own, as wide as the place.
fn line(text: &str, style: Style, place: Rect, number: u16, buffer: &mut Buffer) {
    if number < place.height {
        let text = fitted(text, usize::from(place.width), Side::Left);
        buffer.set_string(place.x, place.y + number, text, style);
    }
}

/// Two texts at both ends of a line; the first one gives way.
fn ends(left: &str, right: &str, columns: usize) -> String {
    let right = format!(" {right}");
    let room = columns.saturating_sub(super::plain::width(&right));
    fitted(left, room, Side::Left) + &right
}

fn head(model: &Model, place: Rect, buffer: &mut Buffer) {
    let columns = usize::from(place.width);
    let clock = model.clock.strftime("%H:%M:%SZ");
    let state = match model.is_paused {
        true => format!("PAUSED {clock}"),
        false => format!("every {} {clock}", lasting(model.interval.as_secs())),
    };
    let first = match &model.round {
        Some(round) => {
            let status = &round.status;
            let kept = status.change.number.map(|kept| format!(" (kept as {kept})")).unwrap_or_default();
            format!(
                "iomt-filter {} on {}  generation {}{kept}",
                status.version, status.host, status.generation
            )
        }
        None => "iomt-filter top".to_owned(),
    };
    line(&ends(&first, &state, columns), Style::new().add_modifier(Modifier::BOLD), place, 0, buffer);
    line(&second(model), Style::new(), place, 1, buffer);
}

/// What is judged, and how much of it.
fn second(model: &Model) -> String {
    let Some(round) = &model.round else { return String::new() };
    let status = &round.status;
    let is_judged = |mode: &str| !matches!(mode, "missing" | "not attached" | "left over");
    let judged = status.interfaces.iter().filter(|interface| is_judged(&interface.mode)).count();
    let rates = model.reasons.rates;
    let shown = |rate: Option<f64>| rate.map_or("-".to_owned(), short);
    let beat = match (&model.link, status.heartbeat.age_milliseconds) {
        (Link::Answers, Some(age)) => format!("{}.{}s", age / 1_000, age % 1_000 / 100),
        _ => "-".to_owned(),
    };
    let modes: Vec<_> = status.devices.iter().map(|(mode, devices)| format!("{mode} {devices}")).collect();
    let would = rates.would.filter(|would| *would > 0.0);
    let would = would.map(|would| format!("  {} would-drops/s", short(would))).unwrap_or_default();
    format!(
        "{judged}/{} ports judged  beat {beat}  {} frames/s  {} drops/s{would}  {}",
        status.interfaces.len(),
        shown(rates.frames),
        shown(rates.dropped),
        modes.join(" ")
    )
}

fn alarms(alarms: &[page::Alarm], theme: Theme, place: Rect, buffer: &mut Buffer) {
    let room = usize::from(place.height);
    for (number, alarm) in (0..).zip(alarms.iter().take(room)) {
        let more = alarms.len() - room;
        let is_last = usize::from(number) + 1 == room;
        let text = match is_last && more > 0 {
            true => ends(&alarm.text, &format!("+{more}: key a"), usize::from(place.width)),
            false => alarm.text.clone(),
        };
        line(&text, theme.of(alarm.level), place, number, buffer);
    }
}

fn page(model: &Model, theme: Theme, place: Rect, buffer: &mut Buffer) {
    let lines = page::lines(model, usize::from(place.width));
    let room = usize::from(place.height.saturating_sub(1));
    let first = model.scroll.min(lines.len().saturating_sub(room));
    let title = model.page.as_ref().map(page::title).unwrap_or_default();
    let last = (first + room).min(lines.len());
    let shown =
        if lines.len() > room { format!("{}-{last} of {}", first + 1, lines.len()) } else { String::new() };
    let title = ends(&format!(" {title}"), &shown, usize::from(place.width));
    line(&title, theme.heading(true), place, 0, buffer);
    for (number, shown) in (1..).zip(lines.iter().skip(first).take(room)) {
        match shown {
            Line::Heading(text) => line(text, theme.heading(false), place, number, buffer),
            Line::Text(text) => line(text, Style::new(), place, number, buffer),
        }
    }
}

fn foot(model: &Model, place: Rect, buffer: &mut Buffer) {
    let text = if model.is_typing {
        format!("/{}_   Enter keeps it, Esc shows everything", model.filter)
    } else if model.page.is_some() {
        "Esc back  Up Down PgUp PgDn  space stand still  Ctrl-C end".to_owned()
    } else if !model.filter.is_empty() {
        format!("only `{}`: Esc shows everything  / other  Tab pane  Enter look into  ? help", model.filter)
    } else {
        "q end  ? help  Tab pane  Enter look into  e explain  s sort  / filter  p pause".to_owned()
    };
    line(&text, Style::new().add_modifier(Modifier::BOLD), place, 0, buffer);
}
