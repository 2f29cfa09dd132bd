//! For whom a message is: the partners that a person names, or all who may read it, less those
//! with whom this node's pact is suspended or revoked.
//!
//! Such a partner can still be a member: others may pass on to it what is sealed for it. So what
//! is written here meanwhile is not sealed for it at all.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::authority::Status;
use comity_protocol::channel::Channel;
use comity_protocol::graph::Pos;
use comity_protocol::id::{ChannelId, PartnerId};

use super::{failure, names};
use crate::api::ApiError;
use crate::node::Node;
use crate::pacts::PactState;

/// The partners that a message is written for.
#[derive(Debug, Default)]
pub struct Audience {
    /// None for all members or, where the message is about another, all readers of that one.
    pub partners: Option<BTreeSet<PartnerId>>,
    /// Who could have read it and is left out because of the pact.
    pub left_out: BTreeSet<PartnerId>,
}

/// Who may read what is to be written.
struct Circle {
    channel: ChannelId,
    /// Of the message that the new one is about; without one, the members.
    readers: BTreeSet<PartnerId>,
    members: BTreeSet<PartnerId>,
    names: BTreeMap<PartnerId, String>,
}

/// The audience of a post, or of what is about one and may be narrower: `to` names it, by names
/// or starts of ids; without, all who may read it.
pub async fn choose(
    node: &Node,
    channel: ChannelId,
    about: Option<Pos>,
    to: &[String],
) -> Result<Audience, ApiError> {
    let withheld = withheld(node).await;
    if to.is_empty() && withheld.is_empty() {
        return Ok(Audience::default());
    }
    let Some(circle) = circle(node, channel, about).await? else {
        return Ok(Audience::default());
    };
    if to.is_empty() {
        let left_out: BTreeSet<PartnerId> = circle
            .readers
            .iter()
            .filter(|reader| withheld.contains_key(reader))
            .copied()
            .collect();
        let rest = || circle.readers.difference(&left_out).copied().collect();
        return Ok(Audience {
            partners: (!left_out.is_empty()).then(rest),
            left_out,
        });
    }
    let mut partners = BTreeSet::from([node.partner]);
    for name in to {
        let partner = circle.find(node, name).await?;
        if let Some(state) = withheld.get(&partner) {
            return Err(failure::user(
                "pact_not_in_force",
                format!("the pact with {name} is {}", state.as_str()),
                "leave that partner out, or have the sysadmin put the pact in force again",
            ));
        }
        partners.insert(partner);
    }
    Ok(Audience {
        partners: Some(partners),
        left_out: BTreeSet::new(),
    })
}

/// Refuses a new text for exactly the readers of `about`, where one of them is to get nothing
/// from here.
pub async fn demand_no_withheld_reader(
    node: &Node,
    channel: ChannelId,
    about: Pos,
) -> Result<(), ApiError> {
    let Some(circle) = circle(node, channel, Some(about)).await? else {
        return Ok(());
    };
    let withheld = withheld(node).await;
    let found = circle
        .readers
        .iter()
        .find_map(|reader| Some((reader, withheld.get(reader)?)));
    let Some((reader, state)) = found else {
        return Ok(());
    };
    let name = circle.name(reader);
    Err(failure::user(
        "pact_not_in_force",
        format!(
            "an edit goes to all readers of the post, and the pact with {name}, one of them, is {}",
            state.as_str()
        ),
        "write a new post, which leaves that partner out; the old one can be withdrawn",
    ))
}

/// Partners to whom nothing new is sealed here.
pub async fn withheld(node: &Node) -> BTreeMap<PartnerId, PactState> {
    let pacts = node.pacts.lock().await;
    let not_in_force =
        |state: PactState| matches!(state, PactState::Suspended | PactState::Revoked);
    pacts
        .iter()
        .filter(|pact| not_in_force(pact.state))
        .map(|pact| (pact.identity.partner(), pact.state))
        .collect()
}

/// None where this partner is no member: the order itself is refused then, and says why.
async fn circle(
    node: &Node,
    id: ChannelId,
    about: Option<Pos>,
) -> Result<Option<Circle>, ApiError> {
    let own = node.partner;
    let found = node.handle.look(move |replica| {
        let channel = replica.channels().get(&id)?;
        let members = channel.present().active();
        members
            .contains(&own)
            .then(|| (readers(channel, about, &members), members))
    });
    let Some((readers, members)) = found.await.map_err(failure::stopped)? else {
        return Ok(None);
    };
    let mut names = BTreeMap::new();
    for member in &members {
        names.insert(*member, node.partner_name(member).await);
    }
    Ok(Some(Circle {
        channel: id,
        readers,
        members,
        names,
    }))
}

fn readers(
    channel: &Channel,
    about: Option<Pos>,
    members: &BTreeSet<PartnerId>,
) -> BTreeSet<PartnerId> {
    let lane = about.and_then(|about| channel.lane(&channel.lane_of(about)));
    lane.map_or_else(
        || members.clone(),
        |lane| lane.readers(channel.history(), members),
    )
}

impl Circle {
    /// The reader of that name.
    async fn find(&self, node: &Node, name: &str) -> Result<PartnerId, ApiError> {
        let Some(partner) = names::partner_among(&self.names, name)? else {
            return Err(self.no_member(node, name).await);
        };
        if self.readers.contains(&partner) {
            return Ok(partner);
        }
        let readers = self.list(&self.readers);
        Err(failure::user(
            "widens",
            format!("{name} may not read the post that this is about; its readers are {readers}"),
            "leave that partner out, or write a new post for it",
        ))
    }

    async fn no_member(&self, node: &Node, name: &str) -> ApiError {
        let what = match self.standing(node, name).await {
            Some(status) => format!("{name} is {} in the channel, not a member", status.as_str()),
            None => format!("there is no member '{name}' in the channel"),
        };
        let members = self.list(&self.members);
        failure::user(
            "no_member",
            format!("{what}; the members are {members}"),
            "name members only; 'comity channel show' tells who they are",
        )
    }

    /// What a partner of that name is in the channel, if anything.
    async fn standing(&self, node: &Node, name: &str) -> Option<Status> {
        let partner = names::partner_in(node, self.channel, name).await.ok()?;
        let id = self.channel;
        let looked = node.handle.look(move |replica| {
            let channel = replica.channels().get(&id)?;
            names::place(channel, &partner)
        });
        looked.await.ok().flatten()
    }

    fn name(&self, partner: &PartnerId) -> String {
        let name = self.names.get(partner);
        name.cloned().unwrap_or_else(|| partner.to_hex())
    }

    fn list(&self, partners: &BTreeSet<PartnerId>) -> String {
        let mut names: Vec<String> = partners.iter().map(|partner| self.name(partner)).collect();
        names.sort_unstable();
        names.join(", ")
    }
}
