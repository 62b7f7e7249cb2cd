//! A part of the rows that copies share until one of them is changed.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A table of rows. A copy costs nothing and is known to be one, so that what did not change is neither compared
/// nor written again; whoever changes a copy gets one of its own.
pub struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    /// Whether one is a copy of the other, and neither was changed since.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Default> Default for Shared<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || self.0 == other.0
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<T> From<T> for Shared<T> {
    fn from(rows: T) -> Self {
        Self(Arc::new(rows))
    }
}

impl<T: FromIterator<R>, R> FromIterator<R> for Shared<T> {
    fn from_iter<I: IntoIterator<Item = R>>(rows: I) -> Self {
        Self::from(T::from_iter(rows))
    }
}

impl<'a, T> IntoIterator for &'a Shared<T>
where
    &'a T: IntoIterator,
{
    type Item = <&'a T as IntoIterator>::Item;
    type IntoIter = <&'a T as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        T::serialize(self, serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_copy_is_one_until_it_is_changed() {
        let rows: Shared<BTreeMap<u8, u8>> = [(1, 10)].into_iter().collect();
        let mut copy = rows.clone();
        assert!(copy.is_same(&rows));
        copy.insert(2, 20);
        assert!(!copy.is_same(&rows) && copy != rows);
        assert_eq!((rows.len(), copy.len()), (1, 2));
        copy.remove(&2);
        assert!(!copy.is_same(&rows) && copy == rows, "equal, though no longer the same");
    }
}
