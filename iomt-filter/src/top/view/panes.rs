//! The four panes: a heading, and lines of which one is chosen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{Pane, Side, Theme, count, ends, fitted, lasting, line, short};
use crate::top::model::{DeviceRow, EventRow, FeedRow, Model, ReasonRow, Sort};
use crate::top::page::Level;

/// A column: its heading, its width, and on which side its texts stand.
type Column = (String, usize, Side);

/// Lines below a heading, a page of them: the one with the line that is chosen.
struct List<'l> {
    pane: Pane,
    heading: String,
    model: &'l Model,
    theme: Theme,
    place: Rect,
}

impl List<'_> {
    fn draw<T>(
        &self,
        rows: impl Iterator<Item = T>,
        chosen: usize,
        shown: impl Fn(T) -> (String, Style),
        buffer: &mut Buffer,
    ) {
        let is_for_keys = self.model.pane == self.pane;
        let sign = |is_it| if is_it { '>' } else { ' ' };
        let heading = format!("{}{}", sign(is_for_keys), self.heading);
        line(&heading, self.theme.heading(is_for_keys), self.place, 0, buffer);
        let room = usize::from(self.place.height.saturating_sub(1));
        if room == 0 {
            return;
        }
        let first = chosen / room * room;
        for (number, row) in (first..).zip(rows.skip(first).take(room)) {
            let is_chosen = is_for_keys && number == chosen;
            let (text, style) = shown(row);
            let style = if is_chosen { style.add_modifier(Modifier::REVERSED) } else { style };
            let text = format!("{}{text}", sign(is_chosen));
            line(&text, style, self.place, (number - first + 1) as u16, buffer);
        }
    }
}

fn cells<'c>(columns: &[Column], texts: impl IntoIterator<Item = &'c str>) -> String {
    let cells = columns.iter().zip(texts).map(|((_, room, side), text)| fitted(text, *room, *side));
    cells.collect::<Vec<_>>().join(" ")
}

fn headings(columns: &[Column]) -> String {
    cells(columns, columns.iter().map(|(heading, ..)| heading.as_str()))
}

fn rate(rate: Option<f64>) -> String {
    rate.map_or("-".to_owned(), short)
}

pub(super) fn devices(model: &Model, theme: Theme, place: Rect, buffer: &mut Buffer) {
    let shown = model.devices.shown();
    let (some, all) = (shown.len(), model.devices.count());
    let counted =
        if model.filter.is_empty() { format!("DEVICE ({all})") } else { format!("DEVICE ({some} shown)") };
    let sorted = |sort: Sort, name: &str| match model.devices.sort == sort {
        true => format!("{name}{}", if sort == Sort::Name { '^' } else { 'v' }),
        false => name.to_owned(),
    };
    // What is left of a wide screen goes to names, then reasons and addresses have columns.
    let columns = usize::from(place.width);
    let (reason, address) = (if columns >= 100 { 16 } else { 0 }, if columns >= 130 { 39 } else { 0 });
    let used = 10 + 8 + 9 + 8 + 8 + 9 + reason + address;
    let names = columns.saturating_sub(used);
    let profile = (names * 2 / 5).min(30);
    let columns: [Column; 9] = [
        (sorted(Sort::Name, &counted), names - profile, Side::Left),
        ("PROFILE".into(), profile, Side::Left),
        ("MODE".into(), 10, Side::Left),
        (sorted(Sort::DropRate, "DROPS/S"), 8, Side::Right),
        (sorted(Sort::Rate, "FRAMES/S"), 9, Side::Right),
        (sorted(Sort::Bytes, "BYTES"), 8, Side::Right),
        (sorted(Sort::Dropped, "DROPPED"), 8, Side::Right),
        ("REASON".into(), reason, Side::Left),
        ("ADDRESSES".into(), address, Side::Left),
    ];
    let list = List { pane: Pane::Devices, heading: headings(&columns), model, theme, place };
    let row = |row: &DeviceRow| {
        let texts = [
            row.name.clone().unwrap_or_else(|| "(no device)".to_owned()),
            row.profile.clone(),
            row.mode.clone(),
            rate(row.drop_rate),
            rate(row.rate),
            count(row.bytes),
            count(row.dropped),
            row.reason.clone().unwrap_or_default(),
            row.addresses.join(" "),
        ];
        let style = match () {
            () if row.drop_rate.is_some_and(|rate| rate > 0.0) => theme.of_verdict("drop"),
            () if row.mode == row.mode.to_uppercase() && !row.mode.is_empty() => theme.of(Level::Odd),
            () => Style::new(),
        };
        (cells(&columns, texts.iter().map(String::as_str)), style)
    };
    list.draw(shown, model.devices.line(), row, buffer);
}

pub(super) fn reasons(model: &Model, theme: Theme, place: Rect, buffer: &mut Buffer) {
    let columns: [Column; 4] = [
        ("VERDICT".into(), 10, Side::Left),
        ("REASON".into(), usize::from(place.width).saturating_sub(26), Side::Left),
        ("RATE/S".into(), 6, Side::Right),
        ("FRAMES".into(), 6, Side::Right),
    ];
    let list = List { pane: Pane::Reasons, heading: headings(&columns), model, theme, place };
    let row = |row: &ReasonRow| {
        let (rate, frames) = (rate(row.rate), count(row.frames));
        let texts = [row.verdict.as_str(), &row.reason, &rate, &frames];
        (cells(&columns, texts), theme.of_verdict(&row.verdict))
    };
    list.draw(model.reasons.rows.iter(), model.reason_line(), row, buffer);
}

pub(super) fn feeds(model: &Model, theme: Theme, place: Rect, buffer: &mut Buffer) {
    let columns: [Column; 4] = [
        ("FEED".into(), usize::from(place.width).saturating_sub(27), Side::Left),
        ("STATE".into(), 10, Side::Left),
        ("AGE".into(), 6, Side::Right),
        ("ENTRIES".into(), 7, Side::Right),
    ];
    let list = List { pane: Pane::Feeds, heading: headings(&columns), model, theme, place };
    let row = |row: &FeedRow| {
        let age = row.age.map_or("-".to_owned(), lasting);
        let entries = row.entries.map_or("-".to_owned(), count);
        let style = if row.is_well() { Style::new() } else { theme.of(Level::Odd) };
        (cells(&columns, [row.name.as_str(), &row.state, &age, &entries]), style)
    };
    list.draw(model.feeds.iter(), model.feed_line(), row, buffer);
}

pub(super) fn events(model: &Model, theme: Theme, place: Rect, buffer: &mut Buffer) {
    let waiting = model.events.waiting();
    let remarks = [(model.events.missed, "came too fast to be shown"), (waiting as u64, "wait")];
    let remarks = remarks.into_iter().filter(|(number, _)| *number > 0);
    let remarks: Vec<_> = remarks.map(|(number, what)| format!("{} {what}", count(number))).collect();
    let heading = ends("LATEST EVENTS", &remarks.join(", "), usize::from(place.width).saturating_sub(1));
    let list = List { pane: Pane::Events, heading, model, theme, place };
    let row = |row: &EventRow| (row.text.clone(), theme.of_verdict(&row.record.verdict));
    list.draw(model.shown_events(), model.event_line(), row, buffer);
}
