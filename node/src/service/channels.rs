//! Channels: creating, sharing, accepting, leaving, listing.

use std::collections::BTreeMap;

use comity_protocol::authority::{Member, Status};
use comity_protocol::body::Role as ProtocolRole;
use comity_protocol::channel::Channel;
use comity_protocol::id::{ChannelId, PartnerId, WriterId};
use comity_protocol::identity::Name;
use comity_protocol::lane::History as ProtocolHistory;
use comity_protocol::replica::{Command, Written};

use super::{failure, names, peering};
use crate::api::{ApiError, ChannelInfo, History, MemberInfo, Role};
use crate::node::Node;
use crate::pacts::PactState;

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
    peering::record(node, "channel_created", name.as_str())?;
    let written = command(
        node,
        Command::CreateChannel {
            name,
            history: match history {
                History::FromJoin => ProtocolHistory::FromJoin,
                History::All => ProtocolHistory::All,
            },
            quorum,
        },
    )
    .await?;
    one(node, written.channel).await
}

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
    let invited = pact.identity.partner();
    let decision = format!("partner {invited} ({partner}) as {}", role.as_str());
    let order = Command::Share {
        channel: id,
        partner: pact.identity,
        role: protocol_role(role),
    };
    carry_out(node, "channel_shared", id, &decision, order).await
}

pub async fn accept(node: &Node, channel: &str) -> Result<(), ApiError> {
    let id = names::invitation(node, channel).await?;
    let order = Command::Accept { channel: id };
    carry_out(node, "channel_accepted", id, channel, order).await
}

pub async fn leave(node: &Node, channel: &str) -> Result<(), ApiError> {
    let id = names::channel(node, channel).await?;
    let order = Command::Leave { channel: id };
    carry_out(node, "channel_left", id, channel, order).await
}

/// Carries out a decision on a channel: on record first, then as an event. A refusal goes on
/// record too.
async fn carry_out(
    node: &Node,
    action: &str,
    channel: ChannelId,
    decision: &str,
    order: Command,
) -> Result<(), ApiError> {
    let text = format!("channel {channel}: {decision}");
    peering::record(node, action, &text)?;
    let done = command(node, order).await;
    if let Err(error) = &done {
        peering::record(node, "refused", &format!("{action}, {text}: {error}"))?;
    }
    done.map(|_| ())
}

async fn command(node: &Node, command: Command) -> Result<Written, ApiError> {
    node.handle
        .command(command)
        .await
        .map_err(failure::stopped)?
        .map_err(failure::command)
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
        replica
            .channels()
            .get(&id)
            .map(|channel| describe(channel, &own))
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
        writers: writers(member),
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
    }
}

/// The partner's writers, its seat first.
fn writers(member: &Member) -> Vec<String> {
    let others = member.writers.iter().filter(|id| **id != member.seat);
    std::iter::once(&member.seat)
        .chain(others)
        .map(WriterId::to_hex)
        .collect()
}

fn protocol_role(role: Role) -> ProtocolRole {
    match role {
        Role::Observer => ProtocolRole::Observer,
        Role::Contributor => ProtocolRole::Contributor,
        Role::Admin => ProtocolRole::Admin,
        Role::Owner => ProtocolRole::Owner,
    }
}

fn api_role(role: ProtocolRole) -> Role {
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
    for member in channels.iter_mut().flat_map(|channel| &mut channel.members) {
        if let Some(name) = by_id.get(&member.partner) {
            member.partner.clone_from(name);
        }
    }
    for channel in channels {
        channel.members.sort_by(|a, b| a.partner.cmp(&b.partner));
    }
}
