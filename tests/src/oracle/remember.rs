//! What the model keeps of a frame that was judged, and whose conversations are.

use iomt_filter_common::device::Port;
use iomt_filter_common::{Direction, Verdict};

use super::ends::End;
use super::flows::Owners;
use super::frame::What;
use super::{Answer, Oracle};
use crate::judge::Fields;

impl Oracle {
    /// What is known of a frame that was judged. One that was dropped tells of nobody but its own packet.
    pub(super) fn remember(&mut self, what: &What, fields: &Fields, port: Port, answer: &Answer) {
        let passes = answer.verdict != Verdict::Drop;
        match what {
            What::Ip(ip) => {
                if let Some(piece) = &ip.first_piece {
                    self.memory.note_first(ip, piece, port, (answer, self.generation), self.now);
                }
                if passes {
                    self.learn(ip, fields, self.vlan(fields), port);
                }
            }
            What::LaterFragment(piece) if passes => {
                self.memory.note_later(piece, port, self.now, self.flaw);
            }
            _ => {}
        }
    }
}

/// Who opened a conversation and to whom, where the packet is a reply or not.
pub(super) fn owners(ends: &[End], is_reply: bool) -> Owners {
    let at = |direction| {
        let end = ends.iter().find(|end| end.direction == direction);
        end.map(|end| end.device.name.clone())
    };
    let (sender, receiver) = (at(Direction::FromDevice), at(Direction::ToDevice));
    if is_reply { (receiver, sender) } else { (sender, receiver) }
}
