//! Times and spans as people write and read them.

use std::time::Duration;

const DAY_S: u64 = 86_400;

/// A Unix time in milliseconds as `2026-01-31 23:59:59` UTC.
pub fn utc(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    let (year, month, day) = civil(seconds / DAY_S);
    let of_day = seconds % DAY_S;
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
///
/// Counts in 400-year cycles from 1 March of year 0, so that a leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let cycle = days / 146_097;
    let day = days % 146_097;
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (cycle * 400 + year + later, month, day_of_month)
}

/// A span as `2 d 3 h`, `4 min 5 s` and the like: its two largest units.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours) = (seconds / DAY_S, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Parses `90s`, `30m`, `12h`, `7d` or `2w`.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => DAY_S,
        Some('w') => 7 * DAY_S,
        _ => return Err("a span is a number and a unit (s, m, h, d, w), such as 7d".into()),
    };
    let count: u64 = text[..text.len() - 1]
        .parse()
        .map_err(|_| format!("{text:?} does not begin with a whole number"))?;
    match count.checked_mul(unit) {
        Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("{text:?} is not a usable span")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants_are_written_right() {
        assert_eq!(utc(0), "1970-01-01 00:00:00");
        assert_eq!(utc(951_782_400_000), "2000-02-29 00:00:00");
        assert_eq!(utc(1_479_029_136_461), "2016-11-13 09:25:36");
        assert_eq!(utc(4_107_542_399_999), "2100-02-28 23:59:59");
        assert_eq!(utc(4_107_542_400_000), "2100-03-01 00:00:00");
    }

    #[test]
    fn the_largest_time_does_not_overflow() {
        assert!(utc(u64::MAX).len() > 19);
    }

    #[test]
    fn spans_are_written_and_read() {
        assert_eq!(span(Duration::from_secs(59)), "59 s");
        assert_eq!(span(Duration::from_secs(3_725)), "1 h 2 min");
        assert_eq!(span(Duration::from_secs(2 * DAY_S + 3600)), "2 d 1 h");
        assert_eq!(parse_span("7d"), Ok(Duration::from_secs(7 * DAY_S)));
        assert_eq!(parse_span("90s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "7", "d", "0d", "-1d", "7é", "99999999999999999999w"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }
}
