//! The schedule: five fields of cron and a zone, and when it is due next.

use cronexpr::{Crontab, FallbackTimezoneOption, MakeTimestamp, ParseOptions};
use lineage_store::time::Time;

/// When a pipeline is due.
#[derive(Clone, Debug)]
pub struct Schedule(Crontab);

impl Schedule {
    /// Reads `minute hour day month weekday [zone]`; without a zone, UTC.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut options = ParseOptions::default();
        options.fallback_timezone_option = FallbackTimezoneOption::UTC;
        // The reader's own text quotes the input over several lines with a mark below.
        let brief = |error: cronexpr::Error| {
            error.to_string().lines().last().unwrap_or_default().trim_matches([' ', '^']).to_owned()
        };
        cronexpr::parse_crontab_with(text, options).map(Self).map_err(brief)
    }

    /// The first instant after another at which it is due; `None` if there is none.
    pub fn next_after(&self, time: Time) -> Option<Time> {
        let from = MakeTimestamp::from_nanosecond(i128::from(time.0)).ok()?;
        let next = self.0.find_next(from).ok()?;
        i64::try_from(next.timestamp().as_nanosecond()).ok().map(Time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(text: &str, from: &str) -> String {
        let time: Time = from.parse().expect("a time");
        Schedule::parse(text).expect(text).next_after(time).expect("a next time").to_string()
    }

    #[test]
    fn the_next_time_is_after_the_last() {
        assert_eq!(next("0 3 * * *", "2026-11-20T03:00:00Z"), "2026-11-21T03:00:00Z");
        assert_eq!(next("*/15 * * * *", "2026-11-20T10:07:00Z"), "2026-11-20T10:15:00Z");
        assert_eq!(next("0 3 * * * Europe/Berlin", "2026-11-20T10:00:00Z"), "2026-11-21T02:00:00Z");
        assert_eq!(next("0 0 29 2 *", "2026-11-20T10:00:00Z"), "2028-02-29T00:00:00Z");
    }

    #[test]
    fn a_wrong_schedule_says_why() {
        for wrong in ["", "0 3 * *", "61 * * * *", "x * * * *"] {
            let why = Schedule::parse(wrong).expect_err(wrong);
            assert!(!why.is_empty() && !why.contains('\n'), "{wrong}: {why}");
        }
    }
}
