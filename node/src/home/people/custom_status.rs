//! What users say of themselves beside being there: an emoji, a few words, and until when. Clients
//! expect it in the user's property `customStatus`, as JSON in a text.

use serde::{Deserialize, Serialize};

use super::{Account, AccountError, People, Preference};
use crate::home::id::Id;
use crate::store::StoreError;

/// The property that holds it.
pub const PROPERTY: &str = "customStatus";
/// The preference that holds the last ones, for choosing one again.
const RECENT: (&str, &str) = ("custom_status", "recent_custom_statuses");
/// As many of them are kept as clients show.
const RECENT_KEPT: usize = 5;
/// The longest text, in characters, as clients have it.
const TEXT_CHARACTERS: usize = 100;
/// The longest name of an emoji, in bytes, as for reactions.
const EMOJI_BYTES: usize = 64;
/// For words without an emoji.
const DEFAULT_EMOJI: &str = "speech_balloon";
/// The spans that clients offer; empty for no end.
const DURATIONS: [&str; 7] = [
    "",
    "thirty_minutes",
    "one_hour",
    "four_hours",
    "today",
    "this_week",
    "date_and_time",
];
/// How a status without an end is written.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// A status in a user's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomStatus {
    #[serde(default)]
    pub emoji: String,
    #[serde(default)]
    pub text: String,
    #[serde(default)]
    pub duration: String,
    /// When it ends (RFC 3339).
    #[serde(default)]
    pub expires_at: String,
}

impl CustomStatus {
    /// As it is kept; the error says what is wrong with it.
    pub fn checked(mut self, now_ms: u64) -> Result<CustomStatus, String> {
        self.emoji = self.emoji.trim_matches(':').trim().into();
        self.text = self.text.trim().into();
        if self.emoji.is_empty() && self.text.is_empty() {
            return Err("A custom status has an emoji or a text.".into());
        }
        if self.emoji.is_empty() {
            self.emoji = DEFAULT_EMOJI.into();
        }
        if self.text.chars().count() > TEXT_CHARACTERS || self.emoji.len() > EMOJI_BYTES {
            return Err(format!(
                "A custom status has at most {TEXT_CHARACTERS} characters, and one emoji."
            ));
        }
        if !DURATIONS.contains(&self.duration.as_str()) {
            return Err(format!("'{}' is no duration of a status.", self.duration));
        }
        if self.duration.is_empty() {
            self.expires_at = NEVER.into();
            return Ok(self);
        }
        match unix_ms(&self.expires_at) {
            Some(ends) if ends > now_ms => Ok(self),
            Some(_) => Err("The status would have ended already.".into()),
            None => Err("The end of a status is a time such as 2030-01-31T18:00:00Z.".into()),
        }
    }

    fn is_over(&self, now_ms: u64) -> bool {
        !self.duration.is_empty() && unix_ms(&self.expires_at).is_none_or(|ends| ends <= now_ms)
    }

    fn text(&self) -> String {
        // Plain data in memory always encodes.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl People {
    /// Sets a user's status, and keeps it among the recent ones.
    pub fn set_custom_status(
        &self,
        user: Id,
        status: &CustomStatus,
    ) -> Result<Account, AccountError> {
        let account = self.update(user, |account| {
            account.props.insert(PROPERTY.into(), status.text());
        })?;
        let mut recent = self.recent_custom_statuses(user);
        recent.retain(|it| (&it.emoji, &it.text) != (&status.emoji, &status.text));
        recent.insert(0, status.clone());
        recent.truncate(RECENT_KEPT);
        self.keep_recent(user, &recent)?;
        Ok(account)
    }

    /// Takes a user's status back; none where there was none.
    pub fn clear_custom_status(&self, user: Id) -> Result<Option<Account>, AccountError> {
        match self.account(&user) {
            Some(account) if account.props.contains_key(PROPERTY) => {
                let cleared = self.update(user, |account| {
                    account.props.remove(PROPERTY);
                });
                cleared.map(Some)
            }
            Some(_) => Ok(None),
            None => Err(AccountError::Unknown),
        }
    }

    pub fn recent_custom_statuses(&self, user: Id) -> Vec<CustomStatus> {
        let held = self.preferences(user);
        let is_recent = |it: &&Preference| (it.category.as_str(), it.name.as_str()) == RECENT;
        let found = held.iter().find(is_recent);
        found
            .and_then(|it| serde_json::from_str(&it.value).ok())
            .unwrap_or_default()
    }

    /// Takes one of the recent statuses away; false where it is not among them.
    pub fn forget_recent_status(
        &self,
        user: Id,
        status: &CustomStatus,
    ) -> Result<bool, AccountError> {
        let mut recent = self.recent_custom_statuses(user);
        let before = recent.len();
        recent.retain(|it| (&it.emoji, &it.text) != (&status.emoji, &status.text));
        self.keep_recent(user, &recent)?;
        Ok(recent.len() < before)
    }

    /// The preference of the recent statuses, as clients are told of it.
    pub fn recent_preference(&self, user: Id) -> Preference {
        recent_preference(&self.recent_custom_statuses(user))
    }

    fn keep_recent(&self, user: Id, recent: &[CustomStatus]) -> Result<(), StoreError> {
        let kept = self.prefer(user, vec![recent_preference(recent)], &[])?;
        if !kept {
            tracing::debug!("a user has too many preferences for recent statuses");
        }
        Ok(())
    }

    /// Takes the statuses back whose time is over, and gives their users.
    pub fn end_custom_statuses(&self) -> Vec<Account> {
        let now = self.now_ms();
        let is_over = |account: &&Account| {
            let status = account.props.get(PROPERTY);
            let status = status.and_then(|it| serde_json::from_str::<CustomStatus>(it).ok());
            status.is_some_and(|it| it.is_over(now))
        };
        let over: Vec<Id> = {
            let state = self.read();
            state
                .accounts
                .values()
                .filter(is_over)
                .map(|it| it.id)
                .collect()
        };
        let ended = over.into_iter().filter_map(|user| {
            let cleared = self.clear_custom_status(user);
            if let Err(error) = &cleared {
                tracing::warn!(%error, "a status whose time is over stays");
            }
            cleared.ok().flatten()
        });
        ended.collect()
    }
}

fn recent_preference(recent: &[CustomStatus]) -> Preference {
    Preference {
        category: RECENT.0.into(),
        name: RECENT.1.into(),
        value: serde_json::to_string(recent).unwrap_or_default(),
    }
}

/// A time as RFC 3339 writes it, in Unix milliseconds; none where it is no such time, or before 1970.
pub fn unix_ms(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits
            .bytes()
            .all(|it| it.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    let bytes = text.as_bytes();
    let separated = separators.iter().all(|(at, it)| bytes.get(*at) == Some(it));
    if !separated || !matches!(bytes.get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let legal = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !legal || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = text.get(19..)?;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        rest = fraction.get(digits..)?;
    }
    let offset_minutes = match rest {
        "Z" | "z" => 0,
        _ => {
            let sign = match rest.bytes().next()? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let (hours, minutes) = rest.get(1..)?.split_once(':')?;
            sign * (hours.parse::<u8>().ok()? as i64 * 60 + minutes.parse::<u8>().ok()? as i64)
        }
    };
    let seconds =
        days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset_minutes * 60;
    u64::try_from(seconds).ok()?.checked_mul(1_000)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. The year begins in March, so that a
/// leap day is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let cycle = year.div_euclid(400);
    let of_cycle = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    cycle * 146_097 + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::people::NewAccount;
    use crate::home::people::tests::people;

    fn status(text: &str, duration: &str, expires_at: &str) -> CustomStatus {
        CustomStatus {
            emoji: ":anchor:".into(),
            text: text.into(),
            duration: duration.into(),
            expires_at: expires_at.into(),
        }
    }

    #[test]
    fn times_are_read_as_others_write_them() {
        // By `date -u -d TEXT +%s`.
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:34:56Z", 951_827_696),
            ("2026-11-23T22:00:42.123Z", 1_795_471_242),
            ("2026-11-23T22:00:42+05:30", 1_795_451_442),
            ("2100-03-01T00:00:00-01:00", 4_107_546_000),
        ] {
            assert_eq!(unix_ms(text), Some(seconds * 1_000), "{text}");
        }
        for text in [
            "",
            "2026",
            "2026-13-01T00:00:00Z",
            "2026-11-23",
            "0001-01-01T00:00:00Z",
            "2026-11-23T22:00:42",
            "2026-11-23T22:00:42+é:00",
        ] {
            assert_eq!(unix_ms(text), None, "{text}");
        }
    }

    #[test]
    fn what_makes_no_status_is_refused() {
        let now = unix_ms("2030-01-01T00:00:00Z").unwrap();
        let good = status(" at sea ", "one_hour", "2030-01-01T01:00:00Z")
            .checked(now)
            .unwrap();
        assert_eq!(
            (good.emoji.as_str(), good.text.as_str()),
            ("anchor", "at sea")
        );
        for bad in [
            status("a", "one_hour", "2029-12-31T00:00:00Z"),
            status("a", "one_hour", ""),
            status("a", "for ever", ""),
            status(&"a".repeat(101), "", ""),
        ] {
            assert!(bad.clone().checked(now).is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_status_ends_by_itself_and_stays_among_the_recent_ones() {
        let (_dir, people) = people();
        let new = NewAccount {
            username: "alice".into(),
            ..NewAccount::default()
        };
        let alice = people.add(new).await.unwrap().id;
        for number in 0..7 {
            let kept = status(&format!("{number}"), "", "").checked(0).unwrap();
            people.set_custom_status(alice, &kept).unwrap();
        }
        assert!(people.end_custom_statuses().is_empty(), "it has no end");
        people
            .set_custom_status(alice, &status("gone", "one_hour", "2001-01-01T00:00:00Z"))
            .unwrap();
        let ended = people.end_custom_statuses();
        assert_eq!(ended.len(), 1);
        assert!(!ended[0].props.contains_key(PROPERTY));
        let texts: Vec<String> = people
            .recent_custom_statuses(alice)
            .into_iter()
            .map(|it| it.text)
            .collect();
        assert_eq!(texts, ["gone", "6", "5", "4", "3"]);
        let one = status("5", "", "").checked(0).unwrap();
        assert!(people.forget_recent_status(alice, &one).unwrap());
        assert!(!people.forget_recent_status(alice, &one).unwrap());
    }
}
