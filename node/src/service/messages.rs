//! Writing: posts, edits, withdrawals, reactions.

use comity_protocol::event::{Precedence as ProtocolPrecedence, UserName};
use comity_protocol::replica::{Command, Draft, Written as ProtocolWritten};

use super::{failure, names};
use crate::api::{ApiError, Precedence, Written};
use crate::node::Node;

/// A post that a user wants to make.
pub struct NewPost {
    pub user: String,
    pub message: String,
    pub reply_to: Option<String>,
    pub create_at_ms: Option<u64>,
    pub precedence: Precedence,
}

pub async fn post(node: &Node, channel: &str, post: NewPost) -> Result<Written, ApiError> {
    let id = names::channel(node, channel).await?;
    let reply_to = match &post.reply_to {
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
    let draft = draft(&post.user, post.create_at_ms, post.precedence)?;
    write(
        node,
        Command::Post {
            channel: id,
            draft,
            text: post.message,
            reply_to,
            rows: Vec::new(),
        },
    )
    .await
}

pub async fn edit(
    node: &Node,
    post: &str,
    user: String,
    message: String,
) -> Result<Written, ApiError> {
    let (channel, target) = names::post(node, post).await?;
    let draft = draft(&user, None, Precedence::Routine)?;
    write(
        node,
        Command::Edit {
            channel,
            draft,
            target,
            text: message,
        },
    )
    .await
}

pub async fn redact(node: &Node, post: &str, user: String) -> Result<Written, ApiError> {
    let (channel, target) = names::post(node, post).await?;
    let draft = draft(&user, None, Precedence::Routine)?;
    write(
        node,
        Command::Redact {
            channel,
            draft,
            target,
            reason: String::new(),
        },
    )
    .await
}

pub async fn react(
    node: &Node,
    post: &str,
    user: String,
    emoji: String,
    withdrawn: bool,
) -> Result<Written, ApiError> {
    let (channel, target) = names::post(node, post).await?;
    let draft = draft(&user, None, Precedence::Routine)?;
    write(
        node,
        Command::React {
            channel,
            draft,
            target,
            emoji,
            withdrawn,
        },
    )
    .await
}

/// What every message has, from what the request says.
pub fn draft(
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
        claimed_ms: create_at_ms.unwrap_or_else(Node::now_ms),
        precedence,
        audience: None,
        label: None,
    })
}

async fn write(node: &Node, command: Command) -> Result<Written, ApiError> {
    let written = node
        .handle
        .command(command)
        .await
        .map_err(failure::stopped)?
        .map_err(failure::command)?;
    describe(node, written).await
}

pub(super) async fn describe(node: &Node, written: ProtocolWritten) -> Result<Written, ApiError> {
    let channel = written.channel;
    let name = node
        .handle
        .look(move |replica| replica.channels().get(&channel).map(names::name_of))
        .await
        .map_err(failure::stopped)?;
    let mut audience = Vec::new();
    for partner in &written.audience {
        audience.push(node.partner_name(partner).await);
    }
    audience.sort_unstable();
    Ok(Written {
        id: written.id.to_hex(),
        channel: name.unwrap_or_default(),
        audience,
    })
}
