//! Blocks by hand in the order of their targets, so that those round an address are found without looking at all.

use ipnet::IpNet;

use crate::feeds::ManualBlock;
use crate::policy::peer::canonical;

/// Blocks by hand, in order.
#[derive(Clone, Debug, Default)]
pub struct ByHand(Vec<ManualBlock>);

impl ByHand {
    /// Puts blocks in order.
    #[must_use]
    pub fn new(mut blocks: Vec<ManualBlock>) -> Self {
        blocks.sort_unstable_by_key(target);
        Self(blocks)
    }

    /// Those that cover all of `network`, the shortest prefix first.
    pub(super) fn covering(&self, network: IpNet) -> impl Iterator<Item = &ManualBlock> {
        (0..=network.prefix_len()).filter_map(move |bits| {
            let around = IpNet::new(network.addr(), bits).ok()?.trunc();
            self.0.get(self.0.binary_search_by_key(&around, target).ok()?)
        })
    }

    /// Those that lie in `network`, itself left out.
    pub(super) fn inside(&self, network: IpNet) -> &[ManualBlock] {
        let first = self.0.partition_point(|block| target(block) <= network);
        let last = IpNet::from(network.broadcast());
        let end = self.0.partition_point(|block| target(block) <= last);
        self.0.get(first..end).unwrap_or_default()
    }
}

fn target(block: &ManualBlock) -> IpNet {
    canonical(block.target.trunc())
}
