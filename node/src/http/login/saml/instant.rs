//! Times as SAML writes them: xs:dateTime in UTC (SAML core, section 1.3.3).

use crate::cli::time;

/// Unix milliseconds as `2026-01-31T23:59:59Z`.
pub fn written(unix_ms: u64) -> String {
    format!("{}Z", time::utc(unix_ms).replace(' ', "T"))
}

/// Unix milliseconds of such a text, with or without parts of a second.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z')?;
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let bytes = whole.as_bytes();
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if bytes.len() != 19 || separators.iter().any(|(at, own)| bytes[*at] != *own) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| digits(whole.get(range)?);
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if is_leap { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let in_month = *months.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    if year < 1970 || !(1..=in_month).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    let days = years + months[..month as usize - 1].iter().sum::<u64>() + day - 1;
    digits(part).filter(|_| part.len() <= 9)?;
    let ms = digits(&format!("{part:0<3}")[..3])?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + ms)
}

fn digits(text: &str) -> Option<u64> {
    let all = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    text.parse().ok().filter(|_| all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for ms in [
            0,
            951_782_399_000,
            951_868_800_000,
            1_795_000_000_000,
            4_107_542_400_000,
        ] {
            assert_eq!(parse(&written(ms)), Some(ms), "{}", written(ms));
        }
        assert_eq!(parse("2000-02-29T00:00:00.25Z"), Some(951_782_400_250));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+01:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01 00:00:00Z",
            "+026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.+1Z",
            "1969-01-01T00:00:00Z",
            "2026-01-0\u{e9}T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
