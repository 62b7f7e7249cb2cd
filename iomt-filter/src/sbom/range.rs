//! Whether a version is one of some: a single one, or a range as the `vers` specification writes it
//! (<https://github.com/package-url/vers-spec>). Versions are compared number by number; where they are written
//! otherwise, nobody can say.

use std::cmp::Ordering;

/// Whether a version is one of some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// It cannot be told.
    Unclear,
}

/// Whether `which`, a version or a range, holds `version`.
pub(super) fn holds(which: &str, version: &str) -> Holds {
    let Some(range) = which.strip_prefix("vers:") else {
        return if which.trim() == version.trim() { Holds::Yes } else { Holds::No };
    };
    let Some((_, constraints)) = range.split_once('/') else { return Holds::Unclear };
    if constraints.trim() == "*" {
        return Holds::Yes;
    }
    within(constraints, version).map_or(Holds::Unclear, |is_in| if is_in { Holds::Yes } else { Holds::No })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Than {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

fn within(constraints: &str, version: &str) -> Option<bool> {
    let version = numbers(version)?;
    let mut bounds = Vec::new();
    let mut is_named = false;
    for constraint in constraints.split('|').map(str::trim) {
        let (than, text) = if let Some(text) = constraint.strip_prefix("<=") {
            (Some(Than::LessOrEqual), text)
        } else if let Some(text) = constraint.strip_prefix(">=") {
            (Some(Than::GreaterOrEqual), text)
        } else if let Some(text) = constraint.strip_prefix("!=") {
            if compare(&numbers(text)?, &version) == Ordering::Equal {
                return Some(false);
            }
            continue;
        } else if let Some(text) = constraint.strip_prefix('<') {
            (Some(Than::Less), text)
        } else if let Some(text) = constraint.strip_prefix('>') {
            (Some(Than::Greater), text)
        } else {
            (None, constraint.strip_prefix('=').unwrap_or(constraint))
        };
        let bound = numbers(text)?;
        match than {
            Some(than) => bounds.push((bound, than)),
            None => is_named |= compare(&bound, &version) == Ordering::Equal,
        }
    }
    bounds.sort_by(|one, other| compare(&one.0, &other.0));
    Some(is_named || between(&bounds, &version))
}

/// Whether a version lies between a bound from below and the next one from above, or beyond the outermost ones.
fn between(bounds: &[(Vec<u64>, Than)], version: &[u64]) -> bool {
    let is_from_below = |than: Than| matches!(than, Than::Greater | Than::GreaterOrEqual);
    let meets = |(bound, than): &(Vec<u64>, Than)| {
        matches!(
            (compare(version, bound), than),
            (Ordering::Less, Than::Less | Than::LessOrEqual)
                | (Ordering::Greater, Than::Greater | Than::GreaterOrEqual)
                | (Ordering::Equal, Than::LessOrEqual | Than::GreaterOrEqual)
        )
    };
    let first = bounds.first().is_some_and(|bound| !is_from_below(bound.1) && meets(bound));
    let last = bounds.last().is_some_and(|bound| is_from_below(bound.1) && meets(bound));
    let mut pairs = bounds.windows(2).filter_map(|pair| <&[_; 2]>::try_from(pair).ok());
    first
        || last
        || pairs.any(|[below, above]| {
            is_from_below(below.1) && !is_from_below(above.1) && meets(below) && meets(above)
        })
}

/// The numbers of a version, as in `v2.10.0`; nothing where there is more to it.
fn numbers(text: &str) -> Option<Vec<u64>> {
    let text = text.trim();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    text.split('.').map(|part| part.parse().ok()).collect()
}

/// Order, where `1.2` and `1.2.0` are the same.
fn compare(one: &[u64], other: &[u64]) -> Ordering {
    let at = |numbers: &[u64], index: usize| numbers.get(index).copied().unwrap_or(0);
    let length = one.len().max(other.len());
    (0..length)
        .map(|index| at(one, index).cmp(&at(other, index)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_ranges_hold_what_they_say() {
        for (which, version, expected) in [
            ("2.4", "2.4", Holds::Yes),
            ("2.4", "2.4.0", Holds::No),
            ("vers:generic/>=2.9|<=4.1", "2.9", Holds::Yes),
            ("vers:generic/>=2.9|<=4.1", "4.1.0", Holds::Yes),
            ("vers:generic/>=2.9|<=4.1", "4.2", Holds::No),
            ("vers:semver/<7.0.0|>=1.5.0", "3.0", Holds::Yes),
            ("vers:semver/<1.5.0|>=7.0.0", "3.0", Holds::No),
            ("vers:semver/<1.5.0|>=7.0.0", "7.0.0", Holds::Yes),
            ("vers:semver/<1.5.0|>=7.0.0", "1.4.9", Holds::Yes),
            ("vers:semver/>=1|!=1.5|<2", "1.5.0", Holds::No),
            ("vers:semver/1.0|2.0", "2.0", Holds::Yes),
            ("vers:semver/*", "anything", Holds::Yes),
            ("vers:semver/>=1.0", "7u251", Holds::Unclear),
            ("vers:deb/>=1.0-1", "1.0", Holds::Unclear),
            ("vers:broken", "1.0", Holds::Unclear),
        ] {
            assert_eq!(holds(which, version), expected, "{which} {version}");
        }
    }
}
