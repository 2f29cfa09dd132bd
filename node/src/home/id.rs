//! Ids as Mattermost's clients know them: 26 letters and digits that stand for 128 bits.

use std::fmt;

use comity_crypto as crypto;
use comity_protocol::event::UserName;
use comity_protocol::id::{ChannelId, EventId, PartnerId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The alphabet of z-base-32 (P. O'Whielacronx, "human-oriented base-32 encoding").
const ALPHABET: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";
const BYTES: usize = 16;
/// As many digits as 128 bits take, at five bits each.
pub const DIGITS: usize = 26;

/// The id of something that clients name. Ids of what replicates (posts, channels, users, teams)
/// follow from what it is, so that every partner's node gives it the same.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; BYTES]);

impl Id {
    /// A user of any partner.
    pub fn of_user(partner: &PartnerId, name: &str) -> Id {
        Id::hashed("comity user id", &[&partner.0, name.as_bytes()])
    }

    /// The team of a group of partners, or of one.
    pub fn of_team<'a>(partners: impl IntoIterator<Item = &'a PartnerId>) -> Id {
        let sorted: std::collections::BTreeSet<&PartnerId> = partners.into_iter().collect();
        let parts: Vec<&[u8]> = sorted.into_iter().map(|it| it.0.as_slice()).collect();
        Id::hashed("comity team id", &parts)
    }

    /// An event: the start of its own id.
    pub fn of_event(event: &EventId) -> Id {
        Id::start_of(&event.0)
    }

    pub fn of_channel(channel: &ChannelId) -> Id {
        Id::start_of(&channel.0)
    }

    /// An id out of whatever determines it.
    pub fn hashed(tag: &'static str, parts: &[&[u8]]) -> Id {
        Id::start_of(&crypto::hash(tag, parts))
    }

    fn start_of(bytes: &[u8; 32]) -> Id {
        let mut start = [0; BYTES];
        start.copy_from_slice(&bytes[..BYTES]);
        Id(start)
    }

    /// Reads an id as clients write it; none where it is not one.
    pub fn parse(text: &str) -> Option<Id> {
        if text.len() != DIGITS {
            return None;
        }
        let mut bits = 0u32;
        let mut held = 0;
        let mut bytes = [0; BYTES];
        let mut at = 0;
        for digit in text.bytes() {
            let value = ALPHABET.iter().position(|it| *it == digit)?;
            bits = (bits << 5) | value as u32;
            held += 5;
            if held >= 8 && at < BYTES {
                held -= 8;
                bytes[at] = (bits >> held) as u8;
                bits &= (1 << held) - 1;
                at += 1;
            }
        }
        // What is left over of the last digit is zero in every id.
        (bits == 0).then_some(Id(bytes))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; DIGITS];
        let mut bits = 0u32;
        let mut held = 0;
        let mut at = 0;
        for byte in self.0 {
            bits = (bits << 8) | u32::from(byte);
            held += 8;
            while held >= 5 {
                held -= 5;
                text[at] = ALPHABET[(bits >> held) as usize & 31];
                at += 1;
            }
        }
        text[at] = ALPHABET[(bits << (5 - held)) as usize & 31];
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Id::parse(&text).ok_or_else(|| de::Error::custom("not an id"))
    }
}

/// What a user's name may be, beyond what the protocol asks: what clients take for a mention.
pub fn is_user_name(name: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    name.bytes().all(allowed)
        && name
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_lowercase())
        && UserName::try_from(name.to_string()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_has_one_spelling() {
        for byte in 0..=255u8 {
            let id = Id([byte; 16]);
            let text = id.to_string();
            assert_eq!(text.len(), DIGITS);
            assert_eq!(Id::parse(&text), Some(id), "{text}");
        }
        let text = Id([255; 16]).to_string();
        assert!(text.ends_with('h'), "{text}: two bits are left over");
        assert_eq!(Id::parse(&text.replace('h', "9")), None);
        assert_eq!(Id::parse(&text[1..]), None);
        assert_eq!(Id::parse(&text.to_uppercase()), None);
    }

    #[test]
    fn names_that_would_not_be_mentions_are_refused() {
        for good in ["alice", "a.b-c_9", "x"] {
            assert!(is_user_name(good), "{good}");
        }
        for bad in [
            "",
            "Alice",
            "9lives",
            ".a",
            "al ice",
            "alice:bravo",
            "alice@bravo",
            "élan",
        ] {
            assert!(!is_user_name(bad), "{bad}");
        }
    }
}
