//! TOML with positions: tables are read key by key, and everything wrong is collected on the way.
//!
//! Text goes in, typed values with their spans come out, and a [`Diagnostic`] for every unknown key,
//! wrong type and unknown word. Nothing here knows what a key means.

use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Place, SourceFile};
use crate::nearest::did_you_mean;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub place: Place,
}

/// Reads one document and collects what is wrong with it.
pub struct Reader<'s> {
    source: &'s SourceFile,
    /// What was found so far.
    pub found: Vec<Diagnostic>,
}

impl<'s> Reader<'s> {
    /// A reader of `source`.
    pub fn new(source: &'s SourceFile) -> Self {
        Self { source, found: Vec::new() }
    }

    /// Parses the document; what is broken is reported, the rest is read on.
    pub fn parse(&mut self) -> Spanned<DeTable<'s>> {
        let (table, errors) = DeTable::parse_recoverable(self.source.text());
        for error in errors {
            let place = error.span().map_or_else(|| self.source.whole(), |span| self.source.place(span));
            self.found.push(Diagnostic::error(&place, error.message()));
        }
        table
    }

    /// The place of a span.
    pub fn place(&self, span: Range<usize>) -> Place {
        self.source.place(span)
    }

    /// Reports an error and gives it back for help to be added.
    pub fn error(&mut self, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        self.found.push(Diagnostic::error(place, message).help(help));
    }

    /// Enters a table that may have `known` keys and no others.
    pub fn section<'d>(
        &mut self,
        table: &'d DeTable<'s>,
        span: Range<usize>,
        name: &str,
        known: &[&str],
    ) -> Section<'d, 's> {
        for (key, _) in table.iter() {
            if !known.contains(&key.get_ref().as_ref()) {
                let place = self.place(key.span());
                let context = if name.is_empty() { String::new() } else { format!(" in `{name}`") };
                let message = format!("unknown key `{}`{context}", key.get_ref());
                self.error(&place, message, did_you_mean(key.get_ref(), known.iter().copied()));
            }
        }
        Section { table, place: self.place(span), name: name.to_owned() }
    }

    /// A string, or an error.
    pub fn as_string(&mut self, value: &Spanned<DeValue<'s>>, key: &str) -> Option<Located<String>> {
        let place = self.place(value.span());
        match value.get_ref().as_str() {
            Some(text) => Some(Located { value: text.to_owned(), place }),
            None => self.wrong_type(&place, key, "a string", value.get_ref()),
        }
    }

    /// A string or a list of them, or an error for whatever is neither.
    pub fn as_strings(&mut self, value: &Spanned<DeValue<'s>>, key: &str) -> Vec<Located<String>> {
        let place = self.place(value.span());
        match value.get_ref() {
            DeValue::String(text) => vec![Located { value: text.to_string(), place }],
            DeValue::Array(items) => items.iter().filter_map(|item| self.as_string(item, key)).collect(),
            other => self.wrong_type(&place, key, "a string or a list of strings", other).unwrap_or_default(),
        }
    }

    /// A table, or an error.
    pub fn as_table<'d>(&mut self, value: &'d Spanned<DeValue<'s>>, key: &str) -> Option<&'d DeTable<'s>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            other => {
                let place = self.place(value.span());
                self.wrong_type(&place, key, "a table", other)
            }
        }
    }

    /// A list, or an error.
    pub fn as_list<'d>(
        &mut self,
        value: &'d Spanned<DeValue<'s>>,
        key: &str,
    ) -> Option<&'d [Spanned<DeValue<'s>>]> {
        match value.get_ref() {
            DeValue::Array(list) => Some(list),
            other => {
                let place = self.place(value.span());
                self.wrong_type(&place, key, "a list", other)
            }
        }
    }

    fn wrong_type<T>(&mut self, place: &Place, key: &str, wanted: &str, got: &DeValue<'_>) -> Option<T> {
        let message = format!("`{key}` must be {wanted}, not {}", type_name(got));
        self.found.push(Diagnostic::error(place, message));
        None
    }
}

/// A table of the document, its keys already checked.
pub struct Section<'d, 's> {
    table: &'d DeTable<'s>,
    /// Where it stands.
    pub place: Place,
    /// Its name, as the user writes it.
    pub name: String,
}

impl<'d, 's> Section<'d, 's> {
    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&'d Spanned<DeValue<'s>>> {
        self.table.get(key)
    }

    /// A string.
    pub fn string(&self, key: &str, reader: &mut Reader<'s>) -> Option<Located<String>> {
        reader.as_string(self.get(key)?, key)
    }

    /// A string that must be there.
    pub fn required(&self, key: &str, reader: &mut Reader<'s>) -> Option<Located<String>> {
        if self.get(key).is_none() {
            let message = format!("`{}` has no `{key}`", self.name);
            reader.error(&self.place, message, format!("add `{key} = \"…\"`"));
        }
        self.string(key, reader)
    }

    /// A string or a list of them; empty where there is none.
    pub fn strings(&self, key: &str, reader: &mut Reader<'s>) -> Vec<Located<String>> {
        self.get(key).map(|value| reader.as_strings(value, key)).unwrap_or_default()
    }

    /// A table below this one, with its `known` keys.
    pub fn section(&self, key: &str, known: &[&str], reader: &mut Reader<'s>) -> Option<Section<'d, 's>> {
        let value = self.get(key)?;
        let table = reader.as_table(value, key)?;
        let name = if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) };
        Some(reader.section(table, value.span(), &name, known))
    }

    /// The entries of a list of tables.
    pub fn sections(&self, key: &str, known: &[&str], reader: &mut Reader<'s>) -> Vec<Section<'d, 's>> {
        let Some(list) = self.get(key).and_then(|value| reader.as_list(value, key)) else {
            return Vec::new();
        };
        list.iter()
            .filter_map(|item| {
                let table = reader.as_table(item, key)?;
                Some(reader.section(table, item.span(), key, known))
            })
            .collect()
    }

    /// Keys and values of a table whose keys are names that the user chose.
    pub fn entries(
        &self,
        key: &str,
        reader: &mut Reader<'s>,
    ) -> Vec<(Located<String>, &'d Spanned<DeValue<'s>>)> {
        let Some(table) = self.get(key).and_then(|value| reader.as_table(value, key)) else {
            return Vec::new();
        };
        table
            .iter()
            .map(|(name, value)| {
                let located = Located { value: name.get_ref().to_string(), place: reader.place(name.span()) };
                (located, value)
            })
            .collect()
    }

    /// A truth value.
    pub fn boolean(&self, key: &str, reader: &mut Reader<'s>) -> Option<bool> {
        let value = self.get(key)?;
        let place = reader.place(value.span());
        match value.get_ref().as_bool() {
            Some(truth) => Some(truth),
            None => reader.wrong_type(&place, key, "`true` or `false`", value.get_ref()),
        }
    }

    /// A whole number from 0 to `largest`.
    pub fn number(&self, key: &str, largest: u32, reader: &mut Reader<'s>) -> Option<u32> {
        self.number_within(key, 0..=largest, "", reader)
    }

    /// A whole number from a range; `help` says what to do about another one.
    pub fn number_within(
        &self,
        key: &str,
        range: RangeInclusive<u32>,
        help: &str,
        reader: &mut Reader<'s>,
    ) -> Option<u32> {
        let value = self.get(key)?;
        let place = reader.place(value.span());
        let Some(integer) = value.get_ref().as_integer() else {
            return reader.wrong_type(&place, key, "a whole number", value.get_ref());
        };
        let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("`{key}` must be between {} and {}", range.start(), range.end());
            let error = Diagnostic::error(&place, message);
            reader.found.push(if help.is_empty() { error } else { error.help(help) });
        }
        number
    }

    /// One of the words of a table.
    pub fn word<T: Copy>(&self, key: &str, words: &[(&str, T)], reader: &mut Reader<'s>) -> Option<T> {
        let text = self.string(key, reader)?;
        let found = words.iter().find(|(word, _)| *word == text.value).map(|&(_, meaning)| meaning);
        if found.is_none() {
            let help = did_you_mean(&text.value, words.iter().map(|&(word, _)| word));
            reader.error(&text.place, format!("`{key}` cannot be `{}`", text.value), help);
        }
        found
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "a truth value",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
