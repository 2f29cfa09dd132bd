//! Writing: posts, edits, withdrawals, reactions, pins, receipts.

use std::collections::BTreeSet;

use comity_protocol::event::{Label, Precedence as ProtocolPrecedence, UserName};
use comity_protocol::id::{ChannelId, PartnerId};
use comity_protocol::replica::{
    Command, Draft, EventRef, ReceiptState as ProtocolReceiptState, Written as ProtocolWritten,
};
use comity_protocol::rows::Row;

use super::audience::{self, Audience};
use super::{failure, names};
use crate::api::{ApiError, Precedence, ReceiptState, Written};
use crate::node::Node;

/// A post that a user wants to make.
pub struct NewPost {
    pub user: String,
    pub message: String,
    pub reply_to: Option<String>,
    pub create_at_ms: Option<u64>,
    pub precedence: Precedence,
    /// The partners that it is for; empty for all who may read it.
    pub to: Vec<String>,
    /// Absent: that of what it answers.
    pub label: Option<Label>,
}

pub async fn post(node: &Node, channel: &str, new: NewPost) -> Result<Written, ApiError> {
    let id = names::channel(node, channel).await?;
    let reply_to = match &new.reply_to {
        Some(parent) => {
            let (there, pos) = names::post(node, parent).await?;
            if there != id {
                return Err(failure::user(
                    "no_such_post",
                    "the post replied to is in another channel",
                    "reply in its channel",
                ));
            }
            Some(pos)
        }
        None => None,
    };
    let (written, left_out) = post_in(node, id, reply_to, new, Vec::new()).await?;
    describe(node, written, left_out).await
}

/// Posts in a channel that is known, in answer to a post that is known; `rows` go into the same
/// write.
pub async fn post_in(
    node: &Node,
    channel: ChannelId,
    reply_to: Option<EventRef>,
    post: NewPost,
    rows: Vec<Row>,
) -> Result<(ProtocolWritten, BTreeSet<PartnerId>), ApiError> {
    let audience = audience::choose(node, channel, reply_to, &post.to).await?;
    let draft = Draft {
        audience: audience.partners,
        label: post.label,
        ..draft(node, &post.user, post.create_at_ms, post.precedence)?
    };
    let command = Command::Post {
        channel,
        draft,
        text: post.message,
        reply_to,
        rows,
    };
    let written = order(node, command).await?;
    Ok((written, audience.left_out))
}

pub async fn edit(
    node: &Node,
    post: &str,
    user: String,
    message: String,
) -> Result<Written, ApiError> {
    let found = names::post(node, post).await?;
    edit_at(node, found, &user, message).await
}

/// As [`edit`], of a post that is known.
pub async fn edit_at(
    node: &Node,
    (channel, target): (ChannelId, EventRef),
    user: &str,
    message: String,
) -> Result<Written, ApiError> {
    audience::demand_no_withheld_reader(node, channel, target).await?;
    let command = Command::Edit {
        channel,
        draft: draft(node, user, None, Precedence::Routine)?,
        target,
        text: message,
    };
    write(node, command, BTreeSet::new()).await
}

/// Withdraws a post at all its readers, also those with whom the pact is suspended: others may
/// bring it there.
pub async fn redact(node: &Node, post: &str, user: String) -> Result<Written, ApiError> {
    let found = names::post(node, post).await?;
    redact_at(node, found, &user).await
}

/// As [`redact`], of a post that is known.
pub async fn redact_at(
    node: &Node,
    (channel, target): (ChannelId, EventRef),
    user: &str,
) -> Result<Written, ApiError> {
    let command = Command::Redact {
        channel,
        draft: draft(node, user, None, Precedence::Routine)?,
        target,
        reason: String::new(),
    };
    write(node, command, BTreeSet::new()).await
}

pub async fn react(
    node: &Node,
    mark: Mark,
    emoji: String,
    withdrawn: bool,
) -> Result<Written, ApiError> {
    let found = names::post(node, &mark.post).await?;
    react_at(node, found, mark, emoji, withdrawn).await
}

/// As [`react`], to a post that is known.
pub async fn react_at(
    node: &Node,
    found: (ChannelId, EventRef),
    mark: Mark,
    emoji: String,
    withdrawn: bool,
) -> Result<Written, ApiError> {
    let about = mark.prepare(node, found).await?;
    let command = Command::React {
        channel: about.channel,
        draft: about.draft,
        target: about.target,
        emoji,
        withdrawn,
    };
    write(node, command, about.left_out).await
}

pub async fn pin(node: &Node, mark: Mark, withdrawn: bool) -> Result<Written, ApiError> {
    let found = names::post(node, &mark.post).await?;
    pin_at(node, found, mark, withdrawn).await
}

/// As [`pin`], of a post that is known.
pub async fn pin_at(
    node: &Node,
    found: (ChannelId, EventRef),
    mark: Mark,
    withdrawn: bool,
) -> Result<Written, ApiError> {
    let about = mark.prepare(node, found).await?;
    let command = Command::Pin {
        channel: about.channel,
        draft: about.draft,
        target: about.target,
        withdrawn,
    };
    write(node, command, about.left_out).await
}

pub async fn receipt(node: &Node, mark: Mark, state: ReceiptState) -> Result<Written, ApiError> {
    let found = names::post(node, &mark.post).await?;
    let about = mark.prepare(node, found).await?;
    let command = Command::Receipt {
        channel: about.channel,
        draft: about.draft,
        target: about.target,
        state: match state {
            ReceiptState::Delivered => ProtocolReceiptState::Delivered,
            ReceiptState::Read => ProtocolReceiptState::Read,
        },
    };
    write(node, command, about.left_out).await
}

/// What a user sets to a post: a reaction, a pin, a receipt.
pub struct Mark {
    /// The post's id or the start of it.
    pub post: String,
    pub user: String,
    /// The partners that it is for; empty for the readers of the post.
    pub to: Vec<String>,
}

/// A mark, with its post found and its audience known.
struct About {
    channel: ChannelId,
    target: EventRef,
    draft: Draft,
    left_out: BTreeSet<PartnerId>,
}

impl Mark {
    async fn prepare(
        self,
        node: &Node,
        (channel, target): (ChannelId, EventRef),
    ) -> Result<About, ApiError> {
        let Audience { partners, left_out } =
            audience::choose(node, channel, Some(target), &self.to).await?;
        let draft = Draft {
            audience: partners,
            ..draft(node, &self.user, None, Precedence::Routine)?
        };
        Ok(About {
            channel,
            target,
            draft,
            left_out,
        })
    }
}

/// What every message has, from what the request says.
pub fn draft(
    node: &Node,
    user: &str,
    create_at_ms: Option<u64>,
    precedence: Precedence,
) -> Result<Draft, ApiError> {
    let user = UserName::try_from(user.to_string()).map_err(|error| {
        failure::user(
            "bad_user_name",
            format!("'{user}': {error}"),
            "a user's name has 1 to 64 bytes, without blanks, control characters, '@' or ':'",
        )
    })?;
    let precedence = match precedence {
        Precedence::Routine => ProtocolPrecedence::Routine,
        Precedence::Priority => ProtocolPrecedence::Priority,
        Precedence::Immediate => ProtocolPrecedence::Immediate,
        Precedence::Flash => ProtocolPrecedence::Flash,
    };
    Ok(Draft {
        user,
        claimed_ms: create_at_ms.unwrap_or_else(|| node.now_ms()),
        precedence,
        audience: None,
        label: None,
    })
}

async fn write(
    node: &Node,
    command: Command,
    left_out: BTreeSet<PartnerId>,
) -> Result<Written, ApiError> {
    let written = order(node, command).await?;
    describe(node, written, left_out).await
}

async fn order(node: &Node, command: Command) -> Result<ProtocolWritten, ApiError> {
    let written = node.handle.command(command).await;
    written.map_err(failure::stopped)?.map_err(failure::command)
}

pub(super) async fn describe(
    node: &Node,
    written: ProtocolWritten,
    left_out: BTreeSet<PartnerId>,
) -> Result<Written, ApiError> {
    let channel = written.channel;
    let name = node
        .handle
        .look(move |replica| replica.channels().get(&channel).map(names::name_of))
        .await
        .map_err(failure::stopped)?;
    Ok(Written {
        id: written.id.to_hex(),
        channel: name.unwrap_or_default(),
        audience: named(node, &written.audience).await,
        left_out: named(node, &left_out).await,
    })
}

async fn named(node: &Node, partners: impl IntoIterator<Item = &PartnerId>) -> Vec<String> {
    let mut names = Vec::new();
    for partner in partners {
        names.push(node.partner_name(partner).await);
    }
    names.sort_unstable();
    names
}
