//! Times of a statement as stretches of instants.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use lineage_store::time::Time;

use crate::syntax::ast::{TimeKind, TimeUnit};

/// A stretch of time: from the first instant up to, not including, the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) start: Time,
    pub(crate) end: Time,
}

impl Stretch {
    /// A single instant.
    pub(crate) fn instant(at: Time) -> Self {
        Self { start: at, end: Time(at.0.saturating_add(1)) }
    }

    /// The last instant in it, but not after `now` if it contains that.
    pub(crate) fn last(self, now: Time) -> Time {
        let last = Time(self.end.0 - 1);
        if self.start <= now { last.min(now).max(self.start) } else { last }
    }
}

/// The stretch of a time, relative to `now`; dates are days in UTC. `None` if it is no time that can be kept.
pub(crate) fn stretch(kind: &TimeKind, now: Time) -> Option<Stretch> {
    match kind {
        TimeKind::Date(text) => day(text.parse().ok()?),
        TimeKind::Month(text) => {
            let first: Date = format!("{text}-01").parse().ok()?;
            let next = first.checked_add(1.month()).ok()?;
            Some(Stretch { start: midnight(first)?, end: midnight(next)? })
        }
        TimeKind::DateTime(text) => instant(text).map(Stretch::instant),
        TimeKind::Now => Some(Stretch::instant(now)),
        TimeKind::Today => day(date_of(now)?),
        TimeKind::Yesterday => day(date_of(now)?.yesterday().ok()?),
        TimeKind::Ago(n, unit) => Some(Stretch::instant(before(now, *n, *unit))),
        TimeKind::Param(_) => None,
    }
}

/// An instant some units before another.
pub(crate) fn before(now: Time, n: u64, unit: TimeUnit) -> Time {
    let nanos = i128::from(n) * i128::from(unit.seconds()) * 1_000_000_000;
    Time(i64::try_from(i128::from(now.0) - nanos).unwrap_or(i64::MIN))
}

fn instant(text: &str) -> Option<Time> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Time::from_timestamp(timestamp);
    }
    let civil: DateTime = text.parse().ok()?;
    Time::from_timestamp(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn date_of(now: Time) -> Option<Date> {
    Timestamp::from_nanosecond(i128::from(now.0)).ok().map(|t| t.to_zoned(TimeZone::UTC).date())
}

fn midnight(date: Date) -> Option<Time> {
    Time::from_timestamp(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn day(date: Date) -> Option<Stretch> {
    Some(Stretch { start: midnight(date)?, end: midnight(date.tomorrow().ok()?)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        text.parse().expect(text)
    }

    #[test]
    fn dates_are_days_in_utc() {
        let now = at("2026-11-20T10:00:00Z");
        let check = |kind: &TimeKind, start: &str, end: &str| {
            assert_eq!(stretch(kind, now), Some(Stretch { start: at(start), end: at(end) }), "{kind:?}");
        };
        check(&TimeKind::Date("2026-06-30".into()), "2026-06-30T00:00:00Z", "2026-07-01T00:00:00Z");
        check(&TimeKind::Month("2026-12".into()), "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
        check(&TimeKind::Yesterday, "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z");
        check(&TimeKind::Ago(2, TimeUnit::Hour), "2026-11-20T08:00:00Z", "2026-11-20T08:00:00.000000001Z");
        let today = stretch(&TimeKind::Today, now).expect("today");
        assert_eq!(today.last(now), now, "a day that contains now ends at now");
    }
}
