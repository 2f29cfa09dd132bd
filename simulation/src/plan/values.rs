//! Figures with units, as a scenario states them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A span of time, in microseconds: `"600ms"`, `"2s"`, `"10m"`, `"6h"`, `"3d"`, `"2h 15m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub u64);

/// A rate in bits per second, or none for unlimited: `"9600 bit/s"`, `"512 kbit/s"`,
/// `"10 Mbit/s"`, `"1 Gbit/s"`, `"unlimited"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub Option<u64>);

/// A number of millionths, from a decimal number; so a percentage is `Millionths / 100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millionths(pub u64);

impl Span {
    pub fn ms(self) -> u64 {
        self.0 / 1000
    }

    fn parse(text: &str) -> Option<Span> {
        const UNITS: [(&str, u64); 6] = [
            ("us", 1),
            ("ms", 1_000),
            ("s", 1_000_000),
            ("m", 60_000_000),
            ("h", 3_600_000_000),
            ("d", 86_400_000_000),
        ];
        let mut rest = text.trim();
        let mut sum = 0_u64;
        loop {
            let (number, after) = split(rest)?;
            let end = after.find(|c: char| c.is_ascii_digit());
            let (unit, more) = after.split_at(end.unwrap_or(after.len()));
            let unit = UNITS.iter().find(|(name, _)| *name == unit.trim())?.1;
            sum = sum.checked_add(scaled(number, unit)?)?;
            rest = more;
            if rest.is_empty() {
                return Some(Span(sum));
            }
        }
    }
}

impl Rate {
    /// The slowest link that is modelled: a packet of the largest size takes two minutes.
    const LEAST: u64 = 100;

    fn parse(text: &str) -> Option<Rate> {
        const UNITS: [(&str, u64); 4] = [
            ("bit/s", 1),
            ("kbit/s", 1_000),
            ("Mbit/s", 1_000_000),
            ("Gbit/s", 1_000_000_000),
        ];
        if text == "unlimited" {
            return Some(Rate(None));
        }
        let (number, unit) = split(text)?;
        let unit = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let bits = scaled(number, unit)?;
        (Rate::LEAST..=100_000_000_000)
            .contains(&bits)
            .then_some(Rate(Some(bits)))
    }
}

/// A number and its unit.
fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(end);
    Some((number, unit.trim()))
}

/// A decimal number times a unit, with nothing lost: more decimals than the unit has are refused.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let mut value = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let mut place = unit;
    for digit in part.bytes() {
        if !place.is_multiple_of(10) {
            return None;
        }
        place /= 10;
        value = value.checked_add(u64::from(digit.checked_sub(b'0')?) * place)?;
    }
    Some(value)
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Span::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is no span of time: a number and us, ms, s, m, h or d, as in \"600ms\""
            ))
        })
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Rate::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is no rate: a number and bit/s, kbit/s, Mbit/s or Gbit/s, from 100 bit/s \
                 to 100 Gbit/s, as in \"512 kbit/s\"; or \"unlimited\""
            ))
        })
    }
}

impl<'de> Deserialize<'de> for Millionths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Millionths;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, zero or more")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Millionths, E> {
                self.visit_f64(number as f64)
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Millionths, E> {
                if (0.0..=1e9).contains(&number) {
                    Ok(Millionths((number * 1e6).round() as u64))
                } else {
                    Err(E::invalid_value(Unexpected::Float(number), &self))
                }
            }
        }
        deserializer.deserialize_any(Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_rates_read_as_they_are_written() {
        assert_eq!(Span::parse("600ms"), Some(Span(600_000)));
        assert_eq!(Span::parse("2h15m").map(Span::ms), Some(8_100_000));
        assert_eq!(Span::parse("1m 30s").map(Span::ms), Some(90_000));
        assert_eq!(Span::parse("1.5 s"), Some(Span(1_500_000)));
        assert_eq!(Span::parse("6h").map(Span::ms), Some(21_600_000));
        assert_eq!(Rate::parse("9600 bit/s"), Some(Rate(Some(9_600))));
        assert_eq!(Rate::parse("2.4 kbit/s"), Some(Rate(Some(2_400))));
        assert_eq!(Rate::parse("unlimited"), Some(Rate(None)));
        for wrong in [
            "",
            "5",
            "s",
            "-1s",
            "1.5us",
            "5 parsec",
            "99999999999999999999s",
        ] {
            assert_eq!(Span::parse(wrong), None, "{wrong}");
        }
        for wrong in ["9600", "9600 bps", "1 bit/s", "0 bit/s", "1e3 bit/s"] {
            assert_eq!(Rate::parse(wrong), None, "{wrong}");
        }
    }
}
