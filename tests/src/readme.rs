//! The commands that the README and other pages show, so that each of them is run by a test.

use std::fs;
use std::path::PathBuf;

/// The folder of the repository.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The arguments of every `iomt-filter` command in the README's blocks marked `` ```sh KIND ``.
///
/// # Panics
/// When the README cannot be read or a command is none of `iomt-filter`.
#[must_use]
pub fn commands(kind: &str) -> Vec<Vec<String>> {
    commands_of("README.md", kind)
}

/// The same of another page of the repository.
///
/// # Panics
/// As [`commands`].
#[must_use]
#[allow(clippy::expect_used, reason = "what fails here fails the test that asked")]
pub fn commands_of(page: &str, kind: &str) -> Vec<Vec<String>> {
    let lines = blocks_of(page, &format!("sh {kind}")).concat();
    lines.iter().map(|line| words(line.strip_prefix("iomt-filter ").expect("an own command"))).collect()
}

/// The words of every command, whosever it is, in a page's blocks marked `` ```sh KIND ``.
///
/// # Panics
/// When the page cannot be read.
#[must_use]
pub fn any_commands_of(page: &str, kind: &str) -> Vec<Vec<String>> {
    blocks_of(page, &format!("sh {kind}")).concat().iter().map(|line| words(line)).collect()
}

/// The lines of each block of a page that is marked so.
///
/// # Panics
/// When the page cannot be read.
#[must_use]
#[allow(clippy::expect_used, reason = "what fails here fails the test that asked")]
pub fn blocks_of(page: &str, mark: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join(page)).expect("the page is readable");
    let opening = format!("```{mark}");
    let mut blocks: Vec<Vec<String>> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match (line, blocks.last_mut()) {
            ("```", _) => inside = false,
            (line, _) if line == opening => {
                inside = true;
                blocks.push(Vec::new());
            }
            (line, Some(block)) if inside => block.push(line.to_owned()),
            _ => {}
        }
    }
    blocks
}

/// Words of a command line, as a shell splits them: double quotes hold together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match (c, words.last_mut()) {
            ('"', _) => quoted = !quoted,
            (' ', _) if !quoted => words.push(String::new()),
            (c, Some(word)) => word.push(c),
            (_, None) => {}
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(
            words(r#"block add 1.2.3.4 --note "two words""#),
            ["block", "add", "1.2.3.4", "--note", "two words"]
        );
    }
}
