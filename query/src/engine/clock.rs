//! Times of a statement as stretches of instants.

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
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

/// The zone of dates that are written without one; UTC by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl Zone {
    /// `UTC`, an offset such as `+02:00`, or a name of the system's time zones such as `Europe/Berlin`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let offset = || {
            let (sign, rest) =
                text.strip_prefix('+').map(|rest| (1, rest)).or(text.strip_prefix('-').map(|rest| (-1, rest)))?;
            let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "00"));
            let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
            let plain = rest.bytes().all(|b| b.is_ascii_digit() || b == b':') && hours <= 14 && minutes < 60;
            let seconds = sign * (hours * 3600 + minutes * 60);
            plain.then(|| Offset::from_seconds(seconds).ok()).flatten().map(TimeZone::fixed)
        };
        let named = || if text.eq_ignore_ascii_case("utc") { Some(TimeZone::UTC) } else { TimeZone::get(text).ok() };
        offset()
            .or_else(named)
            .map(Self)
            .ok_or_else(|| "write UTC, an offset such as +02:00, or a name such as Europe/Berlin".to_owned())
    }
}

/// The stretch of a time, relative to `now`; dates are days in a zone. `None` if it is no time that can be kept.
pub(crate) fn stretch(kind: &TimeKind, now: Time, Zone(zone): &Zone) -> Option<Stretch> {
    let midnight = |date: Date| Time::from_timestamp(date.to_zoned(zone.clone()).ok()?.timestamp());
    let day = |date: Date| Some(Stretch { start: midnight(date)?, end: midnight(date.tomorrow().ok()?)? });
    let date_of =
        |now: Time| Timestamp::from_nanosecond(i128::from(now.0)).ok().map(|t| t.to_zoned(zone.clone()).date());
    match kind {
        TimeKind::Date(text) => day(text.parse().ok()?),
        TimeKind::Month(text) => {
            let first: Date = format!("{text}-01").parse().ok()?;
            let next = first.checked_add(1.month()).ok()?;
            Some(Stretch { start: midnight(first)?, end: midnight(next)? })
        }
        TimeKind::DateTime(text) => instant(text, zone).map(Stretch::instant),
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

fn instant(text: &str, zone: &TimeZone) -> Option<Time> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Time::from_timestamp(timestamp);
    }
    let civil: DateTime = text.parse().ok()?;
    Time::from_timestamp(civil.to_zoned(zone.clone()).ok()?.timestamp())
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
            assert_eq!(
                stretch(kind, now, &Zone::default()),
                Some(Stretch { start: at(start), end: at(end) }),
                "{kind:?}"
            );
        };
        check(&TimeKind::Date("2026-06-30".into()), "2026-06-30T00:00:00Z", "2026-07-01T00:00:00Z");
        check(&TimeKind::Month("2026-12".into()), "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
        check(&TimeKind::Yesterday, "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z");
        check(&TimeKind::Ago(2, TimeUnit::Hour), "2026-11-20T08:00:00Z", "2026-11-20T08:00:00.000000001Z");
        let today = stretch(&TimeKind::Today, now, &Zone::default()).expect("today");
        assert_eq!(today.last(now), now, "a day that contains now ends at now");
    }

    #[test]
    fn dates_are_days_in_a_zone() {
        let zone = |text: &str| Zone::parse(text).expect(text);
        let at_zone =
            |kind: &TimeKind, text: &str| stretch(kind, at("2026-11-20T23:30:00Z"), &zone(text)).expect("a time").start;
        let date = TimeKind::Date("2026-06-30".into());
        assert_eq!(at_zone(&date, "+02:00"), at("2026-06-29T22:00:00Z"));
        assert_eq!(at_zone(&date, "-05:30"), at("2026-06-30T05:30:00Z"));
        assert_eq!(at_zone(&TimeKind::Today, "+02"), at("2026-11-20T22:00:00Z"), "there it is the 21st already");
        assert_eq!(at_zone(&TimeKind::DateTime("2026-06-30T12:00".into()), "+02:00"), at("2026-06-30T10:00:00Z"));
        assert_eq!(at_zone(&TimeKind::DateTime("2026-06-30T12:00:00Z".into()), "+02:00"), at("2026-06-30T12:00:00Z"));
        assert_eq!(zone("utc"), Zone::default());
        for wrong in ["", "Nowhere/City", "+25:00", "+2:99", "+-2", "2"] {
            assert!(Zone::parse(wrong).is_err(), "{wrong}");
        }
    }
}
