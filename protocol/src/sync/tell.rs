//! What a node tells of the lanes that a peer may read: which lanes, their digests, their heads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Channels, may_read, send};
use crate::channel::Channel;
use crate::id::{ChannelId, LaneId, PartnerId};
use crate::limits;
use crate::mutation::{self, Mutation};
use crate::replica::Output;
use crate::wire::{
    AskHeads, Frame, Have, HaveLane, Head, Heads, LogId, REFUSED_NO_SUCH_LANE, Refused, ShowLane,
    heads_digest,
};

/// The lanes that a peer was shown on this link: it passes over what is said of others.
#[derive(Debug, Default)]
pub struct Told {
    lanes: BTreeSet<(ChannelId, LaneId)>,
}

impl Told {
    /// Shows a lane to a peer that reads it, once per link.
    fn show(
        &mut self,
        peer: PartnerId,
        channel: &Channel,
        lane: LaneId,
        out: &mut VecDeque<Output>,
    ) {
        if lane == channel.control_lane || !self.lanes.insert((channel.id, lane)) {
            return;
        }
        if let Some(held) = channel.lane(&lane) {
            let shown = ShowLane {
                channel: channel.id,
                form: held.form.number(),
                audience: held.audience.iter().copied().collect(),
            };
            send(peer, &Frame::Lane(shown), out);
        }
    }

    /// How many lanes the peer was shown.
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Forgets what was shown: frames were dropped.
    pub fn clear(&mut self) {
        self.lanes.clear();
    }

    /// Sends the digests of the lanes that a peer may read, of one channel or of all.
    pub fn digests(
        &mut self,
        peer: PartnerId,
        channels: &Channels,
        only: Option<ChannelId>,
        out: &mut VecDeque<Output>,
    ) {
        let mut lanes = Vec::new();
        for (id, channel) in channels {
            if only.is_some_and(|only| only != *id) {
                continue;
            }
            let readable = channel.lanes().map(|(lane, _)| *lane).filter(|lane| {
                may_read(channel, &peer, lane) || mutation::is(Mutation::DigestsToldToAll)
            });
            for lane in readable {
                self.show(peer, channel, lane, out);
                lanes.push(HaveLane {
                    channel: *id,
                    lane,
                    digest: heads_digest(&heads(channel, lane)),
                });
            }
        }
        for part in lanes.chunks(limits::HAVE_LANES) {
            let lanes = part.to_vec();
            send(peer, &Frame::Have(Have { lanes }), out);
        }
    }

    /// Answers a peer that asks for the heads of a lane.
    pub fn answer(
        &mut self,
        peer: PartnerId,
        ask: &AskHeads,
        channels: &Channels,
        out: &mut VecDeque<Output>,
    ) {
        let readable = channels.get(&ask.channel).filter(|channel| {
            may_read(channel, &peer, &ask.lane) || mutation::is(Mutation::HeadsToldToAll)
        });
        let Some(channel) = readable else {
            return refuse(peer, (ask.channel, ask.lane), REFUSED_NO_SUCH_LANE, out);
        };
        self.show(peer, channel, ask.lane, out);
        let told = Heads {
            channel: ask.channel,
            lane: ask.lane,
            all: true,
            logs: heads(channel, ask.lane),
        };
        send(peer, &Frame::Heads(told), out);
    }

    /// Tells of new heads: one frame per lane, of the logs that the peer does not know to be as
    /// long.
    pub fn adverts(
        &mut self,
        peer: PartnerId,
        logs: &BTreeSet<LogId>,
        theirs: &BTreeMap<LogId, u64>,
        channels: &Channels,
        out: &mut VecDeque<Output>,
    ) {
        let mut by_lane: BTreeMap<(ChannelId, LaneId), Vec<Head>> = BTreeMap::new();
        for log in logs {
            let Some(channel) = channels
                .get(&log.0)
                .filter(|channel| may_read(channel, &peer, &log.1))
            else {
                continue;
            };
            let known = theirs.get(log).copied().unwrap_or(0);
            let news = heads_of_log(channel, log).filter(|head| known < head.seq);
            by_lane.entry((log.0, log.1)).or_default().extend(news);
        }
        for ((id, lane), mut logs) in by_lane {
            let Some(channel) = channels.get(&id).filter(|_| !logs.is_empty()) else {
                continue;
            };
            logs.sort_unstable();
            self.show(peer, channel, lane, out);
            let told = Heads {
                channel: id,
                lane,
                all: false,
                logs,
            };
            send(peer, &Frame::Heads(told), out);
        }
    }
}

/// The heads of a lane, sorted.
pub fn heads(channel: &Channel, lane: LaneId) -> Vec<Head> {
    let graph = channel.graph();
    let mut heads: Vec<Head> = graph
        .logs_of(lane)
        .flat_map(|(writer, _)| heads_of_log(channel, &(channel.id, lane, writer)))
        .collect();
    heads.sort_unstable();
    heads
}

/// The heads of one log; a forked one has several.
fn heads_of_log<'a>(channel: &'a Channel, log: &LogId) -> impl Iterator<Item = Head> + use<'a> {
    let (_, lane, writer) = *log;
    let graph = channel.graph();
    graph.branches(lane, writer).iter().map(move |&chain| {
        let chain = graph.chain(chain);
        Head {
            writer,
            seq: chain.head(),
            id: chain.last().id,
        }
    })
}

/// Refuses a lane: one that the peer may not read, or one for which it must wait.
pub fn refuse(
    peer: PartnerId,
    (channel, lane): (ChannelId, LaneId),
    reason: u8,
    out: &mut VecDeque<Output>,
) {
    let refused = Refused {
        channel,
        lane,
        reason,
    };
    send(peer, &Frame::Refused(refused), out);
}
