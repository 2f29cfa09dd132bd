//! What a decision about a partner would do, told before it is taken.

use comity_protocol::authority::{Status, View};
use comity_protocol::channel::Channel;
use comity_protocol::id::{ChannelId, PartnerId, hex};
use comity_protocol::lane::History;
use comity_protocol::replica::{CommandError, Proposal, Prospect};
use serde::Serialize;

use super::channels::api_role;
use super::{failure, members, names};
use crate::api::{ApiError, Decided, MembershipAct, Role};
use crate::home::direct;
use crate::node::Node;
use crate::pacts::{PactState, PeeringError};

/// Domain tag of the digest of what a decision was previewed from.
const TAG_SEEN: &str = "comity/v1/previewed-decision";

/// What a decision about a partner's membership in a channel would come to now.
#[derive(Debug, Clone, Serialize)]
pub struct Preview {
    pub channel: String,
    pub channel_id: String,
    pub act: MembershipAct,
    pub partner: String,
    pub partner_id: String,
    pub role: Option<Role>,
    pub outcome: Outcome,
    /// Where it is refused: why, in words.
    pub why: Option<String>,
    /// Where owners have to stand behind it.
    pub quorum: Option<Owners>,
    /// What follows once it is carried out, a sentence each.
    pub consequences: Vec<String>,
    /// Changes when what the rest follows from does.
    pub seen: String,
}

/// What happens if the decision is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It takes effect.
    TakesEffect,
    /// This partner's endorsement is written; it takes more.
    Endorses,
    /// Nothing: this partner has endorsed it, and it takes more.
    Waits,
    Refused,
}

/// The owners that have to stand behind a decision.
#[derive(Debug, Clone, Serialize)]
pub struct Owners {
    pub needed: u64,
    pub endorsed_by: Vec<String>,
    /// Those whose endorsement would count and is not there.
    pub missing: Vec<String>,
}

/// A decision about a partner's membership.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// A channel's id or name.
    pub channel: &'a str,
    pub act: MembershipAct,
    pub partner: &'a str,
    /// For an invitation and a grant.
    pub role: Option<Role>,
}

/// What the machine knows of a decision.
struct Known {
    name: String,
    view: std::sync::Arc<View>,
    history: History,
    prospect: Result<Prospect, CommandError>,
}

impl Decision<'_> {
    /// What it would come to now; nothing is written.
    pub async fn preview(&self, node: &Node) -> Result<Preview, ApiError> {
        let id = names::channel(node, self.channel).await?;
        let proposal = members::proposed(node, id, self.act, self.partner, self.role).await?;
        let known = known(node, id, proposal.clone()).await?;
        if direct::is_name(&known.name) {
            return Err(failure::operator(
                "no_such_channel",
                "a direct channel is its two users' alone",
                "name a channel that has a name",
            ));
        }
        let partner = proposal.partner();
        let name = node.partner_name(&partner).await;
        let mut quorum = None;
        let (outcome, why) = match &known.prospect {
            Ok(Prospect::ByRole) => (Outcome::TakesEffect, None),
            Ok(Prospect::ByOwners {
                endorsers,
                needed,
                owners,
            }) => {
                quorum = Some(Owners {
                    needed: *needed as u64,
                    endorsed_by: named(node, endorsers).await,
                    missing: named(node, owners.difference(endorsers)).await,
                });
                let own = endorsers.contains(&node.partner);
                let counts = owners.contains(&node.partner);
                let with_own = endorsers.len() + usize::from(!own && counts);
                match (with_own >= *needed, own) {
                    (true, _) => (Outcome::TakesEffect, None),
                    (false, false) => (Outcome::Endorses, None),
                    (false, true) => (Outcome::Waits, None),
                }
            }
            Ok(Prospect::NotAllowed) => (Outcome::Refused, Some(not_allowed(&known.view, node))),
            Err(error) => (Outcome::Refused, Some(error.to_string())),
        };
        let (outcome, why) = match self.pact_in_the_way(node).await {
            Some(why) if outcome == Outcome::TakesEffect => (Outcome::Refused, Some(why)),
            _ => (outcome, why),
        };
        let consequences = consequences(node, &known, &proposal, &name).await;
        Ok(Preview {
            seen: seen(&known, &proposal, id, outcome),
            channel: known.name,
            channel_id: id.to_hex(),
            act: self.act,
            partner: name,
            partner_id: partner.to_hex(),
            role: self.role,
            outcome,
            why,
            quorum,
            consequences,
        })
    }

    /// A channel is shared with an approved peer only.
    async fn pact_in_the_way(&self, node: &Node) -> Option<String> {
        if self.act != MembershipAct::Invite {
            return None;
        }
        match node.pacts.lock().await.by_name(self.partner) {
            Ok(pact) if pact.state == PactState::Active => None,
            Ok(pact) => Some(format!(
                "the pact with {} is {}",
                self.partner,
                pact.state.as_str()
            )),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Does what the preview said; nothing where that has changed since.
    pub async fn take(&self, node: &Node, previewed: &str) -> Result<Decided, ApiError> {
        let now = self.preview(node).await?;
        if now.seen != previewed {
            return Err(failure::operator(
                "changed_since",
                format!("{} has changed since this was previewed", now.channel),
                "look at what it would do now, and decide again",
            ));
        }
        let (channel, partner) = (now.channel_id.as_str(), self.partner);
        match (now.outcome, self.act, self.role) {
            (Outcome::Refused, ..) => Err(failure::operator(
                "not_allowed",
                now.why.unwrap_or_default(),
                "the channel's page tells who may",
            )),
            (Outcome::Endorses | Outcome::Waits, act, role) => {
                members::endorse(node, channel, act, partner, role).await
            }
            (_, MembershipAct::Invite, Some(role)) => {
                members::share(node, channel, partner, role).await?;
                Ok(Decided {
                    channel: now.channel,
                    channel_id: now.channel_id,
                    partner: now.partner,
                    partner_id: now.partner_id,
                    done: "invited".into(),
                    consequences: now.consequences,
                })
            }
            (_, MembershipAct::Grant, Some(role)) => {
                members::grant(node, channel, partner, role).await
            }
            (_, MembershipAct::Suspend, _) => members::suspend(node, channel, partner).await,
            (_, MembershipAct::Remove, _) => members::remove(node, channel, partner).await,
            (_, _, None) => Err(failure::node("internal", "a preview without the role")),
        }
    }
}

async fn known(node: &Node, id: ChannelId, proposal: Proposal) -> Result<Known, ApiError> {
    let own = node.partner;
    let looked = node.handle.look(move |replica| {
        let channel = replica.channels().get(&id)?;
        let prospect = match names::place(channel, &own) {
            Some(Status::Active) => channel.prospect(&own, &proposal),
            place => Err(CommandError::NotMember(
                place.map_or("none", Status::as_str),
            )),
        };
        Some(Known {
            name: names::name_of(channel),
            view: channel.present().clone(),
            history: channel.history(),
            prospect,
        })
    });
    let known = looked.await.map_err(failure::stopped)?;
    known.ok_or_else(|| failure::node("internal", "a channel that was there is gone"))
}

fn not_allowed(view: &View, node: &Node) -> String {
    let own = view.member(&node.partner);
    let own = own.map_or("no member", |own| api_role(own.role).as_str());
    format!(
        "this partner is {own} there, and that does not suffice: an admin decides on contributors \
         and observers, an owner on all but owners, and several owners on owners"
    )
}

/// What follows from a decision once it is carried out.
async fn consequences(node: &Node, known: &Known, proposal: &Proposal, name: &str) -> Vec<String> {
    let target = proposal.partner();
    match proposal {
        Proposal::Invite { role, .. } => {
            let reads = match known.history {
                History::FromJoin => "what is written from then on, and nothing from before",
                History::All => {
                    "what is written from then on, and all from before that was for all members; \
                     never what was for some of them"
                }
            };
            vec![
                format!("{name} is invited, and a member once its own side accepts"),
                format!("it then reads {reads}"),
                able(name, api_role(*role)),
                format!(
                    "what {name} has received it keeps: ending its membership later takes \
                     nothing back"
                ),
            ]
        }
        Proposal::Grant { role, .. } => {
            let before = known.view.members.get(&target);
            let before = before.map_or("none", |member| api_role(member.role).as_str());
            vec![
                format!(
                    "{name} was {before} and is {} from then on",
                    api_role(*role).as_str()
                ),
                able(name, api_role(*role)),
                "who reads what does not change".into(),
            ]
        }
        Proposal::Remove { .. } | Proposal::Suspend { .. } => {
            let mut stay = known.view.active();
            stay.remove(&target);
            let mut told = members::ended(name, &members::list(node, &stay).await);
            told.push(format!(
                "it can be invited again; it then reads {}",
                members::read_when_back(known.history)
            ));
            told
        }
    }
}

fn able(name: &str, role: Role) -> String {
    match role {
        Role::Observer => format!("{name} reads, and what it writes has no effect"),
        Role::Contributor => format!("{name} reads and writes"),
        Role::Admin => format!(
            "{name} reads and writes, invites others, and changes or ends the memberships of \
             contributors and observers"
        ),
        Role::Owner => format!(
            "{name} reads and writes, decides on all members but owners by itself, and on owners \
             with other owners: it cannot be removed by this partner alone"
        ),
    }
}

/// A digest of what a preview follows from.
fn seen(known: &Known, proposal: &Proposal, channel: ChannelId, outcome: Outcome) -> String {
    let mut text = format!("{outcome:?} {:?}", known.prospect);
    for (partner, member) in &known.view.members {
        text += &format!(" {partner} {:?} {:?}", member.role, member.status);
    }
    let proposal = proposal.id(&channel);
    hex(&comity_crypto::hash(
        TAG_SEEN,
        &[&channel.0[..], &proposal.0[..], text.as_bytes()],
    ))
}

async fn named<'a>(node: &Node, partners: impl IntoIterator<Item = &'a PartnerId>) -> Vec<String> {
    let mut names = Vec::new();
    for partner in partners {
        names.push(node.partner_name(partner).await);
    }
    names.sort();
    names
}

/// What changing the state of a pact would do.
#[derive(Debug, Clone, Serialize)]
pub struct PactPreview {
    pub partner: String,
    pub state: &'static str,
    pub wanted: &'static str,
    /// Why it cannot be; none where it can.
    pub why: Option<String>,
    /// The channels in which both are members or invited, by name.
    pub channels: Vec<String>,
    /// Talks of two users, which have no names for others.
    pub direct_channels: u64,
    /// Events that the partner is known to lack.
    pub behind_events: u64,
    pub consequences: Vec<String>,
}

/// What bringing a pact into another state would do; nothing is changed.
pub async fn preview_pact(
    node: &Node,
    partner: &str,
    wanted: PactState,
) -> Result<PactPreview, ApiError> {
    let (pact, may) = {
        let pacts = node.pacts.lock().await;
        let pact = pacts.by_name(partner).map_err(failure::peering)?.clone();
        (pact, pacts.may_change(partner, wanted))
    };
    let why = match may {
        Err(PeeringError::Store(error)) => return Err(failure::store(error)),
        Err(error) => Some(error.to_string()),
        Ok(()) => None,
    };
    let (own, target) = (node.partner, pact.identity.partner());
    let looked = node.handle.look(move |replica| {
        let channels = replica.channels().values();
        let common: Vec<String> = channels
            .filter(|channel| are_both_there(channel, &own, &target))
            .map(names::name_of)
            .collect();
        (common, replica.lag(&target))
    });
    let (common, behind_events) = looked.await.map_err(failure::stopped)?;
    let (direct, mut channels): (Vec<String>, Vec<String>) =
        common.into_iter().partition(|name| direct::is_name(name));
    channels.sort();
    Ok(PactPreview {
        partner: partner.into(),
        state: pact.state.as_str(),
        wanted: wanted.as_str(),
        why,
        channels,
        direct_channels: direct.len() as u64,
        behind_events,
        consequences: pact_consequences(partner, wanted),
    })
}

fn are_both_there(channel: &Channel, own: &PartnerId, other: &PartnerId) -> bool {
    let there = |partner| names::place(channel, partner).is_some_and(|it| it <= Status::Active);
    there(own) && there(other)
}

fn pact_consequences(name: &str, wanted: PactState) -> Vec<String> {
    let meanwhile = format!(
        "what is written here from then on is not sealed for {name}: it never gets it, \
         also if the pact is put in force again"
    );
    let still = format!(
        "{name} stays a member of its channels for the others, who may hand on to it what was \
         written before; to end that for everybody, remove it there"
    );
    match wanted {
        PactState::Suspended => vec![
            format!("the link with {name} closes at once, and nothing goes to it directly"),
            meanwhile,
            still,
        ],
        PactState::Revoked => vec![
            format!("the pact with {name} ends for good, and the link with it, at once"),
            meanwhile,
            still,
            "peering anew takes a new invitation and twelve new words".into(),
        ],
        PactState::Active | PactState::Waiting => vec![
            format!("the link with {name} is made again"),
            format!("what is written from then on is for {name} too, in the channels it is in"),
            "what was written meanwhile stays without it: post it again where it should have it"
                .into(),
        ],
    }
}
