//! `comity peer`: pacts with other partners.

use std::fs::OpenOptions;
use std::io::{BufRead as _, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::args::{AcceptArgs, ApproveArgs, InviteArgs, PeerCommand};
use super::client::Node;
use super::escape::escape;
use super::exit::Exit;
use super::output::Output;
use super::table::{Table, bytes, left, right, short, thousands};
use super::{failure, time, words};
use crate::api::{ApiError, PeerInfo, PeeringFile, Request};

/// The largest invitation or reply that is read; a real one has a few KiB.
const MAX_FILE: u64 = 1 << 20;

pub async fn run(dir: &Path, command: PeerCommand, output: &Output) -> Result<Exit, ApiError> {
    let mut node = Node::open(dir).await?;
    match command {
        PeerCommand::Invite(args) => invite(&mut node, args, output).await?,
        PeerCommand::Accept(args) => accept(&mut node, args, output).await?,
        PeerCommand::Approve(args) => approve(&mut node, args, output).await?,
        PeerCommand::List => list(&mut node, output).await?,
        PeerCommand::Suspend(name) => {
            let order = Request::PeerSuspend {
                partner: name.partner,
            };
            node.order(order).await?;
            done(
                output,
                "suspended: nothing goes to that partner until resumed",
            )?;
        }
        PeerCommand::Resume(name) => {
            let order = Request::PeerResume {
                partner: name.partner,
            };
            node.order(order).await?;
            done(output, "resumed")?;
        }
        PeerCommand::Revoke(name) => {
            let order = Request::PeerRevoke {
                partner: name.partner,
            };
            node.order(order).await?;
            done(output, "revoked: the pact is over")?;
        }
    }
    Ok(Exit::Ok)
}

async fn invite(node: &mut Node, args: InviteArgs, output: &Output) -> Result<(), ApiError> {
    let request = Request::PeerInvite {
        expires_in_s: args.expires.as_secs(),
        addresses: args.addresses,
    };
    let peering: PeeringFile = node.ask_one(request).await?;
    hand_over(&peering, args.out.as_deref(), output)?;
    output.note(&format!(
        "The invitation is good for one partner, until {} UTC. Carry it there; then:\n  \
         comity peer accept INVITATION --out REPLY",
        time::utc(peering.expires_at_ms)
    ));
    Ok(())
}

async fn accept(node: &mut Node, args: AcceptArgs, output: &Output) -> Result<(), ApiError> {
    let request = Request::PeerAccept {
        file: read_text(&args.file)?,
        addresses: args.addresses,
    };
    let peering: PeeringFile = node.ask_one(request).await?;
    hand_over(&peering, args.out.as_deref(), output)?;
    output.note(&compare(&peering));
    Ok(())
}

/// Writes the file of an answer where it was asked for, and the answer for programs.
fn hand_over(peering: &PeeringFile, out: Option<&Path>, output: &Output) -> Result<(), ApiError> {
    if let (Some(path), Some(file)) = (out, &peering.file) {
        write_new(path, file)?;
    }
    if output.is_json() {
        return output.object(peering);
    }
    match (out, &peering.file) {
        (Some(path), Some(_)) => output.text(&format!("wrote {}", escape(&path.to_string_lossy()))),
        (None, Some(file)) => output.verbatim(file),
        (_, None) => Ok(()),
    }
}

/// What a person does with the words.
fn compare(peering: &PeeringFile) -> String {
    let partner = escape(peering.partner.as_deref().unwrap_or("the partner")).into_owned();
    let Some(words) = &peering.words else {
        return format!("{partner}: the words are not known yet");
    };
    let carry = match peering.file {
        Some(_) => "Carry the reply to that partner, who takes it with: comity peer accept REPLY\n",
        None => "",
    };
    format!(
        "{carry}The words for {partner}:\n\n{}\n\nCompare them by voice, over a line on which you \
         know each other. If all twelve are the same on both sides:\n  comity peer approve {partner}",
        words::grid(words)
    )
}

async fn approve(node: &mut Node, args: ApproveArgs, output: &Output) -> Result<(), ApiError> {
    let words = match args.words {
        Some(words) => words.0,
        None => ask_for_comparison(node, &args.partner, output).await?,
    };
    let order = Request::PeerApprove {
        partner: args.partner,
        words,
    };
    node.order(order).await?;
    done(output, "approved: the pact is in force on this side")
}

/// Shows this side's words and has the operator say that the other side read the same.
async fn ask_for_comparison(
    node: &mut Node,
    partner: &str,
    output: &Output,
) -> Result<Vec<String>, ApiError> {
    if !output.is_interactive() {
        return Err(failure::operator(
            "words_needed",
            "nobody is here to compare the words",
            "give the words that the other side read: --words \"…\"",
        ));
    }
    let words = own_words(node, partner).await?;
    output.note(&format!(
        "The words for {}:\n\n{}\n\nHas the other side read you all twelve, by voice, the same? \
         Type yes to put the pact in force.",
        escape(partner),
        words::grid(&words)
    ));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match (read, answer.trim()) {
        (Ok(_), "yes") => Ok(words),
        _ => Err(failure::operator(
            "not_approved",
            "the words were not confirmed, so nothing was approved",
            "compare again; if the words differ, someone is in the middle: start over with a new \
             invitation carried another way",
        )),
    }
}

async fn own_words(node: &mut Node, partner: &str) -> Result<Vec<String>, ApiError> {
    let peers: Vec<PeerInfo> = node.ask_all(Request::PeerList).await?;
    peers
        .into_iter()
        .find(|peer| peer.partner == partner)
        .and_then(|peer| peer.words)
        .ok_or_else(|| {
            failure::operator(
                "no_words",
                format!("no words are known for {partner}"),
                "take that partner's invitation or reply first: comity peer accept FILE",
            )
        })
}

async fn list(node: &mut Node, output: &Output) -> Result<(), ApiError> {
    let peers: Vec<PeerInfo> = node.ask_all(Request::PeerList).await?;
    if output.is_json() {
        return peers.iter().try_for_each(|peer| output.object(peer));
    }
    match peers.is_empty() {
        true => output.text("no peers; begin with: comity peer invite --out FILE"),
        false => output.text(&peer_table(&peers).render()),
    }
}

/// Peers and their links, one a row.
pub fn peer_table(peers: &[PeerInfo]) -> Table {
    let mut table = Table::new([
        left("PEER"),
        left("ID"),
        left("STATE"),
        left("LINK"),
        left("GROUP"),
        right("RTT"),
        right("SENT"),
        right("RECEIVED"),
        right("BEHIND"),
        left("LAST ERROR"),
    ]);
    for peer in peers {
        table.row([
            peer.partner.clone(),
            short(&peer.partner_id),
            peer.state.clone(),
            link(peer),
            peer.group.clone().unwrap_or_default(),
            peer.rtt_ms
                .map_or_else(String::new, |ms| format!("{ms:.1} ms")),
            bytes(peer.bytes_sent),
            bytes(peer.bytes_received),
            thousands(peer.behind_events),
            peer.last_error.clone().unwrap_or_default(),
        ]);
    }
    table
}

fn link(peer: &PeerInfo) -> String {
    match (peer.connected, &peer.remote) {
        (true, Some(remote)) => remote.clone(),
        (true, None) => "up".into(),
        (false, _) => "down".into(),
    }
}

/// Confirms an order that has no other answer.
pub fn done(output: &Output, text: &str) -> Result<(), ApiError> {
    output.answer(&serde_json::json!({ "done": true }), |_| text.into())
}

/// Reads a file that is small where it is honest; `-` is standard input.
pub fn read_text(path: &Path) -> Result<String, ApiError> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(MAX_FILE).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
    };
    read.map(|_| text)
        .map_err(|error| failure::file(path, &error))
}

/// Writes a file that must not exist yet, for its owner alone.
pub fn write_new(path: &Path, text: &str) -> Result<(), ApiError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| failure::file(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_come_with_what_to_do() {
        let peering = PeeringFile {
            partner: Some("bra\u{1b}vo".into()),
            file: None,
            words: Some(vec!["word".into(); 12]),
            expires_at_ms: 0,
        };
        let text = compare(&peering);
        assert!(text.contains("The words for bra\\u{1b}vo"), "{text}");
        assert!(text.contains("by voice"), "{text}");
        assert!(!text.contains("Carry"), "{text}");
    }

    #[test]
    fn a_file_that_exists_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("invite");
        write_new(&path, "first").unwrap();
        let error = write_new(&path, "second").unwrap_err();
        assert_eq!(error.code, "file");
        assert_eq!(read_text(&path).unwrap(), "first");
    }
}
