//! Numbers that stay with a name, so that counters and events of one generation mean the same in the
//! next. The agent keeps them in its state; a name that went away keeps its number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::rows::Shared;

/// Names to numbers, from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Numbers {
    /// Devices.
    pub devices: Shared<BTreeMap<String, u32>>,
    /// Feeds.
    pub feeds: Shared<BTreeMap<String, u16>>,
}

impl Numbers {
    /// The number of a device, a new one where it has none; `None` when all are taken.
    pub fn device(&mut self, name: &str) -> Option<u32> {
        if let Some(&number) = self.devices.get(name) {
            return Some(number);
        }
        let number = self.devices.values().max().copied().unwrap_or(0).checked_add(1)?;
        self.devices.insert(name.to_owned(), number);
        Some(number)
    }

    /// The number of a feed, a new one where it has none; `None` when all are taken.
    pub fn feed(&mut self, name: &str) -> Option<u16> {
        if let Some(&number) = self.feeds.get(name) {
            return Some(number);
        }
        let number = self.feeds.values().max().copied().unwrap_or(0).checked_add(1)?;
        self.feeds.insert(name.to_owned(), number);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.device("ct-1"), Some(1));
        assert_eq!(numbers.device("pump-1"), Some(2));
        let kept = serde_json::to_string(&numbers).unwrap();
        let mut numbers: Numbers = serde_json::from_str(&kept).unwrap();
        assert_eq!(numbers.device("pump-1"), Some(2));
        assert_eq!(numbers.device("ct-2"), Some(3));
        numbers.feeds.insert("last".into(), u16::MAX);
        assert_eq!(numbers.feed("more"), None);
    }
}
