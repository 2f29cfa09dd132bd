//! `comity post`, `edit`, `redact`, `react` and `read`: messages.

use std::borrow::Cow;
use std::io::Read as _;
use std::path::Path;

use super::args::{EditArgs, PostArgs, ReactArgs, ReadArgs, RedactArgs};
use super::client::Node;
use super::escape::{escape, escape_lines};
use super::exit::Exit;
use super::output::Output;
use super::table::short;
use super::{failure, file, time};
use crate::api::{ApiError, Item, PostInfo, ReactionInfo, Request, Written};

/// Argument that stands for standard input.
const STDIN: &str = "-";
/// The longest message read from standard input; the node's own limit is lower.
const MAX_STDIN: u64 = 1 << 20;
const INDENT: &str = "    ";

pub async fn post(dir: &Path, args: PostArgs, output: &Output) -> Result<Exit, ApiError> {
    let request = Request::Post {
        channel: args.channel,
        user: args.user,
        message: message(args.message)?,
        reply_to: args.reply_to,
        create_at_ms: args.create_at,
        precedence: args.precedence,
    };
    write(dir, request, output).await
}

pub async fn edit(dir: &Path, args: EditArgs, output: &Output) -> Result<Exit, ApiError> {
    let request = Request::Edit {
        post: args.post,
        user: args.user,
        message: message(args.message)?,
    };
    write(dir, request, output).await
}

pub async fn redact(dir: &Path, args: RedactArgs, output: &Output) -> Result<Exit, ApiError> {
    let request = Request::Redact {
        post: args.post,
        user: args.user,
    };
    write(dir, request, output).await
}

pub async fn react(dir: &Path, args: ReactArgs, output: &Output) -> Result<Exit, ApiError> {
    let request = Request::React {
        post: args.post,
        user: args.user,
        emoji: args.emoji,
        remove: args.remove,
    };
    write(dir, request, output).await
}

async fn write(dir: &Path, request: Request, output: &Output) -> Result<Exit, ApiError> {
    let mut node = Node::open(dir).await?;
    let written: Written = node.ask_one(request).await?;
    output.answer(&written, written_text)?;
    Ok(Exit::Ok)
}

fn written_text(written: &Written) -> String {
    format!(
        "{}  in {}, for {}",
        escape(&written.id),
        escape(&written.channel),
        escape(&written.audience.join(", "))
    )
}

pub async fn read(dir: &Path, args: ReadArgs, output: &Output) -> Result<Exit, ApiError> {
    let mut node = Node::open(dir).await?;
    let request = Request::Read {
        channel: args.channel,
        limit: args.limit,
    };
    let mut sink = |item| match item {
        Item::Post(post) => output.answer(&post, shown),
        Item::File(file) => output.answer(&file, file::shown),
        _ => Ok(()),
    };
    node.ask(request, &mut sink).await?;
    Ok(Exit::Ok)
}

/// A post as a person reads it: who and when, the message indented, the reactions.
fn shown(post: &PostInfo) -> String {
    let mut text = format!(
        "{}  {}  {}{}{}\n{}",
        time::utc(post.create_at),
        escape(&post.author),
        escape(&short(&post.id)),
        reply_mark(post),
        if post.edit_at.is_some() {
            "  edited"
        } else {
            ""
        },
        body(post)
    );
    if !post.reactions.is_empty() {
        let reactions: Vec<String> = post.reactions.iter().map(reaction).collect();
        text.push_str(&format!("\n{INDENT}[{}]", reactions.join(", ")));
    }
    text
}

fn reply_mark(post: &PostInfo) -> String {
    match &post.reply_to {
        Some(parent) => format!("  in reply to {}", escape(&short(parent))),
        None => String::new(),
    }
}

fn body(post: &PostInfo) -> String {
    match &post.message {
        Some(message) => escape_lines(message, INDENT),
        None => format!("{INDENT}({})", absence(&post.state)),
    }
}

fn absence(state: &str) -> Cow<'_, str> {
    match state {
        "withdrawn" => "withdrawn by its author".into(),
        "no_key" => "the key is not here yet".into(),
        "unreadable" => "cannot be read".into(),
        other => escape(other),
    }
}

fn reaction(reaction: &ReactionInfo) -> String {
    format!("{} {}", escape(&reaction.emoji), escape(&reaction.author))
}

fn message(argument: String) -> Result<String, ApiError> {
    if argument != STDIN {
        return Ok(argument);
    }
    let mut text = String::new();
    std::io::stdin()
        .take(MAX_STDIN)
        .read_to_string(&mut text)
        .map_err(|error| failure::file(Path::new("standard input"), &error))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_cannot_pass_for_another() {
        let mut post = sample();
        post.message = Some("one\n1970-01-01 00:00:01  bob@alpha\u{1b}[1A".into());
        post.author = "eve@bravo\nbob".into();
        assert_eq!(
            shown(&post),
            "1970-01-01 00:00:00  eve@bravo\\nbob  abcdef012345\n    one\n    \
             1970-01-01 00:00:01  bob@alpha\\u{1b}[1A"
        );
    }

    #[test]
    fn a_post_without_message_says_why() {
        let mut post = sample();
        post.state = "withdrawn".into();
        post.reply_to = Some("0123456789abcdef".into());
        assert!(shown(&post).contains("in reply to 0123456789ab\n    (withdrawn by its author)"));
    }

    fn sample() -> PostInfo {
        PostInfo {
            channel: "room".into(),
            id: "abcdef0123456789".into(),
            author: "eve@bravo".into(),
            create_at: 0,
            message: None,
            audience: Vec::new(),
            reply_to: None,
            edit_at: None,
            state: "shown".into(),
            reactions: Vec::new(),
        }
    }
}
