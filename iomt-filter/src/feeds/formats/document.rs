//! Walks a JSON document and takes out the records that stand at the wanted places, one at a time.
//!
//! Bytes come in, records go out; what is not wanted is skipped without being kept, so that the memory needed
//! is that of a record. Never half a document: where the JSON breaks, the caller gets an error.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Values in a record, which bounds the memory that a hostile one takes.
const MOST_VALUES: usize = 1_000_000;

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Into a member of an object.
    Key(String),
    /// Into an element of an array, from 0.
    Index(usize),
}

/// What to do with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Take it as a record.
    Take,
    /// Look at what is in it.
    Enter,
    /// Leave it out.
    Skip,
}

/// A document that is no JSON from here on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken {
    /// The line, from 1.
    pub(super) line: u32,
}

/// Whether a path is the one that is written: keys, and `*` for any key or index.
pub(super) fn is_at(path: &[Step], written: &[&str]) -> bool {
    path.len() == written.len()
        && path.iter().zip(written).all(|(step, written)| match step {
            Step::Key(key) => *written == "*" || key == written,
            Step::Index(_) => *written == "*",
        })
}

/// Whether a document without records is an empty list and no error of its source: an array, or an object with one of
/// these members.
pub(super) fn is_empty_list(bytes: &[u8], members: &[&str]) -> bool {
    if bytes.trim_ascii_start().starts_with(b"[") {
        return true;
    }
    let is_there = Cell::new(false);
    let want = |path: &[Step]| match path {
        [] => Want::Enter,
        [Step::Key(key), ..] if members.contains(&key.as_str()) => {
            is_there.set(true);
            Want::Skip
        }
        _ => Want::Skip,
    };
    walk(bytes, &want, &mut |_, _| {}).is_ok() && is_there.get()
}

/// Takes what stands at one of `places`, written as for [`is_at`].
pub(super) fn take(
    bytes: &[u8],
    places: &[&[&str]],
    take: &mut dyn FnMut(&[Step], Value),
) -> Result<(), Broken> {
    let want = |path: &[Step]| {
        let is_on_the_way =
            |place: &&&[&str]| place.get(..path.len()).is_some_and(|start| is_at(path, start));
        match places.iter().filter(is_on_the_way).map(|place| place.len()).min() {
            Some(length) if length == path.len() => Want::Take,
            Some(_) => Want::Enter,
            None => Want::Skip,
        }
    };
    walk(bytes, &want, take)
}

/// Walks a document.
pub(super) fn walk(
    bytes: &[u8],
    want: &dyn Fn(&[Step]) -> Want,
    take: &mut dyn FnMut(&[Step], Value),
) -> Result<(), Broken> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let mut path = Vec::new();
    Node { path: &mut path, want, take }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| Broken { line: u32::try_from(error.line()).unwrap_or(u32::MAX).max(1) })
}

/// A text, a number or a truth value as text; nothing for anything else.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A member as text.
pub(super) fn member(record: &Value, key: &str) -> Option<String> {
    text(record.get(key)?)
}

/// Several texts in one, as `a, b`: of an array, or of a text that stands for one.
pub(super) fn joined(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Array(values) => {
            let texts: Vec<_> = values.iter().filter_map(text).collect();
            (!texts.is_empty()).then(|| texts.join(", "))
        }
        single => text(single),
    }
}

struct Node<'n> {
    path: &'n mut Vec<Step>,
    want: &'n dyn Fn(&[Step]) -> Want,
    take: &'n mut dyn FnMut(&[Step], Value),
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match (self.want)(self.path) {
            Want::Skip => deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ()),
            Want::Enter => deserializer.deserialize_any(self),
            Want::Take => {
                let mut left = MOST_VALUES;
                let value = Bounded { left: &mut left }.deserialize(deserializer)?;
                (self.take)(self.path, value);
                Ok(())
            }
        }
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key()? {
            self.path.push(Step::Key(key));
            map.next_value_seed(Node { path: self.path, want: self.want, take: self.take })?;
            self.path.pop();
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        for index in 0.. {
            self.path.push(Step::Index(index));
            let element =
                sequence.next_element_seed(Node { path: self.path, want: self.want, take: self.take })?;
            self.path.pop();
            if element.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A value that has no more than so many others in it.
struct Bounded<'b> {
    left: &'b mut usize,
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        *self.left = self.left.checked_sub(1).ok_or_else(|| D::Error::custom("the record is too large"))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            object.insert(key, map.next_value_seed(Bounded { left: self.left })?);
        }
        Ok(Value::Object(object))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(value) = sequence.next_element_seed(Bounded { left: self.left })? {
            array.push(value);
        }
        Ok(Value::Array(array))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn taken(text: &str, places: &[&[&str]]) -> Result<Vec<(Vec<Step>, Value)>, u32> {
        let mut found = Vec::new();
        take(text.as_bytes(), places, &mut |path, value| found.push((path.to_vec(), value)))
            .map(|()| found)
            .map_err(|broken| broken.line)
    }

    #[test]
    fn records_are_taken_where_they_stand() {
        let text = r#"{"more": true, "objects": [{"a": 1}, 2], "rest": [[{"objects": [3]}]]}"#;
        let found = taken(text, &[&["objects", "*"], &["more"]]).unwrap();
        let values: Vec<_> = found.iter().map(|(_, value)| value.clone()).collect();
        assert_eq!(values, [json!(true), json!({"a": 1}), json!(2)]);
        assert_eq!(found[1].0, [Step::Key("objects".into()), Step::Index(0)]);
        assert_eq!(taken("7", &[&[]]).unwrap().len(), 1);
    }

    #[test]
    fn an_empty_list_is_told_from_an_error() {
        for (text, is_empty) in [
            ("[]", true),
            (r#"{"objects":[]}"#, true),
            (r#"{"error":"objects"}"#, false),
            ("{}", false),
            ("7", false),
            (r#"{"objects":"#, false),
        ] {
            assert_eq!(is_empty_list(text.as_bytes(), &["objects"]), is_empty, "{text}");
        }
    }

    #[test]
    fn what_breaks_off_is_an_error_with_its_line() {
        assert_eq!(taken("[1,\n2,\n", &[&["*"]]), Err(3));
        assert_eq!(taken("[1]\n]", &[&["*"]]), Err(2));
        assert_eq!(taken(&"[".repeat(1000), &[&["x"]]), Err(1));
        assert_eq!(taken(&format!("[[{}1]]", "1,".repeat(MOST_VALUES)), &[&["*"]]), Err(1));
    }

    proptest! {
        #[test]
        fn a_record_is_what_serde_json_reads(number in any::<f64>(), text in "\\PC{0,20}", whole in any::<i64>()) {
            let value = json!([{"a": [number, text, whole, null, true], "b": {text.as_str(): whole}}]);
            let found = taken(&value.to_string(), &[&[]]).unwrap();
            let again: Value = serde_json::from_str(&value.to_string()).unwrap();
            prop_assert_eq!(&found[0].1, &again);
        }
    }
}
