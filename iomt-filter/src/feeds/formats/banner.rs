//! What a list says of itself in its comments: its category, how many entries it has, that it is given up.
//!
//! Comment lines come in, remarks go out. No comment makes or takes away an entry.

use super::collect::Collector;
use super::{Remark, category};
use crate::feeds::Category;

/// What the comments of a list say.
#[derive(Debug, Default)]
pub(super) struct Banner {
    /// What its entries are listed for, where FireHOL's header says so.
    pub(super) category: Option<Category>,
    /// Whether FireHOL's header calls it a set of networks.
    pub(super) is_netset: bool,
    said: Option<u64>,
    deprecated: Option<String>,
}

impl Banner {
    /// Of all comment lines of a list; comments begin with one of `marks`.
    pub(super) fn of(bytes: &[u8], marks: &[u8]) -> Self {
        let mut banner = Self::default();
        for line in bytes.split(|&byte| byte == b'\n') {
            let line = line.trim_ascii();
            if line.first().is_some_and(|first| marks.contains(first)) {
                banner.read(&String::from_utf8_lossy(line));
            }
        }
        banner
    }

    /// Reads a comment line.
    pub(super) fn read(&mut self, line: &str) {
        let comment = line.trim_matches(|c: char| matches!(c, '#' | ';' | '/') || c.is_whitespace());
        if self.deprecated.is_none()
            && ["deprecated", "discontinued"].iter().any(|word| mentions(comment, word))
        {
            self.deprecated = Some(comment.chars().take(200).collect());
        }
        if comment.ends_with("hash:net ipset") || comment.ends_with("hash:ip ipset") {
            self.is_netset = true;
        }
        // abuse.ch closes its lists so.
        if let Some(count) = comment.strip_prefix("END ").and_then(|rest| rest.strip_suffix(" entries")) {
            self.said = count.parse().ok().or(self.said);
        }
        let Some((key, value)) = comment.split_once(':') else { return };
        match key.trim_end() {
            "Category" => self.category = Some(category::of(value)),
            "Entries" | "Number of entries" => {
                let digits = value.trim_start().split(|c: char| !c.is_ascii_digit()).next();
                self.said = digits.and_then(|digits| digits.parse().ok()).or(self.said);
            }
            _ => {}
        }
    }

    /// Remarks what was said, of a list that has `found` records.
    pub(super) fn remark(self, found: u64, collector: &mut Collector) {
        if let Some(line) = self.deprecated {
            collector.remark(Remark::Deprecated(line));
        }
        collector.said(self.said, found);
    }
}

/// Whether a text has a word, in whichever case.
fn mentions(text: &str, word: &str) -> bool {
    text.as_bytes().windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read() {
        assert_eq!(Banner::of(b"# END 7 entries #", b"#").said, Some(7));
        let text = b"# drop\n# ipv4 hash:net ipset\n# Category        : unroutable\n# Entries         : 3 subnets, 99 unique IPs\n1.2.3.4 # Category : spam\n# ATTENTION: This list has been DEPRECATED on 2025-01-03\n";
        let banner = Banner::of(text, b"#");
        assert_eq!((banner.category, banner.said), (Some(Category::Bogon), Some(3)));
        assert!(banner.is_netset);
        assert_eq!(
            banner.deprecated.as_deref(),
            Some("ATTENTION: This list has been DEPRECATED on 2025-01-03")
        );
    }
}
