//! Reads a script, line by line, and does what it says. The words are explained in the module
//! comment of [`super`].

use std::collections::{BTreeMap, BTreeSet};

use comity_crypto as crypto;

use super::cast::{NodeNumber, cast, node, node_named, partner_named};
use super::outcome::{Expectation, Outcome, judge};
use super::world::{Draft, Verdict, World};
use crate::body::{CertificatesBody, WriterBody};
use crate::body::{
    EmptyBody, EndorseBody, GrantBody, InviteBody, RemoveBody, Role, SealingKeyBody,
};
use crate::codec::{Canonical, encode};
use crate::event::Kind;
use crate::evidence::{EvidenceBody, SignedHeader};
use crate::finality::AckBody;
use crate::id::{EventId, Hash};
use crate::lane::LaneForm;

type Result<T> = std::result::Result<T, String>;

/// A script that is being read.
pub struct Script {
    pub world: World,
    pub labels: BTreeMap<String, EventId>,
    /// How many events there were when the story began.
    pub set_up: usize,
    quorum: u8,
    history: u8,
    finality: u8,
    /// The digests of barriers that the script has named.
    pub barriers: BTreeMap<String, Hash>,
    /// Nodes that hear when all hear.
    nodes: BTreeSet<NodeNumber>,
    certificate_numbers: BTreeMap<usize, u64>,
    /// The expectations that follow are about what this outcome holds.
    outcome: Option<Outcome>,
    /// Labels of messages and acts that the last full list of expectations has named.
    covered: BTreeSet<String>,
    /// What did not come out as expected, with line numbers.
    pub failures: Vec<String>,
}

/// A line taken apart: its label, what is done, and what follows `at`, `under`, `after`, `citing`,
/// `endorsed` and `=>`.
struct Line<'a> {
    label: Option<&'a str>,
    words: Vec<&'a str>,
    at: Option<&'a str>,
    under: Option<&'a str>,
    after: Option<&'a str>,
    citing: Vec<&'a str>,
    instead: Option<&'a str>,
    endorsed: Vec<&'a str>,
    verdict: Verdict,
}

/// Plays a script and gives what did not come out as it says.
pub fn play(text: &str) -> Vec<String> {
    let mut script = Script {
        world: World::founded(0, 1, 1),
        labels: BTreeMap::new(),
        set_up: 0,
        quorum: 0,
        history: 1,
        finality: 1,
        barriers: BTreeMap::new(),
        nodes: BTreeSet::new(),
        certificate_numbers: BTreeMap::new(),
        outcome: None,
        covered: BTreeSet::new(),
        failures: Vec::new(),
    };
    for (at, text) in text.lines().enumerate() {
        let code = text.split('#').next().unwrap_or("");
        if code.trim().is_empty() {
            continue;
        }
        let indented = code.starts_with(char::is_whitespace);
        if let Err(why) = script.line(code, indented) {
            script.failures.push(format!("line {}: {why}", at + 1));
        }
    }
    script.check_coverage();
    script.failures
}

impl Script {
    fn line(&mut self, code: &str, expects: bool) -> Result<()> {
        if expects {
            let words: Vec<&str> = code.split_whitespace().collect();
            return self.expectation(&words);
        }
        let line = Line::parse(code)?;
        match line.words.as_slice() {
            ["quorum", owners] => self.quorum = owners.parse().map_err(|_| "not a number")?,
            ["history", "all"] => self.history = 2,
            ["finality", "majority"] => self.finality = 2,
            ["round", number, "in", lane, "of", rest @ ..] => self.round(number, lane, rest)?,
            ["barrier", name, "is", number, "in", lane, "of", rest @ ..] => {
                let digest = self.barrier(number, lane, rest)?;
                self.barriers.insert(name.to_string(), digest);
            }
            ["channel", members @ ..] => self.found(members)?,
            ["lane", name, "open", audience @ ..] => {
                let audience = partners(audience)?;
                self.world.name_lane(name, LaneForm::Open, audience);
            }
            ["lane", name, "to", audience @ ..] => {
                let audience = partners(audience)?;
                self.world.name_lane(name, LaneForm::Directed, audience);
            }
            ["all", "hear"] => {
                for who in self.nodes.clone() {
                    self.world.hear_all(who);
                }
            }
            ["all", "hear", labels @ ..] => {
                for who in self.nodes.clone() {
                    self.hear(who, labels)?;
                }
            }
            [who, "hears", "all"] => {
                let who = self.node(who)?;
                self.world.hear_all(who);
            }
            [who, "hears", labels @ ..] => {
                let who = self.node(who)?;
                self.hear(who, labels)?;
            }
            ["expect"] => self.settle(None)?,
            ["expect", "at", who] => self.settle(Some(node_named(who)?))?,
            [who, act @ ..] => {
                let who = self.node(who)?;
                if let Some(label) = line.instead {
                    let id = self.labelled(label)?;
                    self.world.forget(who, id);
                }
                let id = self.act(who, act, &line)?;
                self.label(line.label, id)?;
            }
            [] => return Err("nothing is said".to_string()),
        }
        Ok(())
    }

    /// Each acknowledges what it has heard; then they hear each other.
    fn round(&mut self, number: &str, lane: &str, rest: &[&str]) -> Result<()> {
        let (names, base) = match rest {
            [names @ .., "on", base] => (names, Some(*base)),
            names => (names, None),
        };
        let mut acks = Vec::new();
        for name in names {
            let who = self.node(name)?;
            let draft = self.ack(who, lane, number, base)?;
            let id = self.world.write(draft)?;
            self.label(Some(&format!("{lane}.{number}.{name}")), id)?;
            acks.push(id);
        }
        for name in names {
            let who = self.node(name)?;
            acks.iter().for_each(|ack| self.world.hear(who, *ack));
        }
        Ok(())
    }

    fn ack(&self, by: NodeNumber, lane: &str, number: &str, base: Option<&str>) -> Result<Draft> {
        let base = base.map(|base| self.barrier_named(base)).transpose()?;
        let body = AckBody {
            number: number.parse().map_err(|_| "not a number")?,
            base: base.unwrap_or(Hash([0; 32])),
        };
        Ok(Draft::new(by, Kind::Ack, self.lane(lane)?, body.to_bytes()))
    }

    /// The digest of a barrier that a round made, as section 21 says it.
    fn barrier(&self, number: &str, lane: &str, rest: &[&str]) -> Result<Hash> {
        let (rest, base) = match rest {
            [rest @ .., "on", base] => (rest, self.barrier_named(base)?),
            rest => (rest, Hash([0; 32])),
        };
        let mut parts = rest.split(|word| *word == "with");
        let (of, with) = (parts.next().unwrap_or(&[]), parts.next().unwrap_or(&[]));
        let member = |word: &&str| {
            let (name, session) = word.split_once('+').unwrap_or((word, "0"));
            let session: u64 = session.parse().map_err(|_| "not a session")?;
            let (partner, _) = node_named(name)?;
            Ok((cast()[partner].id, session))
        };
        let set = of.iter().chain(with).map(member);
        let set = set.collect::<Result<BTreeSet<_>>>()?;
        let acks = of.iter().map(|word| {
            let name = word.split_once('+').map_or(*word, |(name, _)| name);
            self.labelled(&format!("{lane}.{number}.{name}"))
        });
        let acks = acks.collect::<Result<BTreeSet<_>>>()?;
        let number: u64 = number.parse().map_err(|_| "not a number")?;
        let encoded = encode(&(number, acks, set, base));
        Ok(Hash(crypto::hash("comity/v1/barrier", &[&encoded])))
    }

    pub fn barrier_named(&self, name: &str) -> Result<Hash> {
        let barrier = self.barriers.get(name).copied();
        barrier.ok_or(format!("no barrier is called {name}"))
    }

    fn hear(&mut self, who: NodeNumber, labels: &[&str]) -> Result<()> {
        for label in labels {
            let id = self.labelled(label)?;
            self.world.hear(who, id);
        }
        Ok(())
    }

    /// A channel of these members, each with a role, who have all heard of each other.
    fn found(&mut self, members: &[&str]) -> Result<()> {
        self.world = World::founded(self.quorum, self.history, self.finality);
        self.nodes = [(0, 0)].into();
        let mut owners = vec![0];
        for (at, pair) in members.chunks(2).enumerate() {
            let [name, role] = pair else {
                return Err("each member has a name and a role".to_string());
            };
            let (whom, role) = (partner_named(name)?, role_named(role)?);
            if at == 0 {
                if (whom, role) != (0, Role::Owner) {
                    return Err("alpha founds the channel and is its owner".to_string());
                }
                continue;
            }
            let endorsements = self.endorse_invitation(&owners, whom, role)?;
            let draft = self.invitation((0, 0), whom, role, endorsements);
            let invitation = self.world.write(draft)?;
            self.world.hear((whom, 0), invitation);
            let accept = self.acceptance((whom, 0));
            let accept = self.world.write(accept)?;
            self.world.hear((0, 0), accept);
            self.nodes.insert((whom, 0));
            if role == Role::Owner {
                owners.push(whom);
            }
        }
        for who in self.nodes.clone() {
            self.world.hear_all(who);
        }
        self.set_up = self.world.order.len();
        Ok(())
    }

    /// A further owner needs a quorum of those that there are.
    fn endorse_invitation(
        &mut self,
        owners: &[usize],
        whom: usize,
        role: Role,
    ) -> Result<Vec<EventId>> {
        if role != Role::Owner {
            return Ok(Vec::new());
        }
        let needed = match self.quorum as usize {
            0 => owners.len() / 2 + 1,
            quorum => quorum.min(owners.len()),
        };
        let subject = encode(&cast()[whom].identity(1, &[0]));
        let proposal = self.world.proposal(Kind::Invite, &subject, Some(role));
        let mut endorsements = Vec::new();
        for owner in &owners[..needed] {
            self.world.hear_all((*owner, 0));
            let body = EndorseBody { proposal }.to_bytes();
            let draft = Draft::new((*owner, 0), Kind::Endorse, self.world.control(), body);
            endorsements.push(self.world.write(draft)?);
        }
        self.world.hear_all((0, 0));
        endorsements.sort_unstable();
        Ok(endorsements)
    }

    fn invitation(
        &self,
        by: NodeNumber,
        whom: usize,
        role: Role,
        endorsements: Vec<EventId>,
    ) -> Draft {
        let body = InviteBody {
            partner: cast()[whom].identity(1, &[0]),
            role,
            endorsements,
        };
        Draft {
            rekeys: Some(whom),
            ..Draft::new(by, Kind::Invite, self.world.control(), body.to_bytes())
        }
    }

    fn acceptance(&self, by: NodeNumber) -> Draft {
        self.announcement(by, Kind::Accept)
    }

    fn announcement(&self, by: NodeNumber, kind: Kind) -> Draft {
        let number = self.world.next_sealing_key(by.0);
        let body = SealingKeyBody {
            sealing_key: cast()[by.0].sealing_key(number),
        };
        Draft {
            rekeys: Some(by.0),
            sealing_key: Some(number),
            ..Draft::new(by, kind, self.world.control(), body.to_bytes())
        }
    }

    /// Writes what a line says somebody does.
    fn act(&mut self, by: NodeNumber, act: &[&str], line: &Line) -> Result<EventId> {
        if let ["keys", lane, rest @ ..] = act {
            let lane = self.lane(lane)?;
            let wrapped_to = match rest {
                [] => None,
                ["for", whom @ ..] => Some(partners(whom)?),
                _ => return Err("keys LANE [for PARTNERS]".to_string()),
            };
            let wrapped_to = wrapped_to.as_ref();
            return Ok(self.world.write_key(by, lane, wrapped_to, line.verdict));
        }
        let acknowledges = match act {
            ["acknowledges", lane, number] => Some((lane, number, None)),
            ["acknowledges", lane, number, "on", base] => Some((lane, number, Some(*base))),
            _ => None,
        };
        let draft = match (acknowledges, self.control_act(by, act, line)?) {
            (Some((lane, number, base)), _) => self.ack(by, lane, number, base)?,
            (None, Some(draft)) => draft,
            (None, None) => self.message(by, act)?,
        };
        let seconds = line
            .at
            .map(|at| at.parse::<u64>().map_err(|_| "not a time"));
        self.world.write(Draft {
            claimed_ms: seconds.transpose()?.map(|seconds| seconds * 1000),
            under: line.under.map(|label| self.labelled(label)).transpose()?,
            citing: self.ids(&line.citing)?.into_iter().collect(),
            verdict: line.verdict,
            ..draft
        })
    }

    fn control_act(&mut self, by: NodeNumber, act: &[&str], line: &Line) -> Result<Option<Draft>> {
        let control = self.world.control();
        let draft = |kind, body: Vec<u8>| Some(Draft::new(by, kind, control, body));
        let mut endorsements = self.ids(&line.endorsed)?;
        endorsements.sort_unstable();
        Ok(match act {
            ["invites", whom, "as", role] => {
                let whom = partner_named(whom)?;
                self.nodes.insert((whom, 0));
                Some(self.invitation(by, whom, role_named(role)?, endorsements))
            }
            ["accepts"] => Some(self.acceptance(by)),
            ["grants", whom, role] => {
                let (partner, role) = (cast()[partner_named(whom)?].id, role_named(role)?);
                let body = GrantBody {
                    partner,
                    role,
                    endorsements,
                };
                draft(Kind::Grant, body.to_bytes())
            }
            [verb @ ("removes" | "suspends"), whom] => {
                let partner = cast()[partner_named(whom)?].id;
                let body = RemoveBody {
                    partner,
                    endorsements,
                };
                draft(revocation(verb), body.to_bytes())
            }
            ["merges"] => draft(Kind::Merge, EmptyBody {}.to_bytes()),
            ["leaves"] => draft(Kind::Leave, EmptyBody {}.to_bytes()),
            ["rekeys"] => Some(self.announcement(by, Kind::SealingKey)),
            ["proves", one, other] => {
                let signed = |label: &str| -> Result<SignedHeader> {
                    let id = self.labelled(label)?;
                    Ok(SignedHeader::of(&self.world.written[&id].event))
                };
                let body = EvidenceBody::new(signed(one)?, signed(other)?);
                let lane = self.world.written[&self.labelled(one)?].event.header.lane;
                Some(Draft::new(by, Kind::Evidence, lane, body.to_bytes()))
            }
            ["endorses", proposal @ ..] => {
                let proposal = self.proposal(proposal)?;
                draft(Kind::Endorse, EndorseBody { proposal }.to_bytes())
            }
            ["introduces", writer] => {
                let (partner, further) = node_named(writer)?;
                let number = self.next_list(partner);
                let identity = cast()[partner].identity(number, &[0, further]);
                self.meet((partner, further), by);
                draft(
                    Kind::WriterIntroduce,
                    CertificatesBody { identity }.to_bytes(),
                )
            }
            ["retires", writer] => {
                let writer = node(node_named(writer)?).writer;
                draft(Kind::WriterRetire, WriterBody { writer }.to_bytes())
            }
            ["moves", "the", "seat", "to", writer] => {
                let writer = node(node_named(writer)?).writer;
                draft(Kind::SeatMove, WriterBody { writer }.to_bytes())
            }
            [
                "carries",
                "the",
                "transfer",
                "of",
                "the",
                "seat",
                "to",
                writer,
            ] => {
                let (partner, seat) = node_named(writer)?;
                let number = self.next_list(partner);
                let channel = self.world.channel;
                let after = match line.after {
                    Some(label) => self.labelled(label)?,
                    None => self.world.order[0],
                };
                let body = cast()[partner].seat_transfer(channel, number, &[seat], seat, after);
                self.meet((partner, seat), by);
                draft(Kind::SeatTransfer, body.to_bytes())
            }
            _ => None,
        })
    }

    /// A new node begins with what the one that brings it in has heard.
    fn meet(&mut self, new: NodeNumber, from: NodeNumber) {
        if self.nodes.insert(new) {
            let control = self.world.control();
            let heard = self.world.heard[&from].clone();
            let of_control = heard
                .into_iter()
                .filter(|id| self.world.written[id].event.header.lane == control);
            self.world.heard.insert(new, of_control.collect());
        }
    }

    fn next_list(&mut self, partner: usize) -> u64 {
        let number = self.certificate_numbers.entry(partner).or_insert(1);
        *number += 1;
        *number
    }

    fn proposal(&self, words: &[&str]) -> Result<Hash> {
        let (kind, whom, role) = match words {
            ["removing", whom] => (Kind::Remove, whom, None),
            ["suspending", whom] => (Kind::Suspend, whom, None),
            ["granting", whom, role] => (Kind::Grant, whom, Some(role_named(role)?)),
            ["inviting", whom, "as", role] => (Kind::Invite, whom, Some(role_named(role)?)),
            _ => return Err(format!("no proposal: {}", words.join(" "))),
        };
        let partner = &cast()[partner_named(whom)?];
        let subject = match kind {
            Kind::Invite => encode(&partner.identity(1, &[0])),
            _ => partner.id.0.to_vec(),
        };
        Ok(self.world.proposal(kind, &subject, role))
    }

    fn message(&mut self, by: NodeNumber, act: &[&str]) -> Result<Draft> {
        let (kind, target, lane) = match act {
            ["posts", "in", lane] => (Kind::Post, None, lane),
            ["replies", "to", target, "in", lane] => (Kind::Post, Some(target), lane),
            ["edits", target, "in", lane] => (Kind::Edit, Some(target), lane),
            ["redacts", target, "in", lane] => (Kind::Redact, Some(target), lane),
            ["reacts", "to", target, "in", lane] => (Kind::React, Some(target), lane),
            ["pins", target, "in", lane] => (Kind::Pin, Some(target), lane),
            ["has", "read", target, "in", lane] => (Kind::Receipt, Some(target), lane),
            ["cuts", lane] => (Kind::Cut, None, lane),
            _ => return Err(format!("nobody can do this: {}", act.join(" "))),
        };
        let body = match kind {
            Kind::Cut => EmptyBody {}.to_bytes(),
            // What stands for a sealed body: acceptance never opens it.
            _ => b"sealed".to_vec(),
        };
        let about = target.map(|label| self.labelled(label)).transpose()?;
        Ok(Draft {
            about,
            ..Draft::new(by, kind, self.lane(lane)?, body)
        })
    }

    pub fn lane(&self, name: &str) -> Result<crate::id::LaneId> {
        if name == "control" {
            return Ok(self.world.control());
        }
        let lane = self.world.lanes.get(name);
        lane.map(|lane| lane.id)
            .ok_or(format!("no lane is called {name}"))
    }

    fn node(&self, name: &str) -> Result<NodeNumber> {
        let node = node_named(name)?;
        if self.nodes.contains(&node) {
            Ok(node)
        } else {
            Err(format!("{name} is not in the story yet"))
        }
    }

    fn label(&mut self, label: Option<&str>, id: EventId) -> Result<()> {
        let Some(label) = label else { return Ok(()) };
        match self.labels.insert(label.to_string(), id) {
            None => Ok(()),
            Some(_) => Err(format!("{label} names two events")),
        }
    }

    pub fn labelled(&self, label: &str) -> Result<EventId> {
        let id = self.labels.get(label).copied();
        id.ok_or(format!("no event is called {label}"))
    }

    pub fn ids(&self, labels: &[&str]) -> Result<Vec<EventId>> {
        labels.iter().map(|label| self.labelled(label)).collect()
    }

    /// Offers what is held, in many orders, and keeps the outcome for what is expected of it.
    fn settle(&mut self, holder: Option<NodeNumber>) -> Result<()> {
        self.covered.clear();
        self.outcome = None;
        self.outcome = Some(judge(self, holder)?);
        Ok(())
    }

    fn expectation(&mut self, words: &[&str]) -> Result<()> {
        let Some(outcome) = self.outcome.take() else {
            return Err("nothing is expected of anybody yet".to_string());
        };
        let expectation = Expectation::parse(self, words);
        let result = expectation.and_then(|expectation| {
            self.covered.extend(expectation.covers());
            expectation.check(self, &outcome)
        });
        self.outcome = Some(outcome);
        result
    }

    /// A story ends with the fate of everything that it has named.
    fn check_coverage(&mut self) {
        let uncovered: Vec<&String> = self
            .labels
            .iter()
            .filter(|(label, id)| {
                let written = &self.world.written[*id];
                let kind = written.event.header.kind();
                written.verdict == Verdict::Accepted
                    && (kind.is_sealed() || kind.is_control_act())
                    && !self.covered.contains(*label)
            })
            .map(|(label, _)| label)
            .collect();
        if !uncovered.is_empty() {
            self.failures
                .push(format!("the last expectations do not name {uncovered:?}"));
        }
    }
}

impl<'a> Line<'a> {
    fn parse(code: &'a str) -> Result<Line<'a>> {
        let (code, verdict) = match code.split_once("=>") {
            None => (code, Verdict::Accepted),
            Some((code, verdict)) => (code, verdict_named(verdict.trim())?),
        };
        let (label, code) = match code.split_once(':') {
            None => (None, code),
            Some((label, code)) => (Some(label.trim()), code),
        };
        let mut words: Vec<&str> = code.split_whitespace().collect();
        let mut clause = |name: &str| -> Vec<&str> {
            match words.iter().position(|word| *word == name) {
                Some(at) if words[0] != "expect" => words.split_off(at).split_off(1),
                _ => Vec::new(),
            }
        };
        Ok(Line {
            label,
            endorsed: clause("endorsed"),
            citing: clause("citing"),
            instead: clause("instead").first().copied(),
            after: clause("after").first().copied(),
            under: clause("under").first().copied(),
            at: clause("at").first().copied(),
            words,
            verdict,
        })
    }
}

fn verdict_named(name: &str) -> Result<Verdict> {
    match name {
        "invalid" => Ok(Verdict::Invalid),
        "missing" => Ok(Verdict::Missing),
        _ => Err(format!("{name} is no verdict")),
    }
}

pub fn role_named(name: &str) -> Result<Role> {
    match name {
        "owner" => Ok(Role::Owner),
        "admin" => Ok(Role::Admin),
        "contributor" => Ok(Role::Contributor),
        "observer" => Ok(Role::Observer),
        _ => Err(format!("{name} is no role")),
    }
}

fn revocation(verb: &str) -> Kind {
    match verb {
        "removes" => Kind::Remove,
        _ => Kind::Suspend,
    }
}

pub fn partners(names: &[&str]) -> Result<BTreeSet<usize>> {
    names.iter().map(|name| partner_named(name)).collect()
}
