//! A JSON object whose members are taken one by one, so that what was not understood is left.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::foreign::shown;

/// Modules that may stand in front of a member's name (RFC 7951 §4).
const MODULES: [&str; 4] = ["ietf-mud", "ietf-acldns", "ietf-access-control-list", "ietf-packet-fields"];

/// An object.
#[derive(Debug, Default)]
pub(super) struct Object<'v>(BTreeMap<&'v str, &'v Value>);

/// A name without its module, where that is one of those that MUD files are made of.
pub(super) fn local(name: &str) -> &str {
    match name.split_once(':') {
        Some((module, local)) if MODULES.contains(&module) => local,
        _ => name,
    }
}

impl<'v> Object<'v> {
    pub(super) fn of(value: &'v Value) -> Result<Self, String> {
        let members = value.as_object().ok_or("it is no object")?;
        let mut object = Self::default();
        for (name, value) in members {
            object.add(local(name), value)?;
        }
        Ok(object)
    }

    fn add(&mut self, name: &'v str, value: &'v Value) -> Result<(), String> {
        match self.0.insert(name, value) {
            Some(_) => Err(format!("`{}` stands there twice", shown(name))),
            None => Ok(()),
        }
    }

    /// Takes the member that has one of these names.
    pub(super) fn take(&mut self, names: &[&str]) -> Option<&'v Value> {
        names.iter().find_map(|name| self.0.remove::<str>(name))
    }

    /// Puts the members of a member among these: a level that some drafts have.
    pub(super) fn flatten(&mut self, names: &[&str]) -> Result<(), String> {
        for name in names {
            if let Some(value) = self.0.remove::<str>(name) {
                Object::of(value)?.0.into_iter().try_for_each(|(name, value)| self.add(name, value))?;
            }
        }
        Ok(())
    }

    /// The names that nobody took.
    pub(super) fn rest(self) -> Vec<String> {
        self.0.into_keys().map(shown).collect()
    }

    /// Nothing, or an error where something is left.
    pub(super) fn end(self) -> Result<(), String> {
        match self.rest().as_slice() {
            [] => Ok(()),
            names => Err(format!("unknown: `{}`", names.join("`, `"))),
        }
    }
}

/// A leaf of YANG's type `empty` (RFC 7951 §6.9), as files have it.
pub(super) fn is_empty_leaf(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(true) => true,
        Value::Array(items) => items.as_slice() == [Value::Null],
        _ => false,
    }
}
