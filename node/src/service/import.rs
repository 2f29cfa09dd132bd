//! Imports: batches of posts, each once, however often a file is imported.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::id::{ChannelId, PartnerId, hex};
use comity_protocol::limits;
use comity_protocol::replica::{Command, CommandError, Draft};
use comity_protocol::rows::{Row, Table};

use super::{audience, failure, messages, names};
use crate::api::{ApiError, ImportPost, ImportProgress, Imported, Precedence};
use crate::node::Node;

/// Posts in one batch.
const BATCH_MAX: usize = 512;

/// How far an import has come in each channel.
pub async fn status(node: &Node, import: &str) -> Result<Vec<ImportProgress>, ApiError> {
    let import = digest(import)?;
    node.handle.settled().await.map_err(failure::stopped)?;
    let mut marks: BTreeMap<ChannelId, u64> = BTreeMap::new();
    node.store
        .scan::<crate::store::StoreError>(Table::Imports, &import, &[], |key, value| {
            if let (Ok(channel), Ok(line)) = (key[32..].try_into(), value.try_into()) {
                marks.insert(ChannelId(channel), u64::from_be_bytes(line));
            }
            Ok(true)
        })
        .map_err(failure::store)?;
    let named = node.handle.look(move |replica| {
        let name = |id: &ChannelId| replica.channels().get(id).map(names::name_of);
        marks
            .iter()
            .filter_map(|(id, line)| {
                Some(ImportProgress {
                    channel: name(id)?,
                    line: *line,
                })
            })
            .collect::<Vec<_>>()
    });
    named.await.map_err(failure::stopped)
}

/// Posts what the channels' marks do not cover yet; each mark moves in the same write as its
/// post.
pub async fn import(
    node: &Node,
    import: &str,
    posts: Vec<ImportPost>,
) -> Result<Imported, ApiError> {
    let import = digest(import)?;
    if posts.len() > BATCH_MAX {
        return Err(failure::operator(
            "batch_too_large",
            "a batch has at most 512 posts",
            "send smaller batches",
        ));
    }
    let _one_at_a_time = node.importing.lock().await;
    let mut destinations: BTreeMap<String, Destination> = BTreeMap::new();
    let mut commands = Vec::with_capacity(posts.len());
    let mut skipped = 0;
    for post in posts {
        let destination = match destinations.entry(post.channel.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(destination(node, &import, &post.channel).await?),
        };
        if post.line <= destination.mark {
            skipped += 1;
            continue;
        }
        if post.message.len() > limits::MESSAGE_BYTES {
            let (len, limit) = (post.message.len(), limits::MESSAGE_BYTES);
            return Err(failure::command(CommandError::TooLong { len, limit }));
        }
        let draft = Draft {
            audience: destination.audience.clone(),
            ..messages::draft(
                node,
                &post.user,
                Some(post.create_at_ms),
                Precedence::Routine,
            )?
        };
        let row = Row::put(
            Table::Imports,
            mark_key(&import, &destination.channel),
            post.line.to_be_bytes().to_vec(),
        );
        commands.push(Command::Post {
            channel: destination.channel,
            draft,
            text: post.message,
            reply_to: None,
            rows: vec![row],
        });
        destination.mark = post.line;
    }
    let posted = give(node, commands).await?;
    Ok(Imported { posted, skipped })
}

/// Posts in order until one is refused, so that no mark passes a line that was not posted.
async fn give(node: &Node, commands: Vec<Command>) -> Result<u64, ApiError> {
    let given = node.handle.sequence(commands).await;
    match given.map_err(failure::stopped)? {
        (posted, None) => Ok(posted),
        (_, Some(refused)) => Err(failure::command(refused)),
    }
}

/// Where posts of an import go.
struct Destination {
    channel: ChannelId,
    /// The last line of the import that the channel holds.
    mark: u64,
    /// As of [`audience::choose`].
    audience: Option<BTreeSet<PartnerId>>,
}

async fn destination(
    node: &Node,
    import: &[u8; 32],
    channel: &str,
) -> Result<Destination, ApiError> {
    let id = names::channel(node, channel).await?;
    let value = node
        .store
        .get(Table::Imports, &mark_key(import, &id))
        .map_err(failure::store)?;
    let mark = value
        .and_then(|value| value.as_slice().try_into().ok())
        .map_or(0, u64::from_be_bytes);
    let audience = audience::choose(node, id, None, &[]).await?;
    Ok(Destination {
        channel: id,
        mark,
        audience: audience.partners,
    })
}

fn mark_key(import: &[u8; 32], channel: &ChannelId) -> Vec<u8> {
    [import.as_slice(), &channel.0].concat()
}

fn digest(import: &str) -> Result<[u8; 32], ApiError> {
    let bad = || {
        failure::operator(
            "bad_import",
            "not an import's digest",
            "use 'comity import'",
        )
    };
    if import.len() != 64 || !import.is_ascii() {
        return Err(bad());
    }
    let mut digest = [0; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&import[2 * at..2 * at + 2], 16).map_err(|_| bad())?;
    }
    if hex(&digest) == import {
        Ok(digest)
    } else {
        Err(bad())
    }
}
