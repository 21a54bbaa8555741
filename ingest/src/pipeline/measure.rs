//! Lengths of time (`90s`, `1h30m`, `7d`) and amounts of memory (`512M`, `8G`) as specifications write them.

use std::time::Duration;

/// The longest time that a specification may name: ten years.
const SECONDS_MAX: u64 = 10 * 366 * 24 * 3600;

/// Reads a length of time: whole numbers, each with `s`, `m`, `h` or `d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..end].parse().ok()?;
        let factor = match rest.as_bytes()[end] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(factor)?)?;
        rest = &rest[end + 1..];
    }
    (1..=SECONDS_MAX).contains(&seconds).then(|| Duration::from_secs(seconds))
}

/// Reads an amount of memory in bytes: a whole number with `K`, `M`, `G` or `T`, powers of 1,024.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.strip_suffix("iB").or(text.strip_suffix('B')).unwrap_or(text);
    let unit = text.chars().next_back()?;
    let shift = match unit {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        'T' => 40,
        _ => return None,
    };
    let number: u64 = text[..text.len() - 1].parse().ok()?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        let seconds = |text| duration(text).map(|d| d.as_secs());
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds("7d"), Some(604_800));
        for wrong in ["", "5", "h", "1.5h", "3w", "0s", "99999999999999999999d", "4000d"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn memory_has_a_unit() {
        assert_eq!(bytes("8G"), Some(8 << 30));
        assert_eq!(bytes("512MiB"), Some(512 << 20));
        for wrong in ["", "8", "G", "1.5G", "0M", "99999999999T", "8X"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
