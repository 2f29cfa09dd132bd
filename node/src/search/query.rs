//! What people type into the search box, in the syntax that Mattermost's users know.
//!
//! Words, `"phrases"`, words by their beginning (`wor*`), mentions, hashtags; `from:` a user, `in:`
//! a channel (also `channel:`), `before:`, `after:` and `on:` a day. A `-` in front of any of them
//! excludes what it finds. Several users or channels: any of them. Several days: all must hold.
//! Unlike Mattermost, hashtags and words of one query must all be met, a day that is no day is an
//! error, and no word is too common to be searched for.

use std::fmt;

use super::words;

/// Longer than anybody types; what is pasted is searched for by a phrase of it.
const MAX_QUERY_BYTES: usize = 4 * 1024;
/// Words, phrases and modifiers of one query. Each reads a list, which may be as long as all posts.
const MAX_TERMS: usize = 32;
/// Pieces of all words and phrases of one query, for the same reason; a phrase of Chinese has one a
/// character.
const MAX_PIECES: usize = 128;
/// No place is further from UTC than 14 hours; a day is surely enough.
const MAX_UTC_OFFSET_S: i32 = 24 * 60 * 60;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What a query is read by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// One of the words is enough, instead of all.
    pub any: bool,
    /// Seconds that the user's days begin before UTC's: 3,600 in Berlin's winter.
    pub utc_offset_s: i32,
}

/// A question to the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pub(super) any: bool,
    pub(super) with: Vec<Run>,
    pub(super) without: Vec<Run>,
    pub(super) from: Vec<String>,
    pub(super) not_from: Vec<String>,
    pub(super) inside: Vec<String>,
    pub(super) not_inside: Vec<String>,
    pub(super) during: Vec<Span>,
    pub(super) not_during: Vec<Span>,
}

/// A word or phrase: pieces, and how far after the first each stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    pub pieces: Vec<(u32, String)>,
    /// The last piece is the beginning of a word.
    pub open: bool,
}

/// From one moment on, until before another, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub from_ms: i64,
    pub until_ms: i64,
}

impl Span {
    pub fn holds(&self, at_ms: u64) -> bool {
        let at_ms = i64::try_from(at_ms).unwrap_or(i64::MAX);
        (self.from_ms..self.until_ms).contains(&at_ms)
    }
}

/// Why a query cannot be answered; the user can mend all but the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryError {
    Empty,
    TooLong,
    TooMany,
    NoValue {
        modifier: Modifier,
    },
    NoDay {
        modifier: Modifier,
        value: String,
    },
    /// The program that searches is to blame, not the user.
    UtcOffset {
        seconds: i32,
    },
}

impl std::error::Error for QueryError {}

impl fmt::Display for QueryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueryError::Empty => formatter.write_str(
                "there is nothing to search for: type a word, or a modifier such as `from:`",
            ),
            QueryError::TooLong => write!(
                formatter,
                "the search is longer than {MAX_QUERY_BYTES} bytes: search for a few words of it"
            ),
            QueryError::TooMany => write!(
                formatter,
                "the search has more than {MAX_TERMS} words and modifiers, or {MAX_PIECES} parts of words: search for fewer"
            ),
            QueryError::NoValue { modifier } => write!(
                formatter,
                "nothing follows `{modifier}:`: type its value after the colon"
            ),
            QueryError::NoDay { modifier, value } => write!(
                formatter,
                "`{value}` after `{modifier}:` is no day: type year, month and day, such as 2026-01-31"
            ),
            QueryError::UtcOffset { seconds } => write!(
                formatter,
                "the time zone is {seconds} seconds from UTC, more than a day: the program that searches sent a wrong one"
            ),
        }
    }
}

/// What narrows a search other than words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modifier {
    From,
    In,
    Before,
    After,
    On,
}

impl fmt::Display for Modifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Modifier::From => "from",
            Modifier::In => "in",
            Modifier::Before => "before",
            Modifier::After => "after",
            Modifier::On => "on",
        })
    }
}

impl Query {
    /// The names of channels in it.
    pub fn channels(&self) -> impl Iterator<Item = &str> {
        self.inside
            .iter()
            .chain(&self.not_inside)
            .map(String::as_str)
    }

    /// The names of authors in it.
    pub fn authors(&self) -> impl Iterator<Item = &str> {
        self.from.iter().chain(&self.not_from).map(String::as_str)
    }

    /// Reads what a user typed.
    pub fn parse(text: &str, options: &Options) -> Result<Query, QueryError> {
        if text.len() > MAX_QUERY_BYTES {
            return Err(QueryError::TooLong);
        }
        if options.utc_offset_s.unsigned_abs() > MAX_UTC_OFFSET_S.unsigned_abs() {
            return Err(QueryError::UtcOffset {
                seconds: options.utc_offset_s,
            });
        }
        let terms = terms(text);
        if terms.len() > MAX_TERMS {
            return Err(QueryError::TooMany);
        }
        let mut query = Query {
            any: options.any,
            ..Query::default()
        };
        let mut terms = terms.into_iter();
        while let Some(term) = terms.next() {
            let Some((modifier, value)) = modifier(&term) else {
                query.add_run(&term);
                continue;
            };
            let value = match value {
                "" => terms.next().map_or("", |next| next.text),
                value => value,
            };
            if value.is_empty() {
                return Err(QueryError::NoValue { modifier });
            }
            query.add_modifier(modifier, value, term.excluded, options)?;
        }
        query.checked()
    }

    fn add_run(&mut self, term: &Term<'_>) {
        let run = Run::of(term.text);
        let runs = match term.excluded {
            true => &mut self.without,
            false => &mut self.with,
        };
        if !run.pieces.is_empty() && !runs.contains(&run) {
            runs.push(run);
        }
    }

    fn add_modifier(
        &mut self,
        modifier: Modifier,
        value: &str,
        excluded: bool,
        options: &Options,
    ) -> Result<(), QueryError> {
        match modifier {
            Modifier::From => {
                let name = value.strip_prefix('@').unwrap_or(value).to_lowercase();
                let names = if excluded {
                    &mut self.not_from
                } else {
                    &mut self.from
                };
                names.push(name);
            }
            Modifier::In => {
                let name = value
                    .strip_prefix(['~', '#'])
                    .unwrap_or(value)
                    .to_lowercase();
                let names = if excluded {
                    &mut self.not_inside
                } else {
                    &mut self.inside
                };
                names.push(name);
            }
            Modifier::Before | Modifier::After | Modifier::On => {
                let Some(day) = day(value) else {
                    let value = value.to_owned();
                    return Err(QueryError::NoDay { modifier, value });
                };
                let from_ms = day * DAY_MS - i64::from(options.utc_offset_s) * 1000;
                let until_ms = from_ms + DAY_MS;
                let span = match modifier {
                    Modifier::Before => Span {
                        from_ms: i64::MIN,
                        until_ms: from_ms,
                    },
                    Modifier::After => Span {
                        from_ms: until_ms,
                        until_ms: i64::MAX,
                    },
                    _ => Span { from_ms, until_ms },
                };
                let spans = if excluded {
                    &mut self.not_during
                } else {
                    &mut self.during
                };
                spans.push(span);
            }
        }
        Ok(())
    }

    fn checked(self) -> Result<Query, QueryError> {
        let runs = self.with.iter().chain(&self.without);
        if runs.map(|run| run.pieces.len()).sum::<usize>() > MAX_PIECES {
            return Err(QueryError::TooMany);
        }
        let empty = Query {
            any: self.any,
            ..Query::default()
        };
        if self == empty {
            return Err(QueryError::Empty);
        }
        Ok(self)
    }
}

impl Run {
    fn of(text: &str) -> Run {
        let (body, open) = match text.strip_suffix('*') {
            Some(body) => (body.trim_end_matches('*'), true),
            None => (text, false),
        };
        let mut found = Vec::new();
        words::pieces(body, |piece| {
            found.push((piece.from, piece.to, piece.place, piece.text.to_owned()));
        });
        // A mention is asked for as a whole: its parts, and the shorter name in it, are not.
        let mut reached = 0;
        let mut last_to = 0;
        let mut pieces: Vec<(u32, String)> = Vec::new();
        let mut starts: Option<usize> = None;
        for (from, to, place, text) in found {
            if starts == Some(from) {
                pieces.pop();
            } else if to <= reached {
                continue;
            }
            starts = text.starts_with(['@', '#']).then_some(from);
            reached = reached.max(to);
            last_to = to;
            pieces.push((place, text));
        }
        let first = pieces.first().map_or(0, |(place, _)| *place);
        for (place, _) in &mut pieces {
            *place -= first;
        }
        let ends_alone = body.chars().next_back().is_none_or(words::stands_alone);
        Run {
            open: open && last_to == body.len() && !ends_alone && !pieces.is_empty(),
            pieces,
        }
    }
}

/// A word, a phrase, or a modifier with or without its value.
struct Term<'a> {
    text: &'a str,
    excluded: bool,
    quoted: bool,
}

const QUOTES: [char; 4] = ['"', '“', '”', '„'];

/// Cuts at blanks and quotes. A quote that is not closed reaches to the end.
fn terms(text: &str) -> Vec<Term<'_>> {
    let mut terms = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let bare = rest.trim_start_matches('-');
        let excluded = bare.len() < rest.len();
        let quoted = bare.starts_with(QUOTES);
        let body = bare.strip_prefix(QUOTES).unwrap_or(bare);
        let end = match quoted {
            true => body.find(QUOTES),
            false => body.find(|c: char| c.is_whitespace() || QUOTES.contains(&c)),
        };
        let (text, after) = body.split_at(end.unwrap_or(body.len()));
        if !text.is_empty() {
            terms.push(Term {
                text,
                excluded,
                quoted,
            });
        }
        rest = match quoted {
            true => after.strip_prefix(QUOTES).unwrap_or(after).trim_start(),
            false => after.trim_start(),
        };
    }
    terms
}

fn modifier<'a>(term: &Term<'a>) -> Option<(Modifier, &'a str)> {
    if term.quoted {
        return None;
    }
    let (name, value) = term.text.split_once(':')?;
    let modifier = match name.to_ascii_lowercase().as_str() {
        "from" => Modifier::From,
        "in" | "channel" => Modifier::In,
        "before" => Modifier::Before,
        "after" => Modifier::After,
        "on" => Modifier::On,
        _ => return None,
    };
    Some((modifier, value))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, `2026-01-31` or `2026-1-31`.
fn day(text: &str) -> Option<i64> {
    let mut parts = text.split('-').map(number);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if parts.next().is_some() || !(1000..=9999).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    // Years begin in March here, so that the day that is sometimes missing is the last.
    let (years, months) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let before_year = years * 365 + years / 4 - years / 100 + years / 400;
    let before_month = (months * 153 + 2) / 5;
    /// Days from the 1st of March of the year 0 to 1970.
    const TO_1970: i64 = 719_468;
    Some(before_year + before_month + day - 1 - TO_1970)
}

fn number(text: &str) -> Option<i64> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Query {
        Query::parse(text, &Options::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn error(text: &str) -> QueryError {
        Query::parse(text, &Options::default()).expect_err(text)
    }

    fn show(runs: &[Run]) -> String {
        let show = |run: &Run| {
            let pieces: Vec<String> = run
                .pieces
                .iter()
                .map(|(at, text)| format!("{at}{text}"))
                .collect();
            format!("{}{}", pieces.join("+"), if run.open { "*" } else { "" })
        };
        runs.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_and_phrases_with_and_without() {
        let query = parse(r#"Red "Green blue" -yellow -"pink  grey" red –"#);
        assert_eq!(show(&query.with), "0red 0green+1blue");
        assert_eq!(show(&query.without), "0yellow 0pink+1grey");
        assert_eq!(show(&parse(r#"a"b c"#).with), "0a 0b+1c");
        assert_eq!(show(&parse("“b c” d").with), "0b+1c 0d");
        assert_eq!(
            show(&parse("東京 user.name CVE-2026-1234").with),
            "0東+1京 0user+1name 0cve+12026+21234"
        );
    }

    #[test]
    fn a_star_opens_the_last_piece() {
        assert_eq!(
            show(&parse("wor* user.na** #ta* @al* \"the wor*\"").with),
            "0wor* 0user+1na* 0#ta* 0@al* 0the+1wor*"
        );
        assert_eq!(
            show(&parse("wo*rd 東* foo.* e\u{301}*").with),
            "0wo+1rd 0東 0foo 0e*"
        );
        assert_eq!(error("*"), QueryError::Empty);
    }

    #[test]
    fn a_mention_is_asked_for_as_a_whole() {
        assert_eq!(
            show(&parse("@user.name @alice:bravo #Tag").with),
            "0@user.name 0@alice:bravo 0#tag"
        );
        assert_eq!(
            show(&parse(r#""thanks @user.name again""#).with),
            "0thanks+1@user.name+3again"
        );
        assert_eq!(show(&parse("alice:bravo").with), "0alice+1bravo");
    }

    #[test]
    fn modifiers_narrow() {
        let query =
            parse("FROM:@Alice:bravo from: bob -from:eve in:~ops channel:\"dev\" -in:news x");
        assert_eq!(query.from, ["alice:bravo", "bob"]);
        assert_eq!(query.not_from, ["eve"]);
        assert_eq!(query.inside, ["ops", "dev"]);
        assert_eq!(query.not_inside, ["news"]);
        assert_eq!(show(&query.with), "0x");
        assert_eq!(show(&parse("\"from:bob\"").with), "0from+1bob");
    }

    #[test]
    fn days_are_the_users_own() {
        let options = Options {
            utc_offset_s: 3600,
            ..Options::default()
        };
        let query = Query::parse("on:2026-01-31", &options).expect("a day");
        // 2026-01-31T00:00:00+01:00
        let start = 1_769_814_000_000;
        assert_eq!(
            query.during,
            [Span {
                from_ms: start,
                until_ms: start + DAY_MS
            }]
        );
        let query = Query::parse("before:2026-1-31 after:2026-01-31 -on:2026-01-31", &options)
            .expect("days");
        assert_eq!(
            query.during[0],
            Span {
                from_ms: i64::MIN,
                until_ms: start
            }
        );
        assert_eq!(
            query.during[1],
            Span {
                from_ms: start + DAY_MS,
                until_ms: i64::MAX
            }
        );
        assert_eq!(
            query.not_during,
            [Span {
                from_ms: start,
                until_ms: start + DAY_MS
            }]
        );
    }

    #[test]
    fn days_count_from_1970() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("2000-03-01", 11_017),
            ("2026-11-23", 20_780),
            ("9999-12-31", 2_932_896),
        ] {
            assert_eq!(day(text), Some(days), "{text}");
        }
        for text in [
            "2026-02-29",
            "1900-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-01-32",
            "2026-01",
            "2026-01-01-01",
            "26-01-01",
            "2026-+1-01",
            "",
            "x",
            "2026-01-011111",
        ] {
            assert_eq!(day(text), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_searched_for_is_said() {
        for text in ["", "  ", "- -", "!?", "\"\""] {
            assert_eq!(error(text), QueryError::Empty, "{text}");
        }
        assert_eq!(
            error("x from:"),
            QueryError::NoValue {
                modifier: Modifier::From
            }
        );
        let value = "yesterday".to_owned();
        assert_eq!(
            error("on:yesterday"),
            QueryError::NoDay {
                modifier: Modifier::On,
                value
            }
        );
        assert_eq!(error(&"x".repeat(MAX_QUERY_BYTES + 1)), QueryError::TooLong);
        assert_eq!(error(&"x ".repeat(MAX_TERMS + 1)), QueryError::TooMany);
        assert_eq!(error(&"東".repeat(MAX_PIECES + 1)), QueryError::TooMany);
        let options = Options {
            utc_offset_s: i32::MIN,
            ..Options::default()
        };
        assert_eq!(
            Query::parse("x", &options),
            Err(QueryError::UtcOffset { seconds: i32::MIN })
        );
    }
}
