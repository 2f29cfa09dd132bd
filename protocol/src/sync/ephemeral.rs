//! What users do just now: typing, and whether they are there. It goes from a node to the members
//! of a channel that are linked with it, and no further: nothing of it is stored, asked for again
//! or handed on, and what is lost is lost.

use std::collections::{BTreeMap, VecDeque};

use super::{Channels, Peer, send};
use crate::authority::Status;
use crate::channel::Channel;
use crate::id::PartnerId;
use crate::limits;
use crate::mutation::{self, Mutation};
use crate::replica::Output;
use crate::time::Instant;
use crate::wire::{Ephemeral, Frame};

/// Sends what own users do to the linked members of the channel. A peer whose queue is full gets
/// nothing.
pub(super) fn tell(
    own: &PartnerId,
    peers: &BTreeMap<PartnerId, Peer>,
    channels: &Channels,
    told: Ephemeral,
    out: &mut VecDeque<Output>,
) {
    let Some(channel) = channels.get(&told.channel) else {
        return;
    };
    if !is_member(channel, own) {
        return;
    }
    let frame = Frame::Ephemeral(told);
    for (peer, state) in peers {
        let entitled = is_member(channel, peer) || mutation::is(Mutation::EphemeralToAll);
        if entitled && !state.congested {
            send(*peer, &frame, out);
        }
    }
}

/// Whether what a peer tells of its users is looked at: both are members of the channel.
pub(super) fn is_for_members(
    own: &PartnerId,
    peer: &PartnerId,
    channels: &Channels,
    told: &Ephemeral,
) -> bool {
    let channel = channels.get(&told.channel);
    channel.is_some_and(|channel| is_member(channel, own) && is_member(channel, peer))
}

fn is_member(channel: &Channel, partner: &PartnerId) -> bool {
    let member = channel.present().members.get(partner);
    member.is_some_and(|member| member.status == Status::Active)
}

/// How much of a peer is still taken: so much at once, and so much each second.
#[derive(Debug)]
pub(super) struct Pace {
    /// In thousandths of a sign.
    left: u64,
    since: Instant,
}

impl Pace {
    pub fn new(now: Instant) -> Pace {
        Pace {
            left: limits::EPHEMERAL_AT_ONCE * 1_000,
            since: now,
        }
    }

    /// Whether so many signs may be taken now.
    pub fn take(&mut self, signs: usize, now: Instant) -> bool {
        let passed_ms = now.0.saturating_sub(self.since.0);
        let more = passed_ms.saturating_mul(limits::EPHEMERAL_PER_S);
        let left = self.left.saturating_add(more);
        self.left = left.min(limits::EPHEMERAL_AT_ONCE * 1_000);
        self.since = now;
        let cost = signs as u64 * 1_000;
        let may = cost <= self.left;
        if may {
            self.left -= cost;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_signs_are_taken_at_once_and_so_many_each_second() {
        let mut pace = Pace::new(Instant(0));
        let at_once = limits::EPHEMERAL_AT_ONCE as usize;
        let each_second = limits::EPHEMERAL_PER_S as usize;

        assert!(pace.take(at_once, Instant(0)));
        assert!(!pace.take(1, Instant(0)));
        assert!(!pace.take(each_second, Instant(999)));
        assert!(pace.take(each_second, Instant(1_000)));
        assert!(!pace.take(1, Instant(1_000)));
        assert!(!pace.take(at_once + 1, Instant(u64::MAX)));
        assert!(pace.take(at_once, Instant(u64::MAX)));
    }
}
