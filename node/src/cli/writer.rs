//! `comity writer`: the node's writers, its spares, and the partner's seat in channels.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_protocol::body::SeatTransferBody;
use comity_protocol::codec::Canonical as _;
use comity_protocol::id::ChannelId;
use serde::{Deserialize, Serialize};

use super::args::{CarryArgs, RootKey, TransferSeatArgs, WriterCommand};
use super::client::{Connection, Node};
use super::escape::escape;
use super::exit::Exit;
use super::failure;
use super::output::Output;
use super::peer::{read_text, write_new};
use super::table::{Table, left, short};
use crate::api::{ApiError, LostSeatInfo, Request, WriterActed, WriterInfo};
use crate::keystore;
use crate::root::RootKeys;
use crate::service::failure::root as root_failure;
use crate::service::writers::{self, Added};

pub async fn run(dir: &Path, command: WriterCommand, output: &Output) -> Result<Exit, ApiError> {
    match command {
        WriterCommand::List => list(dir, output).await,
        WriterCommand::Add(args) => add(dir, &args.root, output).await,
        WriterCommand::Retire(args) => {
            let writer = args.writer;
            order(dir, Request::WriterRetire { writer }, output).await
        }
        WriterCommand::MoveSeat(args) => {
            let request = Request::SeatMove {
                writer: args.writer.writer,
                channel: args.channel,
            };
            order(dir, request, output).await
        }
        WriterCommand::TransferSeat(args) => transfer_seat(dir, args, output).await,
        WriterCommand::Carry(args) => carry(dir, args, output).await,
    }
}

async fn list(dir: &Path, output: &Output) -> Result<Exit, ApiError> {
    let mut node = Node::open(dir).await?;
    let writers: Vec<WriterInfo> = node.ask_all(Request::WriterList).await?;
    if output.is_json() {
        writers
            .iter()
            .try_for_each(|writer| output.object(writer))?;
    } else {
        output.text(&table(&writers).render())?;
    }
    Ok(Exit::Ok)
}

fn table(writers: &[WriterInfo]) -> Table {
    let mut table = Table::new([
        left("WRITER"),
        left("STATE"),
        left("SEAT IN"),
        left("MAY NOT WRITE IN"),
    ]);
    for writer in writers {
        let state = match writer.state.as_str() {
            "in_use" => "in use",
            "spent" => "never used again",
            other => other,
        };
        table.row([
            short(&writer.id),
            state.into(),
            writer.seat_in.join(", "),
            writer.unknown_in.join(", "),
        ]);
    }
    table
}

async fn add(dir: &Path, root: &RootKey, output: &Output) -> Result<Exit, ApiError> {
    if Connection::open(dir).await?.is_some() {
        return Err(failure::operator(
            "running",
            "the node is running, and a writer is added only while it is stopped",
            "'comity stop', this command again, and then start the node",
        ));
    }
    let added = writers::add(dir, &root_path(dir, root)).await?;
    output.answer(&added, |added: &Added| {
        let mut text = format!("added: spare writer {}", short(&added.writer));
        for acted in &added.channels {
            text.push_str(&format!("\n  {}", acted_text(acted)));
        }
        text.push_str("\nnext    put the root keys back into the safe, and start the node");
        text
    })?;
    Ok(exit(&added.channels))
}

async fn order(dir: &Path, request: Request, output: &Output) -> Result<Exit, ApiError> {
    let mut node = Node::open(dir).await?;
    let acted: Vec<WriterActed> = node.ask_all(request).await?;
    show(&acted, output)
}

/// A seat transfer that another member is to carry, a line of a file each.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Carried {
    /// For people.
    channel: String,
    channel_id: String,
    writer: String,
    /// Signed, Base64 with padding.
    transfer: String,
}

/// Signs, in this process, what the node says has to be signed, and has the node carry it.
async fn transfer_seat(
    dir: &Path,
    args: TransferSeatArgs,
    output: &Output,
) -> Result<Exit, ApiError> {
    let mut node = Node::open(dir).await?;
    let channel = args.channel;
    let lost: Vec<LostSeatInfo> = node.ask_all(Request::SeatsLost { channel }).await?;
    let root = root_path(dir, &args.root);
    let mut acted = Vec::new();
    let mut for_another = Vec::new();
    for lost in lost {
        let transfer = sign(&root, &lost)?;
        let channel = lost.channel_id.clone();
        match (lost.by_another, &args.out) {
            (false, _) => {
                let request = Request::SeatTransfer { channel, transfer };
                acted.push(node.ask_one(request).await?);
            }
            (true, Some(_)) => {
                acted.push(to_be_carried(&lost, "signed", None));
                for_another.push(Carried {
                    channel: lost.channel,
                    channel_id: lost.channel_id,
                    writer: lost.writer,
                    transfer,
                });
            }
            (true, None) => acted.push(to_be_carried(&lost, "refused", Some(BY_ANOTHER))),
        }
    }
    if let Some(out) = args.out.filter(|_| !for_another.is_empty()) {
        write_carried(&out, &for_another)?;
        output.note(&format!(
            "hand {} to a member of each channel: comity writer carry",
            escape(&out.display().to_string())
        ));
    }
    show(&acted, output)
}

/// Why a node does not carry a transfer itself.
const BY_ANOTHER: &str = "the channel knows none of the writers that this node may use: give --out \
                          FILE, and have another member carry it";

fn to_be_carried(lost: &LostSeatInfo, done: &str, why: Option<&str>) -> WriterActed {
    WriterActed {
        channel: lost.channel.clone(),
        channel_id: lost.channel_id.clone(),
        writer: lost.writer.clone(),
        done: done.into(),
        why: why.map(Into::into),
    }
}

fn write_carried(path: &Path, carried: &[Carried]) -> Result<(), ApiError> {
    let lines = carried.iter().map(serde_json::to_string);
    let lines: Result<Vec<String>, _> = lines.collect();
    let text = lines.map_err(|error| failure::node("request", error))?;
    write_new(path, &(text.join("\n") + "\n"))
}

/// Carries what another partner's root has signed.
async fn carry(dir: &Path, args: CarryArgs, output: &Output) -> Result<Exit, ApiError> {
    let text = read_text(&args.file)?;
    let mut node = Node::open(dir).await?;
    let mut acted = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let carried: Carried = serde_json::from_str(line).map_err(|error| {
            failure::operator(
                "bad_transfer",
                format!("{}: {error}", args.file.display()),
                "ask for the file that 'comity writer transfer-seat --out' makes",
            )
        })?;
        let request = Request::SeatTransfer {
            channel: carried.channel_id,
            transfer: carried.transfer,
        };
        acted.push(node.ask_one(request).await?);
    }
    show(&acted, output)
}

fn sign(root: &Path, lost: &LostSeatInfo) -> Result<String, ApiError> {
    let garbled = || failure::node("bad_answer", "the node's seat transfer cannot be read");
    let bytes = STANDARD.decode(&lost.transfer).map_err(|_| garbled())?;
    let mut transfer = SeatTransferBody::from_bytes(&bytes).map_err(|_| garbled())?;
    let root = RootKeys::read(root, transfer.certificates.partner).map_err(root_failure)?;
    let channel = channel_id(&lost.channel_id).ok_or_else(garbled)?;
    root.sign_transfer(channel, &mut transfer);
    Ok(STANDARD.encode(transfer.to_bytes()))
}

fn channel_id(digits: &str) -> Option<ChannelId> {
    let bytes = crate::root::unhex(digits)?;
    Some(ChannelId(*bytes))
}

/// Where the root keys are: as given, or where `comity init` leaves them.
fn root_path(dir: &Path, root: &RootKey) -> PathBuf {
    let given = root.root_key.clone();
    given.unwrap_or_else(|| keystore::root_path(dir))
}

fn show(acted: &[WriterActed], output: &Output) -> Result<Exit, ApiError> {
    if output.is_json() {
        acted.iter().try_for_each(|acted| output.object(acted))?;
    } else if acted.is_empty() {
        output.text("nothing to do in any channel")?;
    } else {
        let lines: Vec<String> = acted.iter().map(acted_text).collect();
        output.text(&lines.join("\n"))?;
    }
    Ok(exit(acted))
}

/// What was not done everywhere is to be looked at.
fn exit(acted: &[WriterActed]) -> Exit {
    match acted.iter().any(|acted| acted.why.is_some()) {
        true => Exit::Warning,
        false => Exit::Ok,
    }
}

fn acted_text(acted: &WriterActed) -> String {
    let why = acted.why.as_ref().map(|why| format!(": {}", escape(why)));
    format!(
        "{}  {}  {}{}",
        escape(&acted.done),
        escape(&acted.channel),
        short(&acted.writer),
        why.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_in_a_channel_shows_and_is_a_warning() {
        let mut acted = WriterActed {
            channel: "har\u{1b}bour".into(),
            channel_id: "00".into(),
            writer: "0123456789abcdef".into(),
            done: "retired".into(),
            why: None,
        };
        assert_eq!(exit(std::slice::from_ref(&acted)), Exit::Ok);
        assert_eq!(acted_text(&acted), "retired  har\\u{1b}bour  0123456789ab");
        acted.done = "refused".into();
        acted.why = Some("it is the seat".into());
        assert!(acted_text(&acted).ends_with(": it is the seat"));
        assert_eq!(exit(&[acted]), Exit::Warning);
    }
}
