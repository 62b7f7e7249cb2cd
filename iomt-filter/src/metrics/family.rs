//! A family of metrics: what it is called, what it means, and how its samples come from what is shown.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::{PREFIX, Picture};

/// Labels of a family at most.
const MOST_LABELS: usize = 4;

/// What may become of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, as long as the tables in the kernel are the same.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A family of metrics.
pub struct Family {
    /// Its name, without what all begin with, unit and ending.
    name: &'static str,
    unit: Option<Unit>,
    /// What may become of its value.
    pub kind: Kind,
    /// What it means, in a sentence without its end.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    samples: fn(&Picture, &mut Samples<'_>),
}

/// Something that is there, or that goes up and down.
pub(super) const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Picture, &mut Samples<'_>),
) -> Family {
    Family { name, unit: None, kind: Kind::Gauge, help, labels, samples }
}

/// A time.
pub(super) const fn seconds(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Picture, &mut Samples<'_>),
) -> Family {
    Family { name, unit: Some(Unit::Seconds), kind: Kind::Gauge, help, labels, samples }
}

/// Something that is counted.
pub(super) const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Picture, &mut Samples<'_>),
) -> Family {
    Family { name, unit: None, kind: Kind::Counter, help, labels, samples }
}

impl Family {
    /// The name of its samples.
    #[must_use]
    pub fn full_name(&self) -> String {
        let unit = self.unit.as_ref().map(|unit| format!("_{}", unit.as_str())).unwrap_or_default();
        let ending = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{PREFIX}_{}{unit}{ending}", self.name)
    }

    pub(super) fn encode(&self, picture: &Picture, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
        };
        let encoder = encoder.encode_descriptor(self.name, self.help, self.unit.as_ref(), kind)?;
        let mut samples = Samples { encoder, kind: self.kind, labels: self.labels, outcome: Ok(()) };
        (self.samples)(picture, &mut samples);
        samples.outcome
    }
}

/// Where the samples of a family go.
pub(super) struct Samples<'e> {
    encoder: MetricEncoder<'e>,
    kind: Kind,
    labels: &'static [&'static str],
    outcome: fmt::Result,
}

impl Samples<'_> {
    /// One sample, with the values of the family's labels in their order.
    pub(super) fn put(&mut self, values: &[&str], number: impl Into<Number>) {
        if self.outcome.is_ok() {
            self.outcome = self.encode(values, number.into());
        }
    }

    /// One sample where there is a value.
    pub(super) fn put_some(&mut self, values: &[&str], number: Option<impl Into<Number>>) {
        if let Some(number) = number {
            self.put(values, number);
        }
    }

    /// A sample for each of `all`, the last label: 1 for the one that is so, 0 for the others.
    pub(super) fn put_state(&mut self, values: &[&str], all: &[&str], state: &str) {
        for one in all {
            self.put(&[values, &[*one]].concat(), *one == state);
        }
    }

    fn encode(&mut self, values: &[&str], number: Number) -> fmt::Result {
        let mut pairs = [("", ""); MOST_LABELS];
        let pairs = pairs.get_mut(..self.labels.len()).ok_or(fmt::Error)?;
        if values.len() != pairs.len() {
            return Err(fmt::Error);
        }
        for (pair, (label, value)) in pairs.iter_mut().zip(self.labels.iter().zip(values)) {
            *pair = (label, value);
        }
        let pairs: &[(&str, &str)] = pairs;
        if pairs.is_empty() {
            return number.encode(&mut self.encoder, self.kind);
        }
        number.encode(&mut self.encoder.encode_family(&pairs)?, self.kind)
    }
}

/// A value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(u64),
    Real(f64),
}

impl Number {
    fn encode(self, encoder: &mut MetricEncoder<'_>, kind: Kind) -> fmt::Result {
        match (kind, self) {
            (Kind::Counter, Self::Whole(value)) => encoder.encode_counter::<NoLabelSet, _, u64>(&value, None),
            (Kind::Counter, Self::Real(value)) => encoder.encode_counter::<NoLabelSet, _, u64>(&value, None),
            (Kind::Gauge, Self::Whole(value)) => encoder.encode_gauge(&value),
            (Kind::Gauge, Self::Real(value)) => encoder.encode_gauge(&value),
        }
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}
