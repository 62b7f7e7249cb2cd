//! The judgement, in the order in which it is promised.

use crate::case::Case;
use crate::policy::Otherwise;
use crate::tables::Tables;
use crate::verdict::{Decision, Reason, Verdict};

pub use again::{Moment, Settled, again, note};
pub use refused::refused;

mod again;
mod refused;
mod readable;
mod link;
mod identity;
mod management;
mod far_end;
mod conversation;
mod rules;
mod limits;
mod conclusion;
mod memory;
pub(crate) mod side;

/// A step of the judgement. Its number is in every record, see [`Decision::step`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// What could not be read; fragments.
    Readable = 1,
    /// Link protocols.
    Link,
    /// Which end is ours.
    Identity,
    /// Management pairs.
    Management,
    /// Senders that nobody knows or that lie, devices in quarantine.
    Standing,
    /// Flows of this generation.
    Established,
    /// Lists and countries.
    FarEnd,
    /// What belongs to no flow, and what an ICMP error quotes.
    Conversation,
    /// Answers to what a group was asked.
    Answer,
    /// Allow rules.
    Rules,
    /// What holds for every answer.
    Conclusion,
    /// What is remembered of the frame; it answers nothing.
    Memory,
}

impl Stage {
    /// Every step that can answer, in the order in which they are taken.
    pub const ALL: [Self; 11] = [
        Self::Readable,
        Self::Link,
        Self::Identity,
        Self::Management,
        Self::Standing,
        Self::Established,
        Self::FarEnd,
        Self::Conversation,
        Self::Answer,
        Self::Rules,
        Self::Conclusion,
    ];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Readable => "readable",
            Self::Link => "link",
            Self::Identity => "identity",
            Self::Management => "management",
            Self::Standing => "standing",
            Self::Established => "established",
            Self::FarEnd => "far-end",
            Self::Conversation => "conversation",
            Self::Answer => "answer",
            Self::Rules => "rules",
            Self::Conclusion => "conclusion",
            Self::Memory => "memory",
        }
    }

    /// The step with this number, as [`Decision::step`] has it.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| *stage as u8 == number)
    }
}

/// Judges one frame, whose answer is then [`Case::decision`]. [`again()`] and [`refused()`] give some answers ahead of
/// it, and no others. Precedence, first match decides:
///
/// 1. what could not be parsed, and fragments without their first: by `unparsed`; with it they are judged
///    as it was
/// 2. link protocols pass, and neighbour discovery that stays on its link; spoofed ARP and neighbours,
///    rogue router advertisements, redirects and DHCP servers drop
/// 3. management pairs pass; on a device port only where the sender is who it says
/// 4. which end is ours: `unknown-device`, `no-device`, `spoofed`; an unknown sender that may pass still
///    meets 5 to 11 of the device that it sends to
/// 5. a device in quarantine: drop
/// 6. protected pairs skip 7 and 8
/// 7. reputation of the far end
/// 8. country of the far end
/// 9. a flow that this generation has judged passes, and an ICMP error that quotes one (`related`); TCP
///    that has no flow and opens none: `no-flow`
/// 10. allow rules and grants: a match passes and is remembered, within the limits of the devices
///     (`rate-limit`); an answer to what a group was asked passes as the question does
/// 11. nothing matched: `not-allowed`
///
/// What passes takes from the packet limits of its devices (`rate-limit`), and blocked TCP may be answered by
/// a reset. A device that is to be open (`on_agent_loss`, `fail`) is in `monitor` and skips 7 and 8.
///
/// A flow of this generation is looked up before 6: it has been through 6 to 8 in this very
/// generation. Sources that several devices may use (`0.0.0.0`, `::`, link-local) are judged every time:
/// their flow may be somebody else's. `learn` and `monitor` soften `spoofed`, `no-flow`,
/// `not-allowed` and `rate-limit`, at the end and nowhere else; a softened `spoofed` still meets 5 to 8.
///
/// An [`Exception`](crate::exception::Exception) goes before the mode of a device: it is in quarantine, or open. Where
/// the filter as a whole is open, what would end here is reported as `would-drop`, for whatever reason.
#[inline(always)]
pub fn decide<T: Tables>(case: &mut Case, tables: &T) {
    let _answered = tables.run(Stage::Readable, case) // 1
        || tables.run(Stage::Link, case) // 2
        || tables.run(Stage::Identity, case)
        || tables.run(Stage::Management, case) // 3
        || tables.run(Stage::Standing, case) // 4, 5
        || tables.run(Stage::Established, case) // 9, of what has been through 6 to 8
        || tables.run(Stage::FarEnd, case) // 6 to 8
        || tables.run(Stage::Conversation, case) // 9
        || tables.run(Stage::Answer, case) // 10, of what a group was asked
        || tables.run(Stage::Rules, case); // 10, 11
    tables.run(Stage::Conclusion, case);
    tables.run(Stage::Memory, case);
}

/// Takes one step; whether it answered. What [`Tables::run`] does.
#[inline(always)]
pub fn run<T: Tables>(stage: Stage, case: &mut Case, tables: &T) -> bool {
    let answer = match stage {
        Stage::Readable => readable::judge(case, tables),
        Stage::Link => link::judge(case, tables),
        Stage::Identity => identity::judge(case, tables),
        Stage::Management => management::judge(case, tables),
        Stage::Standing => identity::standing(case, tables),
        Stage::Established => conversation::established(case, tables),
        Stage::FarEnd => far_end::judge(case, tables),
        Stage::Conversation => conversation::judge(case, tables),
        Stage::Answer => rules::answer_to_group(case, tables),
        Stage::Rules => rules::judge(case, tables),
        Stage::Conclusion => conclusion::judge(case, tables),
        Stage::Memory => memory::judge(case, tables),
    };
    let Some(mut decision) = answer else { return false };
    if decision.step() == 0 {
        decision.set_step(stage as u8);
    }
    case.decision = decision;
    true
}

#[inline(always)]
fn answer<T: Tables>(verdict: Verdict, reason: Reason, tables: &T) -> Decision {
    Decision::new(verdict, reason, tables.generation())
}

#[inline(always)]
const fn otherwise(choice: Otherwise) -> Verdict {
    match choice {
        Otherwise::Drop => Verdict::Drop,
        Otherwise::Monitor => Verdict::WouldDrop,
        Otherwise::Pass => Verdict::Pass,
    }
}
