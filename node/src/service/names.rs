//! Finding channels and posts by what people call them.

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

/// A channel in which this partner has a place, by its name or the start of its id.
pub async fn channel(node: &Node, name: &str) -> Result<ChannelId, ApiError> {
    let wanted = name.to_string();
    let found = node
        .handle
        .look(move |replica| channels_named(replica, &wanted))
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

fn channels_named(replica: &Replica, name: &str) -> Vec<ChannelId> {
    let matches = |channel: &&Channel| {
        name_of(channel) == name
            || (name.len() >= PREFIX_DIGITS && channel.id.to_hex().starts_with(name))
    };
    let own = replica.partner();
    replica
        .channels()
        .values()
        .filter(|channel| place(channel, &own).is_some())
        .filter(matches)
        .map(|c| c.id)
        .collect()
}

/// What this partner is in a channel, if anything.
pub fn place(channel: &Channel, partner: &PartnerId) -> Option<Status> {
    channel
        .present()
        .members
        .get(partner)
        .map(|member| member.status)
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
