//! The small parts of the tree: spans, names, attributes, values and times.

use serde::{Serialize, Serializer};

/// A range of bytes of the source; all spans are equal, so trees compare by structure.
#[derive(Clone, Copy, Debug, Default, Eq)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes from `start` up to `end`.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// From the start of `self` to the end of `other`, whichever of them is first.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

impl PartialEq for Span {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [self.start, self.end].serialize(serializer)
    }
}

/// A name written bare, quoted or as a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Name {
    /// What was written.
    pub value: NameValue,
    /// Where.
    pub span: Span,
}

/// The content of a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NameValue {
    /// The name itself.
    Text(String),
    /// A parameter, bound after parsing.
    Param(String),
}

/// An attribute, perhaps of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attr {
    /// `metric`, `param` or `meta`.
    pub namespace: Option<&'static str>,
    /// The name in the namespace, or the bare attribute.
    pub name: String,
    /// The whole attribute.
    pub span: Span,
}

/// A typed value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Value {
    /// The value itself.
    pub kind: ValueKind,
    /// Where it was written.
    pub span: Span,
}

/// The types of values.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueKind {
    /// A plain number.
    Number(Number),
    /// A number with a unit, such as `10MB` or `30s`.
    Quantity(Number, Unit),
    /// A bare or quoted word.
    Text(String),
    /// A point or interval in time.
    Time(TimeKind),
    /// A parameter, bound after parsing.
    Param(String),
}

/// A number as it was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Number {
    /// The nearest binary value.
    pub value: f64,
    /// The digits of the source.
    pub text: String,
}

/// Units of quantities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// 1,000 bytes.
    Kilobyte,
    /// 1,000² bytes.
    Megabyte,
    /// 1,000³ bytes.
    Gigabyte,
    /// 1,000⁴ bytes.
    Terabyte,
    /// A length of time.
    Time(TimeUnit),
}

/// Units of durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    /// Seconds.
    Second,
    /// Minutes.
    Minute,
    /// Hours.
    Hour,
    /// Days of 24 hours.
    Day,
}

impl TimeUnit {
    /// The length in seconds.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }
}

/// A time that is resolved later, with the clock and the zone of the query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimeExpr {
    /// What was written.
    pub kind: TimeKind,
    /// Where.
    pub span: Span,
}

/// The forms of a time; dates were checked against the calendar.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeKind {
    /// `2026-06-30`.
    Date(String),
    /// `2026-06`.
    Month(String),
    /// `2026-06-30T12:00[:00[.5]][Z|±hh:mm]`.
    DateTime(String),
    /// `now`.
    Now,
    /// `today`.
    Today,
    /// `yesterday`.
    Yesterday,
    /// `7 days ago`.
    Ago(u64, TimeUnit),
    /// A parameter, bound after parsing.
    Param(String),
}

/// The right side of `known at`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownAt {
    /// Recorded by then.
    Time(TimeExpr),
    /// Up to a position of the log.
    Log(u64, Span),
}

/// The right side of `limit`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// At most so many rows.
    Count(u64),
    /// A parameter, bound after parsing.
    Param(Name),
}

/// One key of `order by`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Key {
    /// The attribute.
    pub attr: Attr,
    /// `desc`.
    pub descending: bool,
}
