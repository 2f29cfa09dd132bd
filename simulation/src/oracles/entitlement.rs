//! No byte of a lane to a partner that is not entitled to it: looked at for every frame that an
//! honest node sends, in what the frame says, against what the lanes' ids say of their audiences.

use std::collections::BTreeMap;
use std::sync::Arc;

use comity_protocol::authority::{Status, View};
use comity_protocol::event::Event;
use comity_protocol::id::{ChannelId, EventId, LaneId, PartnerId, WriterId};
use comity_protocol::lane::{LaneForm, control_lane, lane_id};
use comity_protocol::replica::{Replica, SendRange, StreamClass};
use comity_protocol::rows::{LogNumbers, Row, Table, read_event};
use comity_protocol::wire::{Frame, LogId, Unpacker};

use super::Verdict;
use super::truth::Truth;

/// The events of one writer in a frame.
pub type OwnEvents = Vec<(LogId, u64, EventId)>;

#[derive(Default)]
pub struct Entitlement {
    /// What the receiving end of each stream knows.
    streams: BTreeMap<(usize, usize), BTreeMap<StreamClass, Unpacker>>,
    frames: u64,
}

/// Who sends what to whom.
pub struct Sending<'a> {
    pub from: usize,
    pub to: usize,
    pub sender: &'a Replica,
    pub partner: PartnerId,
    pub class: StreamClass,
    /// The sender's channels before the fact that it acts on: it may have sent something first, and
    /// then learned that the receiver is out.
    pub before: &'a [(ChannelId, Arc<View>)],
}

impl Entitlement {
    pub fn link_up(&mut self, from: usize, to: usize) {
        self.streams.remove(&(from, to));
    }

    /// A queue overflowed: the streams begin anew.
    pub fn drained(&mut self, from: usize, to: usize) {
        self.streams.remove(&(from, to));
    }

    /// Looks at a frame; gives the events of `writers` in it.
    pub fn frame(
        &mut self,
        sending: &Sending<'_>,
        truth: &Truth,
        writers: &[WriterId],
        bytes: &[u8],
    ) -> Result<OwnEvents, (&'static str, String)> {
        self.frames += 1;
        let frame = Frame::from_bytes(bytes)
            .map_err(|why| ("framing", format!("a frame that does not decode: {why}")))?;
        let mut own = Vec::new();
        match frame {
            Frame::Have(have) => {
                for lane in have.lanes {
                    sending.tells(truth, lane.channel, lane.lane, "a digest")?;
                }
            }
            Frame::Heads(heads) => sending.tells(truth, heads.channel, heads.lane, "heads")?,
            Frame::Lane(shown) => {
                let audience = shown.audience.iter().copied().collect();
                let form = LaneForm::from_number(shown.form).unwrap_or(LaneForm::Control);
                let lane = lane_id(shown.channel, form, &audience);
                sending.tells(truth, shown.channel, lane, "the audience")?;
            }
            Frame::Keys(keys) => {
                for given in &keys.keys {
                    let event = truth.event(&given.key_event);
                    let lane = event.map_or(keys.lane, |event| event.lane);
                    sending.tells(truth, keys.channel, lane, "a secret")?;
                }
            }
            Frame::Piece(piece) if !piece.bytes.is_empty() => {
                sending.tells(truth, piece.channel, piece.lane, "a piece of a file")?;
            }
            Frame::Ephemeral(told) => sending.shows(told.channel)?,
            Frame::AskHeads(ask) => sending.asks(truth, ask.channel, ask.lane)?,
            Frame::Want(want) => sending.asks(truth, want.channel, want.lane)?,
            Frame::AskKeys(ask) => sending.asks(truth, ask.channel, ask.lane)?,
            Frame::Events(events) => {
                let streams = self.streams.entry((sending.from, sending.to)).or_default();
                let unpacker = streams.entry(sending.class).or_default();
                for packed in events.events {
                    let event = unpacker
                        .unpack(packed)
                        .map_err(|why| ("framing", format!("an event torn on its way: {why}")))?;
                    let header = &event.header;
                    let what = format!("{:?} event {}", header.kind(), event.id);
                    sending.tells(truth, header.channel, header.lane, &what)?;
                    if writers.contains(&header.writer) {
                        let log = (header.channel, header.lane, header.writer);
                        own.push((log, header.seq, event.id));
                    }
                }
            }
            _ => {}
        }
        Ok(own)
    }
}

impl Sending<'_> {
    /// Something of a lane is told.
    fn tells(&self, truth: &Truth, channel: ChannelId, lane: LaneId, what: &str) -> Verdict {
        if self.is_entitled(truth, channel, lane) {
            return Ok(());
        }
        let what = format!(
            "node {} tells node {} {what} of lane {lane}, which it may not read (before {:?}, now {:?})",
            self.from,
            self.to,
            self.status_before(channel),
            self.status(channel)
        );
        Err(("entitlement", what))
    }

    fn status(&self, channel: ChannelId) -> Option<Status> {
        let held = self.sender.channels().get(&channel)?;
        let member = held.present().members.get(&self.partner)?;
        Some(member.status)
    }

    fn status_before(&self, channel: ChannelId) -> Option<Status> {
        let (_, view) = self.before.iter().find(|(of, _)| *of == channel)?;
        Some(view.members.get(&self.partner)?.status)
    }

    fn is_entitled(&self, truth: &Truth, channel: ChannelId, lane: LaneId) -> bool {
        // Whose membership ended upon the very fact may have been a member in the midst of it.
        let ended = self
            .status(channel)
            .is_some_and(|status| status > Status::Active);
        let just_ended = ended && self.status(channel) != self.status_before(channel);
        let between = just_ended.then_some(Status::Active);
        [self.status(channel), self.status_before(channel), between]
            .iter()
            .any(|status| match status {
                Some(Status::Active) => truth.reads(channel, lane, &self.partner),
                Some(Status::Invited) => lane == control_lane(channel),
                _ => false,
            })
    }

    /// A lane that is known is asked for of its readers alone: the question shows that it is held
    /// here, or missed. Anybody may be asked for a control lane.
    fn asks(&self, truth: &Truth, channel: ChannelId, lane: LaneId) -> Verdict {
        if lane == control_lane(channel) || truth.lane(channel, lane).is_none() {
            return Ok(());
        }
        if truth.reads(channel, lane, &self.partner) {
            return Ok(());
        }
        let what = format!(
            "node {} asks node {} for lane {lane}, which that may not read",
            self.from, self.to
        );
        Err(("entitlement", what))
    }

    /// What users do goes to members alone: no lane has it, so it goes by the channel.
    fn shows(&self, channel: ChannelId) -> Verdict {
        let states = [self.status(channel), self.status_before(channel)];
        if states.contains(&Some(Status::Active)) {
            return Ok(());
        }
        let what = format!(
            "node {} tells node {} what users do in channel {channel}, of which that is no member",
            self.from, self.to
        );
        Err(("entitlement", what))
    }

    /// A range is promised to a peer.
    pub fn range(&self, truth: &Truth, range: &SendRange) -> Verdict {
        self.tells(truth, range.log.0, range.log.1, "a range")
    }
}

/// What a node stores of a lane is for its partner: no event, no log's name, no secret of another.
/// `before` is the node's channels before the fact that it acts on.
pub fn stored(
    node: usize,
    replica: &Replica,
    before: &[(ChannelId, Arc<View>)],
    truth: &Truth,
    rows: &[Row],
) -> Verdict {
    let partner = replica.partner();
    let is_member = |channel: &ChannelId| {
        let held = replica.channels().get(channel);
        let now = held.map(|held| held.present());
        let then = before.iter().find(|(of, _)| of == channel);
        let views = now.into_iter().chain(then.map(|(_, view)| view));
        let mut standing = views.filter_map(|view| view.members.get(&partner));
        standing.any(|member| member.status == Status::Active)
    };
    let may_hold = |channel: ChannelId, lane: LaneId| {
        let audience = truth.lane(channel, lane).map(|it| &it.audience);
        lane == control_lane(channel)
            || audience.is_some_and(|audience| audience.contains(&partner))
            || (truth.reads(channel, lane, &partner) && is_member(&channel))
    };
    for row in rows {
        let Some((channel, lane)) = lane_of(row, truth) else {
            continue;
        };
        if !may_hold(channel, lane) {
            let what = format!(
                "node {node} stores a row of table {} of lane {lane}, which it may not read",
                row.table.name()
            );
            return Err(("entitlement", what));
        }
    }
    Ok(())
}

/// The lane that a row tells something of.
fn lane_of(row: &Row, truth: &Truth) -> Option<(ChannelId, LaneId)> {
    let value = row.value.as_ref()?;
    match row.table {
        Table::Events => {
            let header = read_event(value).ok()?.event.header;
            Some((header.channel, header.lane))
        }
        Table::Logs => {
            let mut numbers = LogNumbers::default();
            numbers.restore(&row.key, value).ok()?;
            let number = row.key.as_slice().try_into().ok()?;
            let (channel, lane, _) = numbers.log(u32::from_be_bytes(number))?;
            Some((channel, lane))
        }
        Table::Secrets => {
            let key_event = EventId(row.key.as_slice().try_into().ok()?);
            let event = truth.event(&key_event)?;
            Some((event.channel, event.lane))
        }
        _ => None,
    }
}

/// What is read for a range is of its log.
pub fn range_content(from: usize, range: &SendRange, events: &[Event]) -> Verdict {
    let strange = events.iter().find(|event| {
        let header = &event.header;
        (header.channel, header.lane, header.writer) != range.log
    });
    match strange {
        Some(event) => {
            let what = format!("node {from} sends {} in a range of another log", event.id);
            Err(("entitlement", what))
        }
        None => Ok(()),
    }
}
