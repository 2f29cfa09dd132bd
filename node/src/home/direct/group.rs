//! The name of a group's channel. A channel's name is all that every member's node is told of it, and
//! 64 bytes long: it bears a hash of the partners, and of each user the start of the id.

use std::collections::BTreeSet;

use comity_protocol::id::PartnerId;

use crate::home::id::Id;

/// What the name of a channel between three and more users begins with.
pub const PREFIX: &str = "gm-";
/// Users of a group, as Mattermost's clients have them: below is a pair, above a channel.
pub const LEAST: usize = 3;
pub const MOST: usize = 8;

/// Digits that stand for the partners: 60 bits, so that nobody finds other partners that fit.
const PARTNERS_DIGITS: usize = 12;
/// Digits that stand for a user: 30 bits. Of 10,000 users two fit one in 100,000 times; then neither
/// is in the group.
const USER_DIGITS: usize = 6;

/// A group's channel as its name tells of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Group<'a> {
    partners: &'a str,
    users: BTreeSet<&'a str>,
}

/// The name of the channel of these users, the same whoever makes it.
pub fn name(users: &BTreeSet<Id>, partners: &BTreeSet<PartnerId>) -> String {
    let mut starts: Vec<String> = users.iter().map(|it| start(it, USER_DIGITS)).collect();
    starts.sort_unstable();
    format!("{PREFIX}{}-{}", partners_digits(partners), starts.concat())
}

fn partners_digits(partners: &BTreeSet<PartnerId>) -> String {
    let parts: Vec<&[u8]> = partners.iter().map(|it| it.0.as_slice()).collect();
    start(&Id::hashed("comity group channel", &parts), PARTNERS_DIGITS)
}

fn start(id: &Id, digits: usize) -> String {
    let mut text = id.to_string();
    text.truncate(digits);
    text
}

impl<'a> Group<'a> {
    /// Reads the name of a channel; none where it is no group's.
    pub fn of(name: &'a str) -> Option<Group<'a>> {
        let (partners, users) = name.strip_prefix(PREFIX)?.split_once('-')?;
        let is_digits = |text: &str| text.bytes().all(|it| it.is_ascii_alphanumeric());
        if partners.len() != PARTNERS_DIGITS || !is_digits(partners) || !is_digits(users) {
            return None;
        }
        let size = users.len() / USER_DIGITS;
        if !(LEAST..=MOST).contains(&size) || users.len() % USER_DIGITS != 0 {
            return None;
        }
        let starts = (0..size).map(|at| &users[at * USER_DIGITS..(at + 1) * USER_DIGITS]);
        let users: BTreeSet<&str> = starts.collect();
        (users.len() == size).then_some(Group { partners, users })
    }

    /// How many users it has.
    pub fn size(&self) -> usize {
        self.users.len()
    }

    /// Whether it is a group of these partners, and of no other.
    pub fn is_of(&self, partners: &BTreeSet<PartnerId>) -> bool {
        self.partners == partners_digits(partners)
    }

    /// Its users among some. Of two that its name does not tell apart it is neither's.
    pub fn users_among(&self, some: impl IntoIterator<Item = Id>) -> BTreeSet<Id> {
        let mut found: std::collections::BTreeMap<&str, Vec<Id>> = Default::default();
        for user in some {
            let text = user.to_string();
            if let Some(slot) = self.users.get(&text[..USER_DIGITS]) {
                found.entry(slot).or_default().push(user);
            }
        }
        let one = |users: Vec<Id>| match users.as_slice() {
            [user] => Some(*user),
            _ => None,
        };
        found.into_values().filter_map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(seed: u8) -> Id {
        Id([seed.wrapping_mul(37); 16])
    }

    fn partners(seeds: &[u8]) -> BTreeSet<PartnerId> {
        seeds.iter().map(|seed| PartnerId([*seed; 32])).collect()
    }

    #[test]
    fn a_name_tells_its_users_and_partners_and_fits_no_others() {
        let users: BTreeSet<Id> = (1..=8).map(user).collect();
        let text = name(&users, &partners(&[1, 2, 3]));
        assert_eq!(text.len(), 64, "the longest name a channel has");
        let group = Group::of(&text).unwrap();
        assert_eq!(group.size(), 8);
        assert!(group.is_of(&partners(&[1, 2, 3])));
        assert!(!group.is_of(&partners(&[1, 2])));
        assert!(!group.is_of(&partners(&[1, 2, 3, 4])));
        let all = (1..=20).map(user);
        assert_eq!(group.users_among(all), users);
    }

    #[test]
    fn of_two_whom_the_name_does_not_tell_apart_it_is_neithers() {
        let users: BTreeSet<Id> = (1..=3).map(user).collect();
        let text = name(&users, &partners(&[1]));
        let group = Group::of(&text).unwrap();
        let mut alike = user(1);
        alike.0[15] ^= 1;
        let found = group.users_among([user(1), alike, user(2)]);
        assert_eq!(found, BTreeSet::from([user(2)]));
    }

    #[test]
    fn names_of_other_channels_are_no_groups() {
        let users: BTreeSet<Id> = (1..=3).map(user).collect();
        let text = name(&users, &partners(&[1]));
        let twice = format!(
            "{}{}",
            &text[..text.len() - 6],
            &text[text.len() - 12..text.len() - 6]
        );
        let short = &text[..text.len() - 6];
        for other in [
            "gm-harbour",
            "gm--",
            "harbour",
            "dm-abc",
            "gm-ä",
            short,
            &twice,
        ] {
            assert_eq!(Group::of(other), None, "{other}");
        }
        assert_eq!(Group::of(&format!("{text}y")), None);
    }
}
