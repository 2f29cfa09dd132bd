//! Packet-delivery traces as mahimahi records them: when a link lets 1,500 bytes through.

use std::fmt;

/// What one opportunity lets through, in bytes: one packet of the largest size, or several small
/// ones.
pub const OPPORTUNITY_BYTES: usize = 1500;
/// Lines of a trace: a day at one packet every 20 ms, some 32 MiB as numbers.
pub const TRACE_LINES: usize = 4 << 20;

/// A trace, repeated from its beginning when it ends.
#[derive(Clone, PartialEq, Eq)]
pub struct Trace {
    at_ms: Vec<u64>,
}

impl Trace {
    /// Reads one number of milliseconds a line, none smaller than the one before; the last is
    /// above zero, since the trace takes that long.
    pub fn parse(text: &str) -> Result<Trace, String> {
        let mut at_ms = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let at: u64 = line.parse().map_err(|_| {
                let line = number + 1;
                format!("line {line} of the trace is not a whole number of milliseconds")
            })?;
            if at_ms.last().is_some_and(|last| at < *last) {
                let line = number + 1;
                return Err(format!("line {line} of the trace goes back in time"));
            }
            if at_ms.len() == TRACE_LINES {
                return Err(format!("the trace has more than {TRACE_LINES} lines"));
            }
            at_ms.push(at);
        }
        match at_ms.last() {
            None => Err("the trace is empty".into()),
            Some(0) => Err("the trace ends at 0 ms: its last line must be later".into()),
            Some(_) => Ok(Trace { at_ms }),
        }
    }

    /// The first opportunity numbered `from` or later that comes at `now_ms` or later: its number
    /// and its time.
    pub fn next(&self, from: u64, now_ms: u64) -> (u64, u64) {
        let (lines, period) = (self.at_ms.len() as u64, self.period_ms());
        // A turn ends in the millisecond in which the next begins, so look at the one before too.
        let turn = (now_ms / period).saturating_sub(1);
        let mut number = from.max(turn * lines);
        loop {
            let (turn, line) = (number / lines, (number % lines) as usize);
            let wanted = now_ms.saturating_sub(turn * period);
            let line = line + self.at_ms[line..].partition_point(|at| *at < wanted);
            if line < self.at_ms.len() {
                let number = turn * lines + line as u64;
                return (number, turn * period + self.at_ms[line]);
            }
            number = (turn + 1) * lines;
        }
    }

    /// What the trace lets through on average, in bits per second.
    pub fn mean_bits(&self) -> u64 {
        let bits = (self.at_ms.len() * OPPORTUNITY_BYTES * 8) as u64;
        bits * 1000 / self.period_ms()
    }

    fn period_ms(&self) -> u64 {
        self.at_ms.last().copied().unwrap_or(1)
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({} lines)", self.at_ms.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_repeats_and_is_entered_anywhere() {
        let trace = Trace::parse("2\n2\n5\n10\n").unwrap();
        assert_eq!(trace.next(0, 0), (0, 2));
        assert_eq!(trace.next(1, 0), (1, 2));
        assert_eq!(trace.next(2, 3), (2, 5));
        assert_eq!(trace.next(4, 0), (4, 12));
        assert_eq!(trace.next(0, 6), (3, 10));
        assert_eq!(trace.next(0, 1_013), (406, 1_015));
        assert_eq!(trace.mean_bits(), 4 * 1500 * 8 * 100);
    }

    #[test]
    fn a_fixed_rate_is_one_line() {
        let trace = Trace::parse("1\n").unwrap();
        assert_eq!(trace.next(0, 7), (6, 7));
        assert_eq!(trace.next(7, 7), (7, 8));
    }

    #[test]
    fn what_is_no_trace_is_refused_with_its_line() {
        assert!(Trace::parse("1\nx\n").unwrap_err().contains("line 2"));
        assert!(Trace::parse("5\n4\n").unwrap_err().contains("line 2"));
        assert!(Trace::parse("\n").unwrap_err().contains("empty"));
        assert!(Trace::parse("0\n0\n").unwrap_err().contains("0 ms"));
    }
}
