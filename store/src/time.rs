//! Instants as nanoseconds since 1970 in UTC, read and written as RFC 3339.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

/// An instant, in nanoseconds since 1970-01-01T00:00:00Z; 1678 to 2261.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// Before every event.
    pub const MIN: Self = Self(i64::MIN);
    /// After every event.
    pub const MAX: Self = Self(i64::MAX);

    /// The instant of a jiff timestamp; `None` outside 1678 to 2261.
    pub fn from_timestamp(timestamp: Timestamp) -> Option<Self> {
        i64::try_from(timestamp.as_nanosecond()).ok().map(Self)
    }

    fn timestamp(self) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// RFC 3339 in UTC with exactly six fractional digits (27 bytes), the form of `recorded`.
    pub fn micros(self) -> String {
        format!("{:.6}", self.timestamp())
    }

    /// Cuts to whole microseconds, the resolution of `recorded`.
    #[must_use]
    pub fn floor_micros(self) -> Self {
        Self(self.0.div_euclid(1000) * 1000)
    }
}

impl fmt::Display for Time {
    /// RFC 3339 in UTC with as many fractional digits as needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.timestamp())
    }
}

impl FromStr for Time {
    type Err = String;

    /// RFC 3339; a time without zone is taken as UTC (some emitters leave it out).
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{}` is no RFC 3339 time such as 2026-11-20T10:00:00Z", crate::digest::brief(text));
        if text.len() > 64 || !text.contains(['T', 't', ' ']) {
            return Err(refuse());
        }
        let timestamp = if let Ok(timestamp) = text.parse::<Timestamp>() {
            timestamp
        } else {
            let local: civil::DateTime = text.parse().map_err(|_| refuse())?;
            local.to_zoned(TimeZone::UTC).map_err(|_| refuse())?.timestamp()
        };
        Self::from_timestamp(timestamp)
            .ok_or_else(|| format!("`{text}` is outside the years 1678 to 2261 that can be kept"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_parse_and_print() {
        let check = |text: &str, want: &str| assert_eq!(text.parse::<Time>().expect(text).to_string(), want);
        check("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z");
        check("2026-11-20T10:00:00.5+02:00", "2026-11-20T08:00:00.5Z");
        check("2026-11-20T10:00:00.123456789Z", "2026-11-20T10:00:00.123456789Z");
        check("2026-11-20T10:00:00.5", "2026-11-20T10:00:00.5Z");
        assert_eq!(Time(1_500).floor_micros().micros(), "1970-01-01T00:00:00.000001Z");
        assert!("yesterday".parse::<Time>().is_err());
        assert!("2026-11-20".parse::<Time>().is_err());
        assert!("9999-01-01T00:00:00Z".parse::<Time>().is_err());
    }
}
