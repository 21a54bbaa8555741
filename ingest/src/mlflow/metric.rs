//! Metrics: every measurement of a run, whole, and the latest of each key.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::body::{Body, required};
use super::ledger::Ledger;
use super::number::{Double, Int};
use super::page::Page;
use super::{Answer, Error, answer};

/// As many measurements are answered where nothing else is asked for, as `MLflow`'s server does.
const PAGE: usize = 25_000;
/// The most measurements of one answer.
const PAGE_MAX: usize = 50_000;

/// One measurement; 24 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) value: f64,
    /// Milliseconds since 1970.
    pub(super) timestamp: i64,
    pub(super) step: i64,
}

impl Point {
    /// By time, step and value: as `MLflow`'s server gives a history.
    fn order(&self, other: &Self) -> Ordering {
        let place = (self.timestamp, self.step).cmp(&(other.timestamp, other.step));
        place.then_with(|| self.value.total_cmp(&other.value))
    }

    /// Whether it is later: by step, then time, then value.
    fn is_later(&self, other: &Self) -> bool {
        let place = (self.step, self.timestamp).cmp(&(other.step, other.timestamp));
        place.then_with(|| self.value.partial_cmp(&other.value).unwrap_or(Ordering::Equal)).is_gt()
    }
}

/// All measurements of one key, in order, each once.
#[derive(Clone, Debug)]
pub(super) struct Series {
    points: Vec<Point>,
    latest: Point,
}

impl Series {
    /// One measurement.
    pub(super) fn new(point: Point) -> Self {
        Self { points: vec![point], latest: point }
    }

    /// Adds a measurement; false if it was told before, as a client does that was not answered.
    pub(super) fn add(&mut self, point: Point) -> bool {
        match self.points.last().map(|last| last.order(&point)) {
            Some(Ordering::Equal) => return false,
            Some(Ordering::Less) | None => self.points.push(point),
            Some(Ordering::Greater) => match self.points.binary_search_by(|other| other.order(&point)) {
                Ok(_) => return false,
                Err(at) => self.points.insert(at, point),
            },
        }
        if point.is_later(&self.latest) {
            self.latest = point;
        }
        true
    }

    /// The latest measurement.
    pub(super) fn latest(&self) -> Point {
        self.latest
    }
}

/// A measurement as the protocol has it.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    key: &'a str,
    value: Double,
    timestamp: i64,
    step: i64,
}

impl<'a> Shown<'a> {
    pub(super) fn of(key: &'a str, point: Point) -> Self {
        Self { key, value: Double(point.value), timestamp: point.timestamp, step: point.step }
    }
}

#[derive(Deserialize)]
struct Asked {
    run_id: Option<String>,
    run_uuid: Option<String>,
    metric_key: Option<String>,
    max_results: Option<Int>,
    page_token: Option<String>,
}

#[derive(Serialize)]
struct History<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// `metrics/get-history`
pub fn get_history(body: &Body, ledger: &Ledger) -> Answer {
    let asked: Asked = body.read()?;
    let run = ledger.runs.found(&required(asked.run_id.or(asked.run_uuid), "run_id")?)?;
    let key = required(asked.metric_key, "metric_key")?;
    let page = Page::read(asked.max_results.map(i64::from), asked.page_token.as_deref(), PAGE, PAGE_MAX)?;
    let points = run.metrics.get(key.as_str()).map(|series| series.points.iter().collect()).unwrap_or_default();
    let (points, next_page_token): (Vec<&Point>, _) = page.of(points);
    let metrics = points.into_iter().map(|point| Shown::of(&key, *point)).collect();
    answer(&History { metrics, next_page_token })
}

/// A measurement as a client sends it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Sent {
    pub(super) key: Option<String>,
    pub(super) value: Option<Double>,
    pub(super) timestamp: Option<Int>,
    pub(super) step: Option<Int>,
    pub(super) model_id: Option<String>,
    pub(super) dataset_name: Option<String>,
    pub(super) dataset_digest: Option<String>,
}

impl Sent {
    /// A measurement of a key of which nothing else is told.
    pub(super) fn of(key: &str) -> Self {
        Self {
            key: Some(key.to_owned()),
            value: None,
            timestamp: None,
            step: None,
            model_id: None,
            dataset_name: None,
            dataset_digest: None,
        }
    }

    /// The order of a history, whoever tells it.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let value = |sent: &Self| sent.value.map_or(f64::NAN, |value| value.0);
        let place = (self.timestamp, self.step).cmp(&(other.timestamp, other.step));
        place.then_with(|| value(self).total_cmp(&value(other)))
    }
}

/// The longest key of a metric or parameter, in bytes, as `MLflow` has it.
const KEY_BYTES_MAX: usize = 250;

/// A key that may be logged.
pub(super) fn key(key: Option<String>) -> Result<String, Error> {
    let key = required(key, "key")?;
    if key.len() > KEY_BYTES_MAX {
        return Err(Error::invalid(format!(
            "'{}…' exceeds the maximum length of {KEY_BYTES_MAX} bytes",
            key.chars().take(32).collect::<String>().escape_debug()
        )));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_whole_ordered_and_without_doubles() {
        let point = |value, timestamp, step| Point { value, timestamp, step };
        let mut series = Series::new(point(0.5, 10, 1));
        for (value, timestamp, step) in
            [(0.7, 20, 2), (0.1, 5, 0), (0.7, 20, 2), (0.6, 20, 2), (f64::NAN, 30, 3), (f64::NAN, 30, 3), (0.1, 5, 0)]
        {
            series.add(point(value, timestamp, step));
        }
        let told: Vec<(i64, i64)> = series.points.iter().map(|p| (p.timestamp, p.step)).collect();
        assert_eq!(told, [(5, 0), (10, 1), (20, 2), (20, 2), (30, 3)]);
        assert!(series.latest().value.is_nan());
        series.add(point(9.0, 40, 2));
        assert_eq!(series.latest().step, 3, "the step goes before the time");
    }
}
