//! Secrets that other readers give, and are given.

use comity_crypto as crypto;
use serde_bytes::ByteBuf;

use super::{Notice, Output, Replica};
use crate::channel::Channel;
use crate::id::{ChannelId, EventId, Hash, LaneId, PartnerId};
use crate::keys::{GivenContext, open_given};
use crate::mutation::{self, Mutation};
use crate::quota::Limit;
use crate::rows;
use crate::sync::{self, may_read};
use crate::time::Instant;
use crate::wire::{AskKeys, Frame, GivenKey, Keys, REFUSED_LATER, REFUSED_NO_SUCH_LANE};

use super::StreamClass;

impl Replica {
    /// An accepted key event opens an epoch whose secret is not held: others are asked for it.
    pub(super) fn want_key(&mut self, channel: ChannelId, lane: LaneId, key_event: EventId) {
        if self.keyring.secret(&key_event).is_none() {
            self.asking.want((channel, lane), key_event);
        }
    }

    /// Wants all secrets of a channel's epochs that are not held.
    pub(super) fn want_missing_keys(&mut self, channel: ChannelId) {
        let Some(held) = self.channels.get(&channel) else {
            return;
        };
        let epochs: Vec<(EventId, LaneId)> = held.epochs().collect();
        for (key_event, lane) in epochs {
            self.want_key(channel, lane, key_event);
        }
    }

    /// Asks readers for what is wanted; returns when to look again.
    pub(super) fn ask_for_keys(&mut self, now: Instant) -> Option<Instant> {
        let (channels, sync) = (&self.channels, &self.sync);
        let own = self.partner;
        let readers = |(channel, lane): (ChannelId, LaneId)| {
            let held = channels
                .get(&channel)
                .filter(|held| may_read(held, &own, &lane));
            held.map_or_else(Vec::new, |held| sync.readers(held, &lane))
        };
        for (peer, ask) in self.asking.due(readers, now) {
            self.send(peer, &Frame::AskKeys(ask));
        }
        self.asking.next_look()
    }

    /// A peer asks for secrets: it gets those that are held, if it reads the lane.
    pub(super) fn on_ask_keys(&mut self, peer: PartnerId, ask: &AskKeys, now: Instant) {
        let lane = (ask.channel, ask.lane);
        let reads = self.channels.get(&ask.channel).filter(|channel| {
            may_read(channel, &peer, &ask.lane) || mutation::is(Mutation::KeysGivenToAll)
        });
        let Some(channel) = reads else {
            return sync::refuse(peer, lane, REFUSED_NO_SUCH_LANE, &mut self.out);
        };
        let keys = self.keys_for(channel, &peer, ask);
        let unbounded = mutation::is(Mutation::KeysGivenUnbounded);
        if !self.given.charge(peer, ask.key_events.len(), now) && !unbounded {
            let why = "it asks for more keys than it is given in a second".into();
            self.over_limit(peer, Limit::KeysGiven, why);
            return sync::refuse(peer, lane, REFUSED_LATER, &mut self.out);
        }
        let keys = keys.unwrap_or(Keys {
            channel: ask.channel,
            lane: ask.lane,
            sealing_key: Hash([0; 32]),
            keys: Vec::new(),
        });
        if !keys.keys.is_empty() {
            self.notify(Notice::KeysGiven {
                channel: ask.channel,
                peer,
                count: keys.keys.len(),
            });
        }
        self.send(peer, &Frame::Keys(keys));
    }

    fn keys_for(&self, channel: &Channel, peer: &PartnerId, ask: &AskKeys) -> Option<Keys> {
        let (_, key) = channel.present().member(peer)?.sealing_key.as_ref()?;
        let sealing_key = Hash(key.id());
        let give = |key_event: &EventId| {
            let (lane, _) = channel.epoch(key_event)?;
            let secret = self
                .keyring
                .secret(key_event)
                .filter(|_| lane == ask.lane || mutation::is(Mutation::KeyOfAnotherLane))?;
            let context = GivenContext {
                channel: channel.id,
                lane,
                key_event: *key_event,
            };
            let randomness = context.randomness(&self.own.seed, &sealing_key);
            let info = context.info(peer, &sealing_key);
            let sealed = key.wrap_secret(&info, secret, &randomness).ok()?;
            Some(GivenKey {
                key_event: *key_event,
                sealed: ByteBuf::from(sealed),
            })
        };
        Some(Keys {
            channel: channel.id,
            lane: ask.lane,
            sealing_key,
            keys: ask.key_events.iter().filter_map(give).collect(),
        })
    }

    /// A peer gives secrets: those that were wanted and that fit their key event's commitment are
    /// stored.
    pub(super) fn on_keys(&mut self, peer: PartnerId, keys: &Keys) {
        let lane = (keys.channel, keys.lane);
        // What was asked for as a member may come when this partner is none any more.
        let channel = self.channels.get(&keys.channel);
        if !channel.is_some_and(|channel| may_read(channel, &self.partner, &keys.lane)) {
            return;
        }
        let mut rows = Vec::new();
        for given in &keys.keys {
            if !self.asking.wants(lane, &given.key_event) {
                continue;
            }
            match self.open_given(keys, given) {
                Ok(Some(secret)) => {
                    rows.push(rows::secret_row(&given.key_event, &secret));
                    self.keyring.restore(given.key_event, secret);
                    self.asking.obtained(lane, &given.key_event);
                }
                Ok(None) => {}
                Err(why) => {
                    let why = format!("the key it gave for event {}: {why}", given.key_event);
                    self.notify(Notice::Refused { peer, why });
                }
            }
        }
        if !rows.is_empty() {
            self.notify(Notice::KeysObtained {
                channel: keys.channel,
                peer,
                count: rows.len(),
            });
            self.out.push_back(Output::Append { rows });
        }
        self.asking.answered(lane, &peer);
    }

    fn open_given(
        &self,
        keys: &Keys,
        given: &GivenKey,
    ) -> Result<Option<crypto::EpochSecret>, crate::keys::KeyError> {
        let channel = self.channels.get(&keys.channel);
        let Some((lane, commitment)) = channel.and_then(|held| held.epoch(&given.key_event)) else {
            return Ok(None);
        };
        if lane != keys.lane {
            return Ok(None);
        }
        let context = GivenContext {
            channel: keys.channel,
            lane,
            key_event: given.key_event,
        };
        open_given(&self.keyring, &context, keys, given, &commitment).map(Some)
    }

    fn send(&mut self, peer: PartnerId, frame: &Frame) {
        self.out.push_back(Output::Send {
            peer,
            class: StreamClass::Control,
            bytes: frame.to_bytes(),
        });
    }
}
