//! What was sent and what arrived, packet by packet.

use super::lanes::{Cable, Fate, Lane, OPENINGS};

/// The packets of one lane.
#[derive(Clone, Debug, Default)]
pub struct LaneTally {
    /// How many were sent: numbers from 0.
    pub sent: u32,
    /// How many different ones arrived where they should, or, where none should, anywhere.
    pub arrived: u32,
    /// One bit a number.
    seen: Vec<u64>,
}

impl LaneTally {
    /// Notes one that arrives; whether it is the first with its number.
    fn see(&mut self, number: u32) -> bool {
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let is_new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        self.arrived += u32::from(is_new);
        is_new
    }

    fn has(&self, number: u32) -> bool {
        self.seen.get(number as usize / 64).is_some_and(|word| word & 1 << (number % 64) != 0)
    }

    /// Numbers that were sent and did not arrive.
    pub fn missing(&self) -> impl Iterator<Item = u32> {
        (0..self.sent).filter(|number| !self.has(*number))
    }

    /// Numbers that arrived.
    pub fn present(&self) -> impl Iterator<Item = u32> {
        (0..self.seen.len() as u32 * 64).filter(|number| self.has(*number))
    }
}

/// The packets of all lanes.
#[derive(Clone, Debug)]
pub struct Tally {
    /// By lane.
    pub lanes: Vec<LaneTally>,
    /// Packets that arrived a second time.
    pub repeated: u64,
    /// Packets that are to arrive and did so at another cable, as a bridge may send them.
    pub strayed: u64,
    /// Packets with a lane that there is not.
    pub foreign: u64,
    /// Sum of those sent that are to arrive.
    pub due: u64,
    /// Sum of those of them that arrived.
    pub kept: u64,
    /// Sum of those that arrived and must not.
    pub leaked: u64,
}

impl Tally {
    /// Nothing of so many lanes.
    #[must_use]
    pub fn of(lanes: usize) -> Self {
        let lanes = vec![LaneTally::default(); lanes];
        Self { lanes, repeated: 0, strayed: 0, foreign: 0, due: 0, kept: 0, leaked: 0 }
    }

    /// The number of a lane's next packet, which is sent now.
    pub fn send(&mut self, lane: &Lane, place: usize) -> u32 {
        let number = self.lanes[place].sent;
        self.lanes[place].sent += 1;
        self.due += u64::from(matches!(lane.fate, Fate::Arrives(_)));
        number
    }

    /// Packets that were sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.lanes.iter().map(|lane| u64::from(lane.sent)).sum()
    }

    /// Notes that a packet has come out of the end of a cable.
    pub fn arrive(&mut self, lanes: &[Lane], at: Cable, place: u16, number: u32) {
        if place >= OPENINGS {
            return;
        }
        let Some((lane, tally)) = lanes.get(usize::from(place)).zip(self.lanes.get_mut(usize::from(place)))
        else {
            self.foreign += 1;
            return;
        };
        match lane.fate {
            Fate::Arrives(to) | Fate::Varies(to) if to != at => self.strayed += 1,
            fate if tally.see(number) => match fate {
                Fate::Arrives(_) => self.kept += 1,
                Fate::Ends(_) => self.leaked += 1,
                Fate::Varies(_) => {}
            },
            _ => self.repeated += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lanes;
    use super::*;

    #[test]
    fn one_packet_more_or_less_is_noticed() {
        let (lanes, _) = lanes::all();
        let place = |fate: fn(&Fate) -> bool| lanes.iter().position(|lane| fate(&lane.fate)).unwrap();
        let allowed = place(|fate| *fate == Fate::Arrives(Cable::Uplink));
        let forbidden = place(|fate| matches!(fate, Fate::Ends(_)));
        let mut tally = Tally::of(lanes.len());
        for number in 0..200 {
            assert_eq!(tally.send(&lanes[allowed], allowed), number);
            tally.send(&lanes[forbidden], forbidden);
            if number != 130 {
                tally.arrive(&lanes, Cable::Uplink, allowed as u16, number);
            }
        }
        tally.arrive(&lanes, Cable::Uplink, allowed as u16, 7);
        tally.arrive(&lanes, Cable::Pump, allowed as u16, 130);
        tally.arrive(&lanes, Cable::Uplink, forbidden as u16, 70);
        assert_eq!(tally.lanes[allowed].missing().collect::<Vec<_>>(), [130]);
        assert_eq!(tally.lanes[forbidden].present().collect::<Vec<_>>(), [70]);
        assert_eq!((tally.due, tally.kept, tally.leaked), (200, 199, 1));
        assert_eq!((tally.repeated, tally.strayed, tally.foreign), (1, 1, 0));
    }
}
