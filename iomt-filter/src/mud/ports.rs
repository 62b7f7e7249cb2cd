//! Ports of one end, as RFC 8519 (`ietf-packet-fields`) writes them.

use serde_json::Value;

use super::object::Object;

const LAST: u16 = u16::MAX;

/// Ranges of ports, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ports(pub(super) Vec<(u16, u16)>);

impl Ports {
    /// All of them.
    pub(super) fn any() -> Self {
        Self(vec![(0, LAST)])
    }

    pub(super) fn is_any(&self) -> bool {
        self.0 == [(0, LAST)]
    }

    /// Whether each of the others is one of these.
    pub(super) fn cover(&self, others: &Self) -> bool {
        others.0.iter().all(|(first, last)| self.0.iter().any(|(from, to)| from <= first && last <= to))
    }

    /// Whether they have one in common.
    pub(super) fn meet(&self, others: &Self) -> bool {
        others.0.iter().any(|(first, last)| self.0.iter().any(|(from, to)| from <= last && first <= to))
    }

    /// `operator` and `port`, or `lower-port` and `upper-port`. In drafts a range may have one port alone, and both may
    /// stand one container deeper.
    pub(super) fn read(value: &Value, is_draft: bool) -> Result<Self, String> {
        let mut object = Object::of(value)?;
        if let Some(inner) = object.take(&["port-range-or-operator"]).filter(|_| is_draft) {
            object.end()?;
            return Self::read(inner, is_draft);
        }
        let mut port = |name: &str| object.take(&[name]).map(|value| number(value, name)).transpose();
        let (port, lower, upper) = (port("port")?, port("lower-port")?, port("upper-port")?);
        let operator = object.take(&["operator"]);
        object.end()?;
        let operator = operator.map(|value| value.as_str().ok_or("`operator` is no word")).transpose()?;
        match (operator, port, lower, upper) {
            // `eq` is the default of RFC 8519.
            (Some("eq") | None, Some(port), None, None) => Ok(Self(vec![(port, port)])),
            (Some("lte"), Some(port), None, None) => Ok(Self(vec![(0, port)])),
            (Some("gte"), Some(port), None, None) => Ok(Self(vec![(port, LAST)])),
            (Some("neq"), Some(port), None, None) => {
                let below = port.checked_sub(1).map(|last| (0, last));
                let above = port.checked_add(1).map(|first| (first, LAST));
                Ok(Self(below.into_iter().chain(above).collect()))
            }
            (None, None, Some(lower), Some(upper)) if lower <= upper => Ok(Self(vec![(lower, upper)])),
            (None, None, Some(_), Some(_)) => Err("a range of ports ends before it begins".to_owned()),
            (None, None, Some(lower), None) if is_draft => Ok(Self(vec![(lower, lower)])),
            _ => Err("ports are neither an operator with a port nor a range".to_owned()),
        }
    }
}

fn number(value: &Value, name: &str) -> Result<u16, String> {
    let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
    number.ok_or_else(|| format!("`{name}` is no number from 0 to 65535"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_notation_and_nothing_else() {
        let read = |value: Value| Ports::read(&value, false).map(|ports| ports.0);
        assert_eq!(read(json!({"operator": "eq", "port": 443})), Ok(vec![(443, 443)]));
        assert_eq!(read(json!({"port": 443})), Ok(vec![(443, 443)]));
        assert_eq!(read(json!({"operator": "lte", "port": 1023})), Ok(vec![(0, 1023)]));
        assert_eq!(read(json!({"operator": "gte", "port": 1024})), Ok(vec![(1024, 65535)]));
        assert_eq!(read(json!({"operator": "neq", "port": 0})), Ok(vec![(1, 65535)]));
        assert_eq!(read(json!({"operator": "neq", "port": 23})), Ok(vec![(0, 22), (24, 65535)]));
        assert_eq!(read(json!({"lower-port": 1, "upper-port": 9})), Ok(vec![(1, 9)]));
        for wrong in [
            json!({"lower-port": 9, "upper-port": 1}),
            json!({"lower-port": 9}),
            json!({"operator": "eq"}),
            json!({"operator": "eq", "port": 65536}),
            json!({"operator": "eq", "port": "443"}),
            json!({"operator": "about", "port": 443}),
            json!({"operator": "eq", "port": 443, "upper-port": 500}),
            json!({"operator": "eq", "port": 443, "step": 2}),
            json!(443),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
        let draft = json!({"port-range-or-operator": {"lower-port": 9543}});
        assert_eq!(Ports::read(&draft, true).unwrap().0, [(9543, 9543)]);
    }
}
