//! Where what stands on a screen of a size.
//!
//! A size, and what there is to be shown, come in; places go out, which lie inside of it and beside each other. What has
//! no room has no place.

use ratatui::layout::Rect;

/// A part of the screen that keys can be for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    /// Devices.
    #[default]
    Devices,
    /// Reasons.
    Reasons,
    /// Feeds.
    Feeds,
    /// Events.
    Events,
}

impl Pane {
    /// In the order of Tab.
    pub const ALL: [Self; 4] = [Self::Devices, Self::Reasons, Self::Feeds, Self::Events];

    /// The one behind it, the first behind the last.
    #[must_use]
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    /// The one before it.
    #[must_use]
    pub fn previous(self) -> Self {
        Self::ALL[(self as usize + Self::ALL.len() - 1) % Self::ALL.len()]
    }
}

/// Places on the screen; those without room are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// What runs, and how much of it.
    pub head: Rect,
    /// What nobody should overlook.
    pub alarms: Rect,
    /// Devices, with a line for their heading.
    pub devices: Rect,
    /// Reasons, the same.
    pub reasons: Rect,
    /// Feeds, the same.
    pub feeds: Rect,
    /// Events, the same.
    pub events: Rect,
    /// All that lies between alarms and keys.
    pub body: Rect,
    /// What keys do.
    pub foot: Rect,
}

/// Lines with which four panes say something, each.
const PANES: u16 = 12;
/// Columns from which on two panes stand side by side.
const BESIDE: u16 = 72;

impl Places {
    /// Places on a screen of this size, with so many alarms; where there is no room for all panes, `pane` has it.
    #[must_use]
    pub fn of(area: Rect, alarms: usize, pane: Pane) -> Self {
        let mut rest = area;
        let head = take(&mut rest, 2);
        let foot_height = u16::from(area.height >= 4);
        let foot = Rect { y: rest.bottom().saturating_sub(foot_height), height: foot_height, ..rest };
        rest.height = rest.height.saturating_sub(foot_height);
        let most = match area.height {
            0..6 => 0,
            6..20 => 1,
            20..40 => 3,
            40.. => 6,
        };
        let alarms = take(&mut rest, u16::try_from(alarms).map_or(most, |alarms| alarms.min(most)));
        let mut places = Self { head, alarms, foot, body: rest, ..Self::default() };
        if rest.height < PANES {
            *places.place(pane) = rest;
            return places;
        }
        let (middle, events) = ((rest.height / 4).clamp(4, 12), rest.height * 3 / 10);
        places.devices = take(&mut rest, places.body.height - middle - events);
        let middle = take(&mut rest, middle);
        places.events = rest;
        if middle.width < BESIDE {
            *places.place(if pane == Pane::Feeds { pane } else { Pane::Reasons }) = middle;
        } else {
            let left = middle.width / 2 + 1;
            places.reasons = Rect { width: left - 1, ..middle };
            places.feeds = Rect { x: middle.x + left, width: middle.width - left, ..middle };
        }
        places
    }

    /// The place of a pane.
    #[must_use]
    pub fn of_pane(mut self, pane: Pane) -> Rect {
        *self.place(pane)
    }

    fn place(&mut self, pane: Pane) -> &mut Rect {
        match pane {
            Pane::Devices => &mut self.devices,
            Pane::Reasons => &mut self.reasons,
            Pane::Feeds => &mut self.feeds,
            Pane::Events => &mut self.events,
        }
    }
}

/// So many lines from the top of what is left, or what there is.
fn take(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    let taken = Rect { height, ..*rest };
    *rest = Rect { y: rest.y + height, height: rest.height - height, ..*rest };
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lie_inside_of_the_screen_and_beside_each_other() {
        for (width, height) in
            (0..140).step_by(7).flat_map(|width| (0..70).map(move |height| (width, height)))
        {
            for pane in Pane::ALL {
                for alarms in [0, 1, 9] {
                    let area = Rect::new(0, 0, width, height);
                    let places = Places::of(area, alarms, pane);
                    let all = [
                        places.head,
                        places.alarms,
                        places.devices,
                        places.reasons,
                        places.feeds,
                        places.events,
                        places.foot,
                    ];
                    let cells: u32 = all.iter().map(|place| place.area()).sum();
                    assert!(cells <= area.area(), "{area} {places:?}");
                    for (number, place) in all.iter().enumerate() {
                        assert_eq!(place.intersection(area).area(), place.area(), "{area} {places:?}");
                        let others = all.iter().skip(number + 1);
                        assert!(
                            others.into_iter().all(|other| !place.intersects(*other)),
                            "{area} {places:?}"
                        );
                    }
                    assert!(height < 4 || width == 0 || places.of_pane(pane).height > 0, "{area} {places:?}");
                }
            }
        }
    }

    #[test]
    fn eighty_by_twenty_four_has_room_for_everything() {
        let places = Places::of(Rect::new(0, 0, 80, 24), 1, Pane::Devices);
        let heights = [places.alarms, places.devices, places.reasons, places.feeds, places.events];
        assert_eq!(heights.map(|place| place.height), [1, 9, 5, 5, 6]);
    }
}
