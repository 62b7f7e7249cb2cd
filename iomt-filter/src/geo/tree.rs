//! Whether the search tree of a database is one, before anything walks it.
//!
//! After the MaxMind DB format, version 2.0, "Binary Search Tree Section". A node that is reached twice
//! would be walked twice, and a chain of those without end: such a file is refused. The node where IPv4
//! begins may be reached again, by the aliases of IPv4 in IPv6.

use thiserror::Error;

/// What is wrong with a search tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TreeError {
    /// It ends before its last node.
    #[error("the file ends inside its search tree")]
    Truncated,
    /// Nodes of a size that the format does not have.
    #[error("records of {0} bits")]
    RecordSize(u16),
    /// A node with two parents, or one that is its own ancestor.
    #[error("node {0} of the search tree is reached twice")]
    NotATree(u32),
}

/// Bits in front of IPv4 in an IPv6 tree.
const IPV4_DEPTH: u32 = 96;

/// Checks `node_count` nodes of two records of `record_size` bits.
pub fn check(bytes: &[u8], node_count: u32, record_size: u16) -> Result<(), TreeError> {
    let nodes = Nodes::new(bytes, node_count, record_size)?;
    let ipv4 = nodes.ipv4_start();
    let mut is_reached = vec![false; node_count as usize];
    for node in 0..node_count {
        for child in nodes.children(node).into_iter().filter(|&child| child < node_count) {
            let Some(reached) = is_reached.get_mut(child as usize) else { continue };
            if child == 0 || (*reached && Some(child) != ipv4) {
                return Err(TreeError::NotATree(child));
            }
            *reached = true;
        }
    }
    Ok(())
}

struct Nodes<'d> {
    bytes: &'d [u8],
    count: u32,
    record_size: u16,
}

impl<'d> Nodes<'d> {
    fn new(bytes: &'d [u8], count: u32, record_size: u16) -> Result<Self, TreeError> {
        if ![24, 28, 32].contains(&record_size) {
            return Err(TreeError::RecordSize(record_size));
        }
        let length = count as usize * usize::from(record_size) / 4;
        let bytes = bytes.get(..length).ok_or(TreeError::Truncated)?;
        Ok(Self { bytes, count, record_size })
    }

    fn children(&self, node: u32) -> [u32; 2] {
        let size = usize::from(self.record_size) / 4;
        let start = node as usize * size;
        match self.bytes.get(start..start + size) {
            Some(&[a, b, c, d, e, f]) => [u32::from_be_bytes([0, a, b, c]), u32::from_be_bytes([0, d, e, f])],
            Some(&[a, b, c, middle, e, f, g]) => {
                [u32::from_be_bytes([middle >> 4, a, b, c]), u32::from_be_bytes([middle & 15, e, f, g])]
            }
            Some(&[a, b, c, d, e, f, g, h]) => {
                [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]
            }
            _ => [self.count; 2],
        }
    }

    /// The node at the end of 96 zero bits; in a tree of IPv4 alone there may be none.
    fn ipv4_start(&self) -> Option<u32> {
        let mut node = 0;
        for _ in 0..IPV4_DEPTH {
            if node >= self.count {
                return None;
            }
            node = self.children(node)[0];
        }
        Some(node).filter(|&node| node < self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(records: &[u32]) -> Vec<u8> {
        records.iter().flat_map(|record| record.to_be_bytes()[1..].to_vec()).collect()
    }

    #[test]
    fn trees_and_what_is_none() {
        assert_eq!(check(&tree(&[1, 2, 3, 3, 3, 3]), 3, 24), Ok(()));
        assert_eq!(check(&tree(&[1, 1, 3, 3, 3, 3]), 3, 24), Err(TreeError::NotATree(1)));
        assert_eq!(check(&tree(&[1, 2, 0, 3, 3, 3]), 3, 24), Err(TreeError::NotATree(0)));
        assert_eq!(check(&tree(&[1, 2]), 3, 24), Err(TreeError::Truncated));
        assert_eq!(check(&tree(&[1, 2]), 1, 23), Err(TreeError::RecordSize(23)));
    }
}
