//! Which posts of a file are whose: every author has one home partner.

use aws_lc_rs::digest::{SHA256, digest};

use super::super::failure;
use crate::api::ApiError;

/// How authors are given to partners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// By the organisation that the file says.
    Organisation,
    /// By a hash of the author's name, over these partners.
    Spread(Vec<String>),
}

impl Rule {
    /// Spreads over the partners named; by organisation when none is.
    pub fn new(partners: Vec<String>) -> Result<Self, ApiError> {
        if partners.iter().any(String::is_empty) {
            return Err(failure::operator(
                "bad_spread",
                "a partner's name in --spread is empty",
                "separate the names by single commas: --spread alpha,bravo",
            ));
        }
        match partners.is_empty() {
            true => Ok(Self::Organisation),
            false => Ok(Self::Spread(partners)),
        }
    }

    /// The partner at whose node an author posts.
    pub fn home<'a>(&'a self, user: &str, organisation: &'a str) -> &'a str {
        match self {
            Self::Organisation => organisation,
            Self::Spread(partners) => &partners[spread(user, partners.len())],
        }
    }
}

/// A number below `count`, the same for a name on every machine.
fn spread(user: &str, count: usize) -> usize {
    let hash = digest(&SHA256, user.as_bytes());
    let start = hash.as_ref()[..8].try_into().map_or(0, u64::from_be_bytes);
    (start % count as u64) as usize
}

/// The part of a file that is imported.
#[derive(Debug, Clone)]
pub struct Selection {
    pub partner: String,
    pub rule: Rule,
}

impl Selection {
    /// The identity of an import: hash of the file's digest and of all that selects its lines.
    pub fn import_id(&self, file_digest: &str) -> String {
        let mut text = format!("comity import\n{file_digest}\n{:?}\n", self.partner);
        if let Rule::Spread(partners) = &self.rule {
            text.push_str(&format!("{partners:?}\n"));
        }
        hex(digest(&SHA256, text.as_bytes()).as_ref())
    }
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    // The expected values were computed by another program.
    fn the_spread_is_the_same_everywhere() {
        let rule = rule(&["alpha", "bravo", "charlie", "delta"]);
        let homes = ["amal", "boris", "chidi", "dora", "емил"].map(|user| rule.home(user, ""));
        assert_eq!(homes, ["delta", "alpha", "delta", "alpha", "charlie"]);
    }

    #[test]
    fn the_spread_reaches_every_partner() {
        let mut counts = [0; 16];
        for user in 0..1600 {
            counts[spread(&format!("user{user}"), 16)] += 1;
        }
        assert!(
            counts.iter().all(|count| (50..150).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn an_import_is_the_file_and_the_selection() {
        let by_organisation = Selection {
            partner: "alpha".into(),
            rule: Rule::Organisation,
        };
        let spread = Selection {
            rule: rule(&["alpha", "bravo"]),
            ..by_organisation.clone()
        };
        let other = Selection {
            partner: "bravo".into(),
            ..by_organisation.clone()
        };
        let ids = [
            by_organisation.import_id("00"),
            by_organisation.import_id("01"),
            spread.import_id("00"),
            other.import_id("00"),
        ];
        for (at, id) in ids.iter().enumerate() {
            assert_eq!(id.len(), 64);
            assert!(!ids[..at].contains(id));
        }
    }

    #[test]
    fn without_names_the_organisation_decides() {
        let rule = Rule::new(Vec::new()).unwrap();
        assert_eq!(rule.home("anyone", "bravo"), "bravo");
        assert!(Rule::new(vec!["alpha".into(), String::new()]).is_err());
    }

    fn rule(partners: &[&str]) -> Rule {
        Rule::new(partners.iter().map(ToString::to_string).collect()).unwrap()
    }
}
