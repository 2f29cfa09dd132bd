//! A scenario: partners, links, traffic and events, as a planner writes them down.

mod build;
mod raw;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use comity_protocol::event::Precedence;

use super::links::LinkShape;
use super::profiles;
pub(crate) use build::merged;

/// Partners of a scenario. A mesh of 16 has 120 links.
pub const PARTNERS_MAX: usize = 16;
/// The longest scenario, settling included: a week.
pub const DURATION_MAX_MS: u64 = 7 * 24 * 3600 * 1000;
/// Posts of one run, as far as they can be foretold: some minutes of work.
pub const POSTS_MAX: u64 = 50_000;
/// Outages, partitions and other happenings of one run.
pub const HAPPENINGS_MAX: usize = 10_000;
/// The longest text of a post, in bytes: half a body.
pub const TEXT_MAX: u64 = 32_768;
/// The largest scenario and the largest trace, in bytes.
const FILE_MAX: u64 = 32 << 20;

/// What is to be simulated, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    pub name: String,
    pub about: String,
    /// Where its figures come from.
    pub sources: Vec<String>,
    /// How long people post.
    pub duration_ms: u64,
    /// How long the run goes on after that.
    pub settle_ms: u64,
    pub partners: Vec<String>,
    /// By the numbers of the partners, the lower first; what is missing has no link.
    pub links: BTreeMap<(usize, usize), PlannedLink>,
    pub traffic: Vec<Traffic>,
    pub events: Vec<Planned>,
}

/// A link, and when it is down: from and until, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedLink {
    pub shape: LinkShape,
    pub down: Vec<(u64, u64)>,
}

/// What some partners' people post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    pub from: Vec<usize>,
    /// Of each of them, in millionths a minute.
    pub posts_per_minute: u64,
    pub sizes: Vec<Size>,
    /// The readers, where not all members.
    pub to: Option<BTreeSet<usize>>,
    pub precedence: Precedence,
    pub begin_ms: u64,
    pub end_ms: u64,
}

/// Texts from `least` to `most` bytes long, evenly, for `share` of the sum of all shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub least: u64,
    pub most: u64,
    pub share: u64,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub at_ms: u64,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// No link between partners of different groups works.
    Partition {
        groups: Vec<BTreeSet<usize>>,
        for_ms: u64,
    },
    /// A partner leaves the channel.
    Leave(usize),
    /// The first partner, who owns the channel, removes one.
    Remove(usize),
    /// A partner's node takes everything and says nothing any more.
    Silent(usize),
    /// The same, and it floods its peers with posts of its own.
    Hostile {
        partner: usize,
        posts_per_minute: u64,
        bytes: u64,
    },
    /// A partner's node is off.
    Crash { partner: usize, for_ms: u64 },
}

/// Why something is no scenario: one line for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl Scenario {
    /// The scenario in a file, or the profile of this name where there is no such file.
    pub fn load(file_or_profile: &str) -> Result<Scenario, Refusal> {
        let path = Path::new(file_or_profile);
        if let Some(profile) = profiles::find(file_or_profile).filter(|_| !path.exists()) {
            return Scenario::parse(profile.name, profile.text, Path::new(""));
        }
        if !path.exists() && !file_or_profile.contains(['.', '/']) {
            return Err(Refusal(format!(
                "there is neither a file nor a profile `{file_or_profile}`; the profiles are {}",
                profiles::names()
            )));
        }
        let text = read(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Scenario::parse(file_or_profile, &text, folder)
    }

    /// The scenario that a text describes. `origin` names the text in refusals; traces are looked
    /// for in `folder`.
    pub fn parse(origin: &str, text: &str, folder: &Path) -> Result<Scenario, Refusal> {
        let own = raw::Document::parse(origin, text)?;
        let base = match &own.raw.profile {
            None => None,
            Some(wanted) => {
                let profile = profiles::find(wanted.get_ref()).ok_or_else(|| {
                    own.refuse(
                        wanted.span(),
                        format!(
                            "profile: there is none named `{}`; there are {}",
                            wanted.get_ref(),
                            profiles::names()
                        ),
                    )
                })?;
                Some(raw::Document::parse(profile.name, profile.text)?)
            }
        };
        build::scenario(&own, base.as_ref(), folder)
    }
}

/// Reads a text file that is not absurdly large.
fn read(path: &Path) -> Result<String, Refusal> {
    let shown = path.display();
    let size = std::fs::metadata(path).map_err(|error| Refusal(format!("{shown}: {error}")))?;
    if size.len() > FILE_MAX {
        return Err(Refusal(format!(
            "{shown}: larger than {} MiB",
            FILE_MAX >> 20
        )));
    }
    std::fs::read_to_string(path).map_err(|error| Refusal(format!("{shown}: {error}")))
}

#[cfg(test)]
mod tests;
