//! Step 10: the allow rules of every device in a conversation.

use super::side::{Side, Sides};
use crate::flow::Conversation;
use crate::policy::RuleDirection;
use crate::tables::Tables;
use crate::verdict::Direction;

/// The principal side and its rule; or the strictest side that has none.
#[inline(always)]
pub(super) fn find<T: Tables>(
    conversation: &Conversation<T::Entry>,
    sides: &Sides,
    tables: &T,
) -> Result<(Side, u32), Side> {
    let sender = sides.sender.map(|side| rule_of(side, sides.receiver, conversation, tables));
    let receiver = sides.receiver.map(|side| rule_of(side, sides.sender, conversation, tables));
    match (sender, receiver) {
        (Some(None), Some(None)) => Err(sides.strictest()),
        (_, Some(None)) => Err(sides.receiver_or_principal()),
        (Some(Some(rule)), _) | (None, Some(Some(rule))) => Ok((sides.principal(), rule)),
        (Some(None), _) | (None, None) => Err(sides.principal()),
    }
}

#[inline(always)]
fn rule_of<T: Tables>(
    side: Side,
    peer: Option<Side>,
    conversation: &Conversation<T::Entry>,
    tables: &T,
) -> Option<u32> {
    let opened_by_sender = !conversation.is_reply;
    let is_sender = side.direction as u8 == Direction::FromDevice as u8;
    let direction = if is_sender == opened_by_sender { RuleDirection::To } else { RuleDirection::From };
    let peer_profile = peer.map_or(0, |peer| peer.profile);
    tables.rule(side.profile, direction, side.far, peer_profile, conversation.key.service())
}
