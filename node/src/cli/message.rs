//! `comity post`, `edit`, `redact`, `react`, `pin`, `receipt` and `read`: messages.

use std::io::Read as _;
use std::path::Path;

use super::args::{EditArgs, PinArgs, PostArgs, ReactArgs, ReadArgs, ReceiptArgs, RedactArgs};
use super::client::Node;
use super::escape::{escape, escape_lines};
use super::exit::Exit;
use super::output::Output;
use super::table::short;
use super::{failure, file, time};
use crate::api::{
    ApiError, Item, LaneForm, PostInfo, ReactionInfo, ReceiptInfo, ReceiptState, Request, Written,
};

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
        to: args.to.to,
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
        to: args.to.to,
    };
    write(dir, request, output).await
}

pub async fn pin(dir: &Path, args: PinArgs, output: &Output) -> Result<Exit, ApiError> {
    let request = Request::Pin {
        post: args.post,
        user: args.user,
        remove: args.remove,
        to: args.to.to,
    };
    write(dir, request, output).await
}

pub async fn receipt(dir: &Path, args: ReceiptArgs, output: &Output) -> Result<Exit, ApiError> {
    let request = Request::Receipt {
        post: args.post,
        user: args.user,
        state: args.state,
        to: args.to.to,
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
    let mut text = format!(
        "{}  in {}, for {}",
        escape(&written.id),
        escape(&written.channel),
        escape(&written.audience.join(", "))
    );
    if !written.left_out.is_empty() {
        text.push_str(&format!(
            "\nwithout {}: the pact is suspended or revoked on this side",
            escape(&written.left_out.join(", "))
        ));
    }
    text
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

/// A post as a person reads it: who and when, the message indented, the reactions and receipts.
fn shown(post: &PostInfo) -> String {
    let mut text = format!(
        "{}  {}  {}{}{}{}{}{}{}\n{}",
        time::utc(post.create_at),
        escape(&post.author),
        escape(&short(&post.id)),
        audience_mark(post),
        reply_mark(post),
        if post.edit_at.is_some() {
            "  edited"
        } else {
            ""
        },
        if post.pinned { "  pinned" } else { "" },
        forked_mark(post.forked),
        finality_mark(post),
        body(post)
    );
    if !post.reactions.is_empty() {
        let reactions: Vec<String> = post.reactions.iter().map(reaction).collect();
        text.push_str(&format!("\n{INDENT}[{}]", reactions.join(", ")));
    }
    if !post.receipts.is_empty() {
        let receipts: Vec<String> = post.receipts.iter().map(receipt_text).collect();
        text.push_str(&format!("\n{INDENT}[{}]", receipts.join(", ")));
    }
    text
}

/// To whom a narrowed post went.
fn audience_mark(post: &PostInfo) -> String {
    match post.form {
        LaneForm::Open => String::new(),
        LaneForm::Directed => format!("  to {} only", escape(&post.audience.join(", "))),
    }
}

/// What to know of a message whose writer was caught signing two events for one position.
pub fn forked_mark(forked: bool) -> &'static str {
    match forked {
        true => "  forked log: others may have been shown something else",
        false => "",
    }
}

/// Whether others may still change where a message stands, or have.
fn finality_mark(post: &PostInfo) -> &'static str {
    match (post.is_final, post.late) {
        (true, false) => "",
        (false, false) => "  not final yet",
        (true, true) => "  came late",
        (false, true) => "  came late, not final yet",
    }
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
        None => {
            let why = post.why.as_deref().unwrap_or(&post.state);
            format!("{INDENT}({})", escape(why))
        }
    }
}

fn receipt_text(receipt: &ReceiptInfo) -> String {
    let author = escape(&receipt.author);
    match receipt.state {
        ReceiptState::Delivered => format!("delivered to {author}"),
        ReceiptState::Read => format!("read by {author}"),
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
        post.why = Some("withdrawn by its author".into());
        post.reply_to = Some("0123456789abcdef".into());
        assert!(shown(&post).contains("in reply to 0123456789ab\n    (withdrawn by its author)"));
    }

    #[test]
    fn a_narrowed_post_says_to_whom_it_went() {
        let mut post = sample();
        post.message = Some("one".into());
        post.audience = vec!["alpha".into(), "bravo".into()];
        assert!(!shown(&post).contains("alpha"));
        post.form = LaneForm::Directed;
        post.pinned = true;
        post.forked = true;
        post.receipts = vec![ReceiptInfo {
            author: "bob@alpha".into(),
            state: ReceiptState::Read,
        }];
        assert_eq!(
            shown(&post),
            "1970-01-01 00:00:00  eve@bravo  abcdef012345  to alpha, bravo only  pinned  forked log: others may have \
             been shown something else\n    one\n    [read by bob@alpha]"
        );
    }

    fn sample() -> PostInfo {
        PostInfo {
            channel: "room".into(),
            id: "abcdef0123456789".into(),
            author: "eve@bravo".into(),
            create_at: 0,
            message: None,
            why: None,
            form: LaneForm::Open,
            audience: Vec::new(),
            reply_to: None,
            replies: 0,
            last_reply_at: 0,
            edit_at: None,
            state: "shown".into(),
            forked: false,
            is_final: true,
            late: false,
            label: None,
            pinned: false,
            reactions: Vec::new(),
            receipts: Vec::new(),
        }
    }
}
