//! What is counted, and its form for Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use lineage_store::Appended;

use super::endpoint::Endpoint;

/// The upper bounds of durations, in microseconds.
const BOUNDS: [u64; 12] =
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000, 30_000_000];

/// Durations by their upper bounds.
#[derive(Debug, Default)]
struct Durations {
    buckets: [AtomicU64; BOUNDS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

impl Durations {
    fn add(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(at) = BOUNDS.iter().position(|bound| micros <= *bound) {
            self.buckets[at].fetch_add(1, Relaxed);
        }
        self.count.fetch_add(1, Relaxed);
        self.micros.fetch_add(micros, Relaxed);
    }

    fn write(&self, text: &mut String, name: &str) {
        let mut sum = 0;
        for (bound, bucket) in BOUNDS.iter().zip(&self.buckets) {
            sum += bucket.load(Relaxed);
            line(text, format_args!("{name}_bucket{{le=\"{}\"}} {sum}", *bound as f64 / 1e6));
        }
        let count = self.count.load(Relaxed);
        line(text, format_args!("{name}_bucket{{le=\"+Inf\"}} {count}"));
        line(text, format_args!("{name}_sum {}", self.micros.load(Relaxed) as f64 / 1e6));
        line(text, format_args!("{name}_count {count}"));
    }
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Method and path of each endpoint, in the order of the router.
    endpoints: OnceLock<Vec<(&'static str, &'static str)>>,
    /// By endpoint and status.
    requests: Mutex<BTreeMap<(usize, u16), u64>>,
    duration: Durations,
    refused: Mutex<BTreeMap<&'static str, u64>>,
    recorded: AtomicU64,
    duplicate: AtomicU64,
    rejected: AtomicU64,
    commit: Durations,
    committed: AtomicU64,
    /// Connections that are open.
    pub(crate) connections: AtomicU64,
}

impl Metrics {
    /// Names the endpoints; once.
    pub(crate) fn describe(&self, endpoints: &[Endpoint]) {
        self.endpoints.get_or_init(|| endpoints.iter().map(|e| (e.method.as_str(), e.path)).collect());
    }

    /// A request was answered.
    pub(crate) fn request(&self, endpoint: usize, status: StatusCode, took: Duration) {
        *lock(&self.requests).entry((endpoint, status.as_u16())).or_default() += 1;
        self.duration.add(took);
    }

    /// A request was refused, for a reason.
    pub(crate) fn refused(&self, reason: &'static str) {
        *lock(&self.refused).entry(reason).or_default() += 1;
    }

    /// Events were dealt with.
    pub(crate) fn appended(&self, appended: &[Appended]) {
        for one in appended {
            let counter = match one {
                Appended::Recorded(_) => &self.recorded,
                Appended::Duplicate(_) => &self.duplicate,
                Appended::Conflict(_) | Appended::Refused(_) => &self.rejected,
            };
            counter.fetch_add(1, Relaxed);
        }
    }

    /// One append with its sync was made.
    pub(crate) fn commit(&self, events: usize, took: Duration) {
        self.commit.add(took);
        self.committed.fetch_add(events as u64, Relaxed);
    }

    /// The text that Prometheus reads; `gauges` are values of now.
    pub(crate) fn text(&self, gauges: &[(&str, &str, u64)]) -> String {
        let mut text = String::new();
        head(&mut text, "lineage_requests_total", "counter", "Requests by endpoint and status");
        for ((at, status), count) in &*lock(&self.requests) {
            if let Some((method, path)) = self.endpoints.get().and_then(|endpoints| endpoints.get(*at)) {
                line(
                    &mut text,
                    format_args!(
                        "lineage_requests_total{{method=\"{method}\",path=\"{path}\",status=\"{status}\"}} {count}"
                    ),
                );
            }
        }
        head(&mut text, "lineage_request_seconds", "histogram", "How long requests took");
        self.duration.write(&mut text, "lineage_request_seconds");
        head(&mut text, "lineage_refused_total", "counter", "Requests that were refused, by reason");
        for (reason, count) in &*lock(&self.refused) {
            line(&mut text, format_args!("lineage_refused_total{{reason=\"{reason}\"}} {count}"));
        }
        head(&mut text, "lineage_events_total", "counter", "Events by what became of them");
        for (result, counter) in
            [("recorded", &self.recorded), ("duplicate", &self.duplicate), ("refused", &self.rejected)]
        {
            line(&mut text, format_args!("lineage_events_total{{result=\"{result}\"}} {}", counter.load(Relaxed)));
        }
        head(&mut text, "lineage_commit_seconds", "histogram", "How long appends with their sync took");
        self.commit.write(&mut text, "lineage_commit_seconds");
        head(&mut text, "lineage_commit_events_total", "counter", "Events in these appends");
        line(&mut text, format_args!("lineage_commit_events_total {}", self.committed.load(Relaxed)));
        let connections = ("lineage_connections", "Connections that are open", self.connections.load(Relaxed));
        for (name, about, value) in gauges.iter().copied().chain([connections]) {
            head(&mut text, name, "gauge", about);
            line(&mut text, format_args!("{name} {value}"));
        }
        text
    }
}

fn head(text: &mut String, name: &str, kind: &str, about: &str) {
    line(text, format_args!("# HELP {name} {about}"));
    line(text, format_args!("# TYPE {name} {kind}"));
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    writeln!(text, "{what}").ok();
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
