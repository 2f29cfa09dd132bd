//! Finding channels and posts by what people call them.

use std::collections::BTreeMap;

use comity_protocol::authority::Status;
use comity_protocol::channel::Channel;
use comity_protocol::graph::Pos;
use comity_protocol::id::{ChannelId, PartnerId};
use comity_protocol::replica::Replica;

use super::failure;
use crate::api::ApiError;
use crate::node::Node;

/// The fewest digits of an id that name something.
const PREFIX_DIGITS: usize = 6;

/// A channel by its name or the start of its id. Where several have the name, those count in
/// which this partner is active, then those that it is invited to: an invitation cannot take the
/// name of a channel that is in use.
pub async fn channel(node: &Node, name: &str) -> Result<ChannelId, ApiError> {
    find(node, name, &[Status::Active, Status::Invited]).await
}

/// A channel to whose invitation `name` refers.
pub async fn invitation(node: &Node, name: &str) -> Result<ChannelId, ApiError> {
    find(node, name, &[Status::Invited, Status::Active]).await
}

async fn find(node: &Node, name: &str, order: &'static [Status]) -> Result<ChannelId, ApiError> {
    let wanted = name.to_string();
    let found = node
        .handle
        .look(move |replica| channels_named(replica, &wanted, order))
        .await
        .map_err(failure::stopped)?;
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(failure::operator(
            "no_such_channel",
            format!("there is no channel '{name}' here"),
            "'comity channel list' names the channels",
        )),
        _ => Err(failure::operator(
            "ambiguous_channel",
            format!("several channels are named '{name}'"),
            "give the start of the id that 'comity channel list' shows",
        )),
    }
}

fn channels_named(replica: &Replica, name: &str, order: &[Status]) -> Vec<ChannelId> {
    let own = replica.partner();
    let by_id =
        |channel: &&Channel| name.len() >= PREFIX_DIGITS && channel.id.to_hex().starts_with(name);
    let matches = |channel: &&Channel| name_of(channel) == name || by_id(channel);
    let placed: Vec<(&Channel, Status)> = replica
        .channels()
        .values()
        .filter(matches)
        .filter_map(|channel| Some((channel, place(channel, &own)?)))
        .collect();
    let with = |status: Status| -> Vec<ChannelId> {
        let of_status = placed.iter().filter(|(_, place)| *place == status);
        of_status.map(|(channel, _)| channel.id).collect()
    };
    let preferred = order
        .iter()
        .map(|status| with(*status))
        .find(|found| !found.is_empty());
    preferred.unwrap_or_else(|| placed.iter().map(|(channel, _)| channel.id).collect())
}

/// What this partner is in a channel, if anything.
pub fn place(channel: &Channel, partner: &PartnerId) -> Option<Status> {
    channel
        .present()
        .members
        .get(partner)
        .map(|member| member.status)
}

/// The partner of `names` that has this name or an id that begins so.
pub fn partner_among(
    names: &BTreeMap<PartnerId, String>,
    name: &str,
) -> Result<Option<PartnerId>, ApiError> {
    let called = |(_, own): &(&PartnerId, &String)| *own == name;
    let mut found: Vec<PartnerId> = names.iter().filter(called).map(|(id, _)| *id).collect();
    if found.is_empty() && name.len() >= PREFIX_DIGITS {
        let begins = |id: &&PartnerId| id.to_hex().starts_with(name);
        found = names.keys().filter(begins).copied().collect();
    }
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        _ => Err(failure::user(
            "ambiguous_partner",
            format!("several partners are named '{name}'"),
            "give the start of the id that 'comity channel show' tells",
        )),
    }
}

/// A partner that has a place in a channel, whatever its status there, by its name or the start
/// of its id.
pub async fn partner_in(
    node: &Node,
    channel: ChannelId,
    name: &str,
) -> Result<PartnerId, ApiError> {
    let placed = node.handle.look(move |replica| {
        let channel = replica.channels().get(&channel);
        channel.map_or_else(Vec::new, |channel| {
            channel.present().members.keys().copied().collect()
        })
    });
    let mut names = BTreeMap::new();
    for partner in placed.await.map_err(failure::stopped)? {
        names.insert(partner, node.partner_name(&partner).await);
    }
    if let Some(partner) = partner_among(&names, name)? {
        return Ok(partner);
    }
    let known: Vec<String> = names.into_values().collect();
    Err(failure::operator(
        "no_such_partner",
        format!(
            "no partner '{name}' has a place in the channel; known there are {}",
            known.join(", ")
        ),
        "'comity channel show' tells who is there",
    ))
}

/// A channel's name by its charter.
pub fn name_of(channel: &Channel) -> String {
    channel
        .charter
        .as_ref()
        .map_or_else(String::new, |charter| charter.name.as_str().to_string())
}

/// A post by its id or the start of it.
pub async fn post(node: &Node, prefix: &str) -> Result<(ChannelId, Pos), ApiError> {
    let unknown =
        |what: String| failure::user("no_such_post", what, "'comity read' shows the ids of posts");
    if prefix.len() < PREFIX_DIGITS {
        return Err(unknown(format!("'{prefix}' is too short for a post's id")));
    }
    let wanted = prefix.to_string();
    let found = node
        .handle
        .look(move |replica| {
            let in_channel = |channel: &Channel| {
                let id = channel.id;
                channel
                    .find_message(&wanted)
                    .into_iter()
                    .map(move |pos| (id, pos))
                    .collect::<Vec<_>>()
            };
            replica
                .channels()
                .values()
                .flat_map(in_channel)
                .collect::<Vec<_>>()
        })
        .await
        .map_err(failure::stopped)?;
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(unknown(format!("there is no post '{prefix}' here"))),
        _ => Err(unknown(format!("several posts begin with '{prefix}'"))),
    }
}
