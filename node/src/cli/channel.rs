//! `comity channel`: channels and who shares them.

use std::path::Path;

use super::args::{ChannelCommand, history_name};
use super::client::Node;
use super::escape::escape;
use super::exit::Exit;
use super::output::Output;
use super::peer::done;
use super::table::{Table, left, right, short, thousands};
use crate::api::{ApiError, ChannelInfo, Decided, History, MemberInfo, ProposalInfo, Request};

pub async fn run(dir: &Path, command: ChannelCommand, output: &Output) -> Result<Exit, ApiError> {
    let mut node = Node::open(dir).await?;
    match command {
        ChannelCommand::Create(args) => {
            let request = Request::ChannelCreate {
                name: args.channel,
                history: args.history,
                quorum: args.quorum,
            };
            let channel: ChannelInfo = node.ask_one(request).await?;
            output.answer(&channel, created)?;
        }
        ChannelCommand::Share(args) => {
            let order = Request::ChannelShare {
                channel: args.channel,
                partner: args.partner,
                role: args.role,
            };
            node.order(order).await?;
            done(
                output,
                "invited; that partner joins with: comity channel accept",
            )?;
        }
        ChannelCommand::Accept(args) => {
            let order = Request::ChannelAccept {
                channel: args.channel,
            };
            node.order(order).await?;
            done(output, "accepted")?;
        }
        ChannelCommand::Leave(args) => {
            let order = Request::ChannelLeave {
                channel: args.channel,
            };
            node.order(order).await?;
            done(output, "left")?;
        }
        ChannelCommand::Grant(args) => {
            let request = Request::ChannelGrant {
                channel: args.member.channel,
                partner: args.member.partner,
                role: args.role,
            };
            decide(&mut node, request, output).await?;
        }
        ChannelCommand::Remove(args) => {
            let request = Request::ChannelRemove {
                channel: args.channel,
                partner: args.partner,
            };
            decide(&mut node, request, output).await?;
        }
        ChannelCommand::Suspend(args) => {
            let request = Request::ChannelSuspend {
                channel: args.channel,
                partner: args.partner,
            };
            decide(&mut node, request, output).await?;
        }
        ChannelCommand::Endorse(args) => {
            let request = Request::ChannelEndorse {
                channel: args.channel,
                act: args.act,
                partner: args.partner,
                role: args.role,
            };
            decide(&mut node, request, output).await?;
        }
        ChannelCommand::List => list(&mut node, output).await?,
        ChannelCommand::Show(args) => {
            let request = Request::ChannelShow {
                channel: args.channel,
            };
            let channel: ChannelInfo = node.ask_one(request).await?;
            output.answer(&channel, shown)?;
        }
    }
    Ok(Exit::Ok)
}

async fn decide(node: &mut Node, request: Request, output: &Output) -> Result<(), ApiError> {
    let decided: Decided = node.ask_one(request).await?;
    output.answer(&decided, |decided| {
        let (partner, channel) = (escape(&decided.partner), escape(&decided.channel));
        let mut text = format!("{}: {partner} in {channel}", decided.done);
        for consequence in &decided.consequences {
            text.push_str(&format!("\n  {}", escape(consequence)));
        }
        text
    })
}

fn created(channel: &ChannelInfo) -> String {
    let name = escape(&channel.name);
    format!(
        "created {name}, id {}\nnext    comity channel share {name} PARTNER",
        escape(&channel.id)
    )
}

async fn list(node: &mut Node, output: &Output) -> Result<(), ApiError> {
    let channels: Vec<ChannelInfo> = node.ask_all(Request::ChannelList).await?;
    if output.is_json() {
        return channels
            .iter()
            .try_for_each(|channel| output.object(channel));
    }
    match channels.is_empty() {
        true => output.text("no channels; begin with: comity channel create NAME"),
        false => output.text(&table(&channels).render()),
    }
}

fn table(channels: &[ChannelInfo]) -> Table {
    let mut table = Table::new([
        left("CHANNEL"),
        left("ID"),
        left("STATUS"),
        right("POSTS"),
        right("EVENTS"),
        left("MEMBERS"),
    ]);
    for channel in channels {
        let members: Vec<String> = channel.members.iter().map(member).collect();
        table.row([
            channel.name.clone(),
            short(&channel.id),
            channel.status.clone(),
            thousands(channel.posts),
            thousands(channel.events),
            members.join(", "),
        ]);
    }
    table
}

fn member(member: &MemberInfo) -> String {
    let role = member.role.as_str();
    match member.status.as_str() {
        "active" => format!("{} ({role})", member.partner),
        status => format!("{} ({role}, {status})", member.partner),
    }
}

/// A channel with its rules, and a line per member.
fn shown(channel: &ChannelInfo) -> String {
    let mut table = Table::new([
        left("PARTNER"),
        left("ID"),
        left("ROLE"),
        left("STATUS"),
        left("WRITERS"),
    ]);
    for member in &channel.members {
        let writers: Vec<String> = member.writers.iter().map(|id| short(id)).collect();
        table.row([
            member.partner.clone(),
            short(&member.partner_id),
            member.role.as_str().into(),
            member.status.clone(),
            writers.join(", "),
        ]);
    }
    let mut text = format!(
        "{}  {}\nstatus   {}\nhistory  {}: {}\nquorum   {}\n\n{}",
        escape(&channel.name),
        escape(&channel.id),
        escape(&channel.status),
        history_name(channel.history),
        history_text(channel.history),
        quorum_text(channel.quorum),
        table.render()
    );
    text.push_str(&format!("\n\n{}", lanes(channel).render()));
    for open in &channel.proposals {
        text.push_str(&format!("\n{}", escape(&proposal_text(open))));
    }
    text
}

/// How far each lane is final, and on whom the rest waits.
fn lanes(channel: &ChannelInfo) -> Table {
    let mut table = Table::new([
        left("LANE"),
        left("READERS"),
        right("BARRIER"),
        right("NOT FINAL"),
        left("WAITS FOR"),
    ]);
    for lane in &channel.lanes {
        table.row([
            lane.form.clone(),
            lane.audience.join(", "),
            lane.barrier.to_string(),
            thousands(lane.not_final),
            lane.waits_for.join(", "),
        ]);
    }
    table
}

fn proposal_text(open: &ProposalInfo) -> String {
    let role = open.role.map(|role| format!(" as {}", role.as_str()));
    format!(
        "proposed: {} {}{}, endorsed by {} of {} owners: {}",
        open.act.as_str(),
        open.partner,
        role.unwrap_or_default(),
        open.endorsed_by.len(),
        open.needed,
        open.endorsed_by.join(", ")
    )
}

fn history_text(history: History) -> &'static str {
    match history {
        History::FromJoin => "who joins reads what is written from then on",
        History::All => "who joins also reads what was written for all members before",
    }
}

fn quorum_text(quorum: u8) -> String {
    match quorum {
        0 => "a majority of the owners".into(),
        1 => "1 owner".into(),
        many => format!("{many} owners, or all where there are fewer"),
    }
}
