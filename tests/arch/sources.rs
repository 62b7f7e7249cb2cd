//! The Rust files of the repository, and what of them is code.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file.
pub(crate) struct Source {
    /// Its path from the root of the repository, with `/`.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

impl Source {
    /// The lines in front of the file's own tests, numbered from 1.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let until = self.text.find("#[cfg(test)]\nmod ").unwrap_or(self.text.len());
        (1..).zip(self.text[..until].lines())
    }

    /// The same without comments and the content of string literals.
    pub(crate) fn bare(&self) -> impl Iterator<Item = (usize, String)> {
        self.code().map(|(number, line)| (number, without_words(line)))
    }
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every Rust file below `directory`, or `directory` itself where it is one; none where it is missing.
pub(crate) fn below(directory: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(directory), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Every Rust file of the workspace's crates.
pub(crate) fn all() -> Vec<Source> {
    let found = below("");
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn collect(path: &Path, found: &mut Vec<Source>) {
    if path.is_dir() {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path != root() && (name.starts_with('.') || name == "target") {
            return;
        }
        let entries: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.iter().for_each(|entry| collect(entry, found));
    } else if path.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
        let relative = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
        found.push(Source { path: relative, text: fs::read_to_string(path).unwrap() });
    }
}

fn without_words(line: &str) -> String {
    let mut bare = String::new();
    let mut in_string = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if in_string => drop(characters.next()),
            '"' => in_string = !in_string,
            '/' if !in_string && characters.peek() == Some(&'/') => return bare,
            _ if in_string => {}
            _ => bare.push(character),
        }
    }
    bare
}

#[test]
fn words_are_told_from_code() {
    assert_eq!(without_words(r#"call("danger \" // no"); // danger"#), "call(); ");
}
