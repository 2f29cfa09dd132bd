//! Channels: creating, accepting, leaving, listing.

use std::collections::BTreeMap;

use comity_protocol::authority::{Member, Status};
use comity_protocol::body::Role as ProtocolRole;
use comity_protocol::channel::Channel;
use comity_protocol::id::{ChannelId, PartnerId, WriterId};
use comity_protocol::identity::Name;
use comity_protocol::lane::{History as ProtocolHistory, LaneForm};
use comity_protocol::replica::{Command, CommandError, OpenProposal, Proposal};

use super::{failure, members, names, peering, writers};
use crate::api::{ApiError, ChannelInfo, History, LaneInfo, MemberInfo, ProposalInfo, Role};
use crate::node::Node;

pub async fn create(
    node: &Node,
    name: String,
    history: History,
    quorum: u8,
) -> Result<ChannelInfo, ApiError> {
    let name = Name::try_from(name)
        .map_err(|error| failure::operator("bad_name", error, "choose another name"))?;
    let taken = name.as_str().to_string();
    let own = node.partner;
    let exists = node
        .handle
        .look(move |replica| {
            replica.channels().values().any(|channel| {
                names::name_of(channel) == taken
                    && names::place(channel, &own).is_some_and(|place| place <= Status::Active)
            })
        })
        .await
        .map_err(failure::stopped)?;
    if exists {
        return Err(failure::operator(
            "channel_exists",
            format!("there is a channel '{}' already", name.as_str()),
            "choose another name",
        ));
    }
    found(node, name, history, quorum).await
}

/// Makes a channel, whatever others there are of that name.
pub async fn found(
    node: &Node,
    name: Name,
    history: History,
    quorum: u8,
) -> Result<ChannelInfo, ApiError> {
    demand_founder(node)?;
    peering::record(node, "channel_created", name.as_str())?;
    let order = node.handle.command(Command::CreateChannel {
        name,
        history: match history {
            History::FromJoin => ProtocolHistory::FromJoin,
            History::All => ProtocolHistory::All,
        },
        quorum,
    });
    let written = order.await.map_err(failure::stopped)?;
    one(node, written.map_err(failure::command)?.channel).await
}

pub async fn accept(node: &Node, channel: &str) -> Result<(), ApiError> {
    let id = names::invitation(node, channel).await?;
    let order = Command::Accept { channel: id };
    let accepted = carry_out(node, "channel_accepted", id, channel, order).await?;
    accepted.map_err(|error| match error {
        CommandError::SeatLost => failure::operator(
            "seat_lost",
            "the invitation is for a writer that this node never uses again",
            "'comity stop', 'comity writer add', start the node, and have the invitation withdrawn \
             and given anew: docs/operations.md, 'After restoring a backup'",
        ),
        other => failure::command(other),
    })
}

/// A channel is founded by the first writer of the partner's list: one that is never used again
/// cannot, even where the machine that runs has not been told so yet.
fn demand_founder(node: &Node) -> Result<(), ApiError> {
    let founder = node.identity.certificates.nodes.first();
    let spent = writers::spent(node)?;
    if founder.is_none_or(|founder| !spent.contains(&founder.writer())) {
        return Ok(());
    }
    Err(failure::operator(
        "founder_spent",
        "the first writer of the partner's list, which founds channels, is never used again",
        "sign a new list: 'comity stop', 'comity writer add', and start the node",
    ))
}

pub async fn leave(node: &Node, channel: &str) -> Result<(), ApiError> {
    let id = names::channel(node, channel).await?;
    let order = Command::Leave { channel: id };
    carry_out(node, "channel_left", id, channel, order)
        .await?
        .map_err(failure::command)
}

/// Carries out a decision on a channel: on record first, then as an event. A refusal goes on
/// record too; what to say of it depends on the decision.
pub async fn carry_out(
    node: &Node,
    action: &str,
    channel: ChannelId,
    decision: &str,
    order: Command,
) -> Result<Result<(), CommandError>, ApiError> {
    let text = format!("channel {channel}: {decision}");
    peering::record(node, action, &text)?;
    let done = node.handle.command(order).await.map_err(failure::stopped)?;
    if let Err(error) = &done {
        peering::record(node, "refused", &format!("{action}, {text}: {error}"))?;
    }
    Ok(done.map(|_| ()))
}

/// Every channel in which this partner has a place, by name.
pub async fn list(node: &Node) -> Result<Vec<ChannelInfo>, ApiError> {
    let own = node.partner;
    let mut channels = node
        .handle
        .look(move |replica| {
            let placed = replica
                .channels()
                .values()
                .filter(|channel| names::place(channel, &own).is_some());
            placed
                .map(|channel| describe(channel, &own))
                .collect::<Vec<_>>()
        })
        .await
        .map_err(failure::stopped)?;
    rename(node, &mut channels).await;
    channels.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Ok(channels)
}

/// One channel in which this partner has a place.
pub async fn show(node: &Node, channel: &str) -> Result<ChannelInfo, ApiError> {
    let id = names::channel(node, channel).await?;
    one(node, id).await
}

async fn one(node: &Node, id: ChannelId) -> Result<ChannelInfo, ApiError> {
    let own = node.partner;
    let found = node.handle.look(move |replica| {
        let channel = replica.channels().get(&id)?;
        let open = members::open_proposals(channel, &own);
        let mut info = describe(channel, &own);
        info.proposals = open.iter().map(describe_proposal).collect();
        info.lanes = lanes(channel, &own);
        Some(info)
    });
    let mut found: Vec<ChannelInfo> = found.await.map_err(failure::stopped)?.into_iter().collect();
    rename(node, &mut found).await;
    found
        .pop()
        .ok_or_else(|| failure::node("internal", "a channel that was there is gone"))
}

/// Members by the names under which they were introduced; see [`rename`].
fn describe(channel: &Channel, own: &PartnerId) -> ChannelInfo {
    let present = channel.present();
    let members = present.members.iter().map(|(partner, member)| MemberInfo {
        partner: partner.to_hex(),
        partner_id: partner.to_hex(),
        role: api_role(member.role),
        status: member.status.as_str().into(),
        writers: listed_writers(member),
    });
    ChannelInfo {
        name: names::name_of(channel),
        id: channel.id.to_hex(),
        status: names::place(channel, own)
            .map_or("none", Status::as_str)
            .into(),
        members: members.collect(),
        posts: channel.posts(),
        events: channel.events(),
        history: match channel.history() {
            ProtocolHistory::FromJoin => History::FromJoin,
            ProtocolHistory::All => History::All,
        },
        quorum: channel.charter.as_ref().map_or(0, |charter| charter.quorum),
        proposals: Vec::new(),
        lanes: Vec::new(),
    }
}

/// How far the lanes that this partner reads are final: the control lane first, then by audience.
fn lanes(channel: &Channel, own: &PartnerId) -> Vec<LaneInfo> {
    let active = channel.present().active();
    let mut lanes: Vec<LaneInfo> = channel
        .lanes()
        .filter(|(_, lane)| lane.form == LaneForm::Control || lane.audience.contains(own))
        .map(|(id, lane)| {
            let (form, audience) = match lane.form {
                LaneForm::Control => ("control", &active),
                LaneForm::Open => ("open", &lane.audience),
                LaneForm::Directed => ("directed", &lane.audience),
            };
            let standing = channel.standing(*id);
            LaneInfo {
                form: form.into(),
                audience: audience.iter().map(PartnerId::to_hex).collect(),
                barrier: standing.barrier,
                not_final: standing.above,
                waits_for: match standing.above {
                    0 => Vec::new(),
                    _ => standing.awaited.iter().map(PartnerId::to_hex).collect(),
                },
            }
        })
        .collect();
    lanes.sort_by(|a, b| (&a.form, &a.audience).cmp(&(&b.form, &b.audience)));
    lanes
}

fn describe_proposal(open: &OpenProposal) -> ProposalInfo {
    let role = match &open.proposal {
        Proposal::Invite { role, .. } | Proposal::Grant { role, .. } => Some(api_role(*role)),
        Proposal::Remove { .. } | Proposal::Suspend { .. } => None,
    };
    ProposalInfo {
        act: members::act_of(&open.proposal),
        partner: open.proposal.partner().to_hex(),
        role,
        endorsed_by: open.endorsers.iter().map(PartnerId::to_hex).collect(),
        needed: open.needed as u64,
    }
}

/// The partner's writers, its seat first.
fn listed_writers(member: &Member) -> Vec<String> {
    let others = member.writers.iter().filter(|id| **id != member.seat);
    std::iter::once(&member.seat)
        .chain(others)
        .map(WriterId::to_hex)
        .collect()
}

pub fn protocol_role(role: Role) -> ProtocolRole {
    match role {
        Role::Observer => ProtocolRole::Observer,
        Role::Contributor => ProtocolRole::Contributor,
        Role::Admin => ProtocolRole::Admin,
        Role::Owner => ProtocolRole::Owner,
    }
}

pub fn api_role(role: ProtocolRole) -> Role {
    match role {
        ProtocolRole::Observer => Role::Observer,
        ProtocolRole::Contributor => Role::Contributor,
        ProtocolRole::Admin => Role::Admin,
        ProtocolRole::Owner => Role::Owner,
    }
}

/// Puts the partners' names in the place of their ids.
async fn rename(node: &Node, channels: &mut [ChannelInfo]) {
    let ids = node
        .handle
        .look(|replica| {
            let members = replica
                .channels()
                .values()
                .flat_map(|channel| channel.present().members.keys().copied());
            members.collect::<std::collections::BTreeSet<PartnerId>>()
        })
        .await
        .unwrap_or_default();
    let mut by_id = BTreeMap::new();
    for id in ids {
        by_id.insert(id.to_hex(), node.partner_name(&id).await);
    }
    let rename = |partner: &mut String| {
        if let Some(name) = by_id.get(partner.as_str()) {
            partner.clone_from(name);
        }
    };
    for channel in channels {
        for member in &mut channel.members {
            rename(&mut member.partner);
        }
        for proposal in &mut channel.proposals {
            rename(&mut proposal.partner);
            proposal.endorsed_by.iter_mut().for_each(rename);
        }
        for lane in &mut channel.lanes {
            lane.audience.iter_mut().for_each(rename);
            lane.waits_for.iter_mut().for_each(rename);
            lane.audience.sort();
        }
        channel.members.sort_by(|a, b| a.partner.cmp(&b.partner));
    }
}
