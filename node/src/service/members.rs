//! Who is a member of a channel, and as what: inviting, granting, removing, suspending, and the
//! endorsements of owners where one alone may not.

use std::collections::BTreeSet;

use comity_protocol::authority::Status;
use comity_protocol::channel::Channel;
use comity_protocol::id::{ChannelId, PartnerId};
use comity_protocol::identity::Identity;
use comity_protocol::lane::History;
use comity_protocol::replica::{Command, CommandError, OpenProposal, Proposal};

use super::channels::{api_role, carry_out, protocol_role};
use super::{failure, names};
use crate::api::{ApiError, Decided, MembershipAct, Role};
use crate::node::Node;
use crate::pacts::PactState;

/// Invites a peer, be it for the first time or after its membership ended.
pub async fn share(node: &Node, channel: &str, partner: &str, role: Role) -> Result<(), ApiError> {
    let id = names::channel(node, channel).await?;
    let pact = node
        .pacts
        .lock()
        .await
        .by_name(partner)
        .map_err(failure::peering)?
        .clone();
    if pact.state != PactState::Active {
        return Err(failure::operator(
            "peer_state",
            format!("the pact with {partner} is {}", pact.state.as_str()),
            "a channel is shared with an approved peer: 'comity peer list'",
        ));
    }
    let identity = Box::new(newest(node, pact.identity).await?);
    let role = protocol_role(role);
    let case = Case::of(node, id, Proposal::Invite { identity, role }).await?;
    case.carry_out(node).await
}

/// Changes a partner's role.
pub async fn grant(
    node: &Node,
    channel: &str,
    partner: &str,
    role: Role,
) -> Result<Decided, ApiError> {
    let id = names::channel(node, channel).await?;
    let partner = names::partner_in(node, id, partner).await?;
    let case = Case::of(
        node,
        id,
        Proposal::Grant {
            partner,
            role: protocol_role(role),
        },
    )
    .await?;
    case.carry_out(node).await?;
    let consequences = vec![format!("{} is {} now", case.name, role.as_str())];
    Ok(case.decided("granted", consequences))
}

/// Ends a membership.
pub async fn remove(node: &Node, channel: &str, partner: &str) -> Result<Decided, ApiError> {
    let id = names::channel(node, channel).await?;
    let partner = another(node, id, partner).await?;
    let case = Case::of(node, id, Proposal::Remove { partner }).await?;
    case.carry_out(node).await?;
    let consequences = case.after_the_end(node).await?;
    Ok(case.decided("removed", consequences))
}

/// Ends a membership, for a time: in the protocol's eyes the same, but for its name.
pub async fn suspend(node: &Node, channel: &str, partner: &str) -> Result<Decided, ApiError> {
    let id = names::channel(node, channel).await?;
    let partner = another(node, id, partner).await?;
    let case = Case::of(node, id, Proposal::Suspend { partner }).await?;
    case.carry_out(node).await?;
    let consequences = case.after_the_end(node).await?;
    Ok(case.decided("suspended", consequences))
}

/// Endorses what an owner proposes; carrying it out is another step.
pub async fn endorse(
    node: &Node,
    channel: &str,
    act: MembershipAct,
    partner: &str,
    role: Option<Role>,
) -> Result<Decided, ApiError> {
    let id = names::channel(node, channel).await?;
    let proposal = proposed(node, id, act, partner, role).await?;
    let case = Case::of(node, id, proposal).await?;
    let before = case.endorsements(node).await?;
    let stands = before.is_some_and(|open| open.endorsers.contains(&node.partner));
    if !stands {
        let order = Command::Endorse {
            channel: id,
            proposal: case.proposal.clone(),
        };
        let decision = format!("{}: {}", case.decision(), act.as_str());
        if let Err(error) = carry_out(node, "channel_endorsed", id, &decision, order).await? {
            return Err(case.explain(node, error).await);
        }
    }
    let consequences = case.progress(node).await?;
    Ok(case.decided("endorsed", consequences))
}

/// A partner other than this one.
async fn another(node: &Node, channel: ChannelId, partner: &str) -> Result<PartnerId, ApiError> {
    let found = names::partner_in(node, channel, partner).await?;
    if found == node.partner {
        return Err(failure::operator(
            "own_membership",
            format!("{partner} is this partner itself"),
            "a partner ends its own membership with: comity channel leave",
        ));
    }
    Ok(found)
}

pub(super) async fn proposed(
    node: &Node,
    channel: ChannelId,
    act: MembershipAct,
    partner: &str,
    role: Option<Role>,
) -> Result<Proposal, ApiError> {
    let role = || {
        role.map(protocol_role).ok_or_else(|| {
            failure::operator(
                "role_needed",
                "an invitation and a grant are endorsed for one role",
                "add --role, the same as the proposer's",
            )
        })
    };
    Ok(match act {
        MembershipAct::Invite => Proposal::Invite {
            identity: Box::new(identity(node, channel, partner).await?),
            role: role()?,
        },
        MembershipAct::Grant => Proposal::Grant {
            partner: names::partner_in(node, channel, partner).await?,
            role: role()?,
        },
        MembershipAct::Remove => Proposal::Remove {
            partner: another(node, channel, partner).await?,
        },
        MembershipAct::Suspend => Proposal::Suspend {
            partner: another(node, channel, partner).await?,
        },
    })
}

/// The identity of a partner that is to be invited: as peered or, where it was in the channel
/// before, as it was introduced there.
async fn identity(node: &Node, channel: ChannelId, partner: &str) -> Result<Identity, ApiError> {
    let peered = node.pacts.lock().await.by_name(partner).cloned();
    if let Ok(pact) = peered {
        return newest(node, pact.identity).await;
    }
    let id = names::partner_in(node, channel, partner).await?;
    let known = node.handle.look(move |replica| {
        let channel = replica.channels().get(&channel)?;
        channel.identity(&id).cloned()
    });
    let known = known.await.map_err(failure::stopped)?;
    known.ok_or_else(|| failure::node("internal", "a partner of the channel without identity"))
}

/// The latest list of a peer's writers that its root has signed: the one that was compared when
/// peering, or one that the peer has introduced since in a channel of this partner, because a
/// writer of it was used up. Its TLS keys stay those of the pact.
async fn newest(node: &Node, peered: Identity) -> Result<Identity, ApiError> {
    let (partner, own) = (peered.partner(), node.partner);
    let name = peered.name.clone();
    let looked = node.handle.look(move |replica| {
        let channels = replica.channels().values();
        let placed = channels.filter(|channel| names::place(channel, &own).is_some());
        let known = placed.filter_map(|channel| channel.identity(&partner));
        let known = known.filter(|identity| identity.name == name);
        known
            .max_by_key(|identity| identity.certificates.number)
            .cloned()
    });
    let known = looked.await.map_err(failure::stopped)?;
    let number = peered.certificates.number;
    let newer = known.filter(|known| known.certificates.number > number);
    Ok(newer.unwrap_or(peered))
}

/// One decision about one partner in one channel.
struct Case {
    channel: ChannelId,
    channel_name: String,
    partner: PartnerId,
    name: String,
    proposal: Proposal,
}

impl Case {
    async fn of(node: &Node, id: ChannelId, proposal: Proposal) -> Result<Case, ApiError> {
        let channel_name = node
            .handle
            .look(move |replica| replica.channels().get(&id).map(names::name_of));
        let partner = proposal.partner();
        Ok(Case {
            channel: id,
            channel_name: channel_name
                .await
                .map_err(failure::stopped)?
                .unwrap_or_default(),
            partner,
            name: node.partner_name(&partner).await,
            proposal,
        })
    }

    /// Carries it out, where this partner's role or the owners' endorsements suffice.
    async fn carry_out(&self, node: &Node) -> Result<(), ApiError> {
        let channel = self.channel;
        let (action, order) = match self.proposal.clone() {
            Proposal::Invite { identity, role } => (
                "channel_shared",
                Command::Share {
                    channel,
                    partner: *identity,
                    role,
                },
            ),
            Proposal::Grant { partner, role } => (
                "channel_granted",
                Command::Grant {
                    channel,
                    partner,
                    role,
                },
            ),
            Proposal::Remove { partner } => {
                ("channel_removed", Command::Remove { channel, partner })
            }
            Proposal::Suspend { partner } => {
                ("channel_suspended", Command::Suspend { channel, partner })
            }
        };
        match carry_out(node, action, channel, &self.decision(), order).await? {
            Ok(()) => Ok(()),
            Err(error) => Err(self.explain(node, error).await),
        }
    }

    /// As the audit record has it.
    fn decision(&self) -> String {
        let role = self.role().map(|role| format!(" as {}", role.as_str()));
        format!(
            "partner {} ({}){}",
            self.partner,
            self.name,
            role.unwrap_or_default()
        )
    }

    fn role(&self) -> Option<Role> {
        match &self.proposal {
            Proposal::Invite { role, .. } | Proposal::Grant { role, .. } => Some(api_role(*role)),
            Proposal::Remove { .. } | Proposal::Suspend { .. } => None,
        }
    }

    /// The decision in words, as the subject of a sentence.
    fn subject(&self) -> String {
        let name = &self.name;
        let role = self.role().map_or("", Role::as_str);
        match &self.proposal {
            Proposal::Invite { .. } => format!("inviting {name} as {role}"),
            Proposal::Grant { .. } => format!("making {name} {role}"),
            Proposal::Remove { .. } => format!("removing {name}"),
            Proposal::Suspend { .. } => format!("suspending {name}"),
        }
    }

    /// What an owner types to endorse it.
    fn endorse_command(&self) -> String {
        let act = act_of(&self.proposal).as_str();
        let role = self.role().map(|role| format!(" --role {}", role.as_str()));
        format!(
            "comity channel endorse {} {act} {}{}",
            self.channel_name,
            self.name,
            role.unwrap_or_default()
        )
    }

    /// What whoever may carries it out with.
    fn order_command(&self) -> String {
        let (channel, name) = (&self.channel_name, &self.name);
        let role = self.role().map_or("", Role::as_str);
        match &self.proposal {
            Proposal::Invite { .. } => {
                format!("comity channel share {channel} {name} --role {role}")
            }
            Proposal::Grant { .. } => format!("comity channel grant {channel} {name} {role}"),
            Proposal::Remove { .. } => format!("comity channel remove {channel} {name}"),
            Proposal::Suspend { .. } => format!("comity channel suspend {channel} {name}"),
        }
    }

    async fn explain(&self, node: &Node, error: CommandError) -> ApiError {
        match error {
            CommandError::QuorumMissing { have, needed, .. } => {
                let endorsers = match self.endorsements(node).await {
                    Ok(Some(open)) => list(node, &open.endorsers).await,
                    _ => String::new(),
                };
                failure::operator(
                    "quorum_missing",
                    format!(
                        "{} needs {needed} owners behind it and has {have}: {endorsers}; this \
                         partner's endorsement is written",
                        self.subject()
                    ),
                    &format!(
                        "have another owner give: {}; then give this command again",
                        self.endorse_command()
                    ),
                )
            }
            CommandError::NotAllowed => failure::operator(
                "not_allowed",
                format!("this partner's role does not allow {}", self.subject()),
                "an admin decides on contributors and observers, an owner on all but owners, and \
                 several owners on owners: 'comity channel show'",
            ),
            CommandError::NoMember(_) => failure::operator(
                "no_member",
                format!("{} has no place in the channel", self.name),
                "'comity channel show' tells who is there",
            ),
            CommandError::AlreadyThere(status) => failure::operator(
                "already_there",
                format!("{} is {status} in the channel already", self.name),
                "'comity channel show' tells what each partner is",
            ),
            other => failure::command(other),
        }
    }

    /// How far the owners' endorsements of it have come.
    async fn endorsements(&self, node: &Node) -> Result<Option<OpenProposal>, ApiError> {
        let (id, own, proposal) = (self.channel, node.partner, self.proposal.clone());
        let found = node.handle.look(move |replica| {
            let channel = replica.channels().get(&id)?;
            channel.endorsed(&own, proposal)
        });
        found.await.map_err(failure::stopped)
    }

    async fn progress(&self, node: &Node) -> Result<Vec<String>, ApiError> {
        let Some(open) = self.endorsements(node).await? else {
            // Carried out meanwhile.
            return Ok(Vec::new());
        };
        let endorsers = list(node, &open.endorsers).await;
        let (have, needed) = (open.endorsers.len(), open.needed);
        let next = if have < needed {
            format!("other owners endorse it with: {}", self.endorse_command())
        } else {
            format!("an owner carries it out with: {}", self.order_command())
        };
        Ok(vec![
            format!(
                "{} has {have} of {needed} owners behind it: {endorsers}",
                self.subject()
            ),
            next,
        ])
    }

    /// What the end of a membership means, for whoever ordered it.
    async fn after_the_end(&self, node: &Node) -> Result<Vec<String>, ApiError> {
        let id = self.channel;
        let looked = node.handle.look(move |replica| {
            let channel = replica.channels().get(&id);
            channel.map(|channel| (channel.present().active(), channel.history()))
        });
        let (members, history) = looked.await.map_err(failure::stopped)?.unwrap_or_default();
        let mut consequences = ended(&self.name, &list(node, &members).await);
        consequences.push(format!(
            "it comes back by: comity channel share {} {}; it then reads {}",
            self.channel_name,
            self.name,
            read_when_back(history)
        ));
        Ok(consequences)
    }

    fn decided(self, done: &str, consequences: Vec<String>) -> Decided {
        Decided {
            channel: self.channel_name,
            channel_id: self.channel.to_hex(),
            partner: self.name,
            partner_id: self.partner.to_hex(),
            done: done.into(),
            consequences,
        }
    }
}

/// What the end of a partner's membership means, a sentence each; `members` are those who stay.
pub(super) fn ended(name: &str, members: &str) -> Vec<String> {
    vec![
        format!("{name} keeps what it has received, and can go on reading it"),
        format!("what is written from now on is for {members}"),
        format!("each member's next message is under new keys, which {name} does not get"),
        format!(
            "what {name} wrote and none of these had received before they learned of this is \
             kept, flagged and not shown"
        ),
        format!("{name}'s node is not told: it may show the channel as it was; tell its sysadmin"),
    ]
}

/// What a partner reads that is invited again.
pub(super) fn read_when_back(history: History) -> &'static str {
    match history {
        History::FromJoin => "what is written from then on",
        History::All => "what is written from then on, and what was for all members before",
    }
}

/// What owners have endorsed and can still be carried out.
pub fn open_proposals(channel: &Channel, own: &PartnerId) -> Vec<OpenProposal> {
    let is_open = |open: &OpenProposal| {
        let place = names::place(channel, &open.proposal.partner());
        let there = place.is_some_and(|place| place <= Status::Active);
        match &open.proposal {
            Proposal::Invite { .. } => !there,
            Proposal::Remove { .. } => place.is_some_and(|place| place < Status::Removed),
            Proposal::Grant { .. } | Proposal::Suspend { .. } => there,
        }
    };
    let mut open = channel.proposals(own);
    open.retain(is_open);
    open
}

/// What a proposal would do.
pub fn act_of(proposal: &Proposal) -> MembershipAct {
    match proposal {
        Proposal::Invite { .. } => MembershipAct::Invite,
        Proposal::Grant { .. } => MembershipAct::Grant,
        Proposal::Remove { .. } => MembershipAct::Remove,
        Proposal::Suspend { .. } => MembershipAct::Suspend,
    }
}

/// Names of partners, for a sentence.
pub(super) async fn list<'a>(
    node: &Node,
    partners: impl IntoIterator<Item = &'a PartnerId>,
) -> String {
    let mut names = BTreeSet::new();
    for partner in partners {
        names.insert(node.partner_name(partner).await);
    }
    names.into_iter().collect::<Vec<_>>().join(", ")
}
