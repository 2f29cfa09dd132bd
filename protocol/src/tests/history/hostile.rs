//! What hostile writers try.

use proptest::prelude::*;
use serde_bytes::ByteBuf;

use super::Intent;
use super::play::{pick, wish};
use crate::body::{InviteBody, KeyBody, RemoveBody};
use crate::codec::Canonical;
use crate::event::{Header, Kind, Reference};
use crate::id::{EventId, Hash, LaneId, PartnerId, Signature};
use crate::tests::kit::{LISTS, PARTNERS, To, Wish, World, node, partner};
use crate::tests::oracle::{Ids, Lane};

/// What is wrong with a hostile event.
#[derive(Debug, Clone, Copy)]
pub enum Trick {
    RedundantDep,
    RedundantHead,
    UnknownDep,
    /// A reference whose id is right and whose position is not.
    MisplacedDep,
    /// An event of a lane that not all readers may read, or of the control lane.
    NarrowDep,
    UnknownTarget,
    /// About any event that it has seen, of any kind and lane.
    AnyTarget,
    AnotherEpoch,
    NarrowLane,
    /// The open lane of those who were members once, or a lane with a former member.
    ClosedLane,
    /// A directed lane that no key event has named.
    UnnamedLane,
    WrongLane,
    ReservedKind,
    /// Another kind with the same body.
    OtherKind(u8),
    /// Skips a position.
    Gap,
    ClaimedTime(u64),
    OtherChannel,
    BadBody,
    /// Goes on without the cut that is due.
    NoCut,
    CutWithoutEnding,
    CutWithBody,
    KeyForTooFew,
    /// A wrap for somebody outside.
    KeyForAnother,
    /// A key event whose list of readers is another lane's.
    KeyOfAnotherAudience,
    KeyWithoutAudience,
    KeyUnderAnotherKey,
    KeyOutdated,
    UnsortedEndorsements,
    /// Endorsements of something else, or no endorsements at all.
    StrangeEndorsements,
    /// A seat transfer that another root signed, or for another channel, or with another seat, or
    /// that is to follow something else.
    ForgedTransfer,
    /// Another partner's list.
    ForeignList,
}

pub fn trick() -> impl Strategy<Value = Trick> {
    let time = prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), 900_000u64..1_100_000];
    prop_oneof![
        6 => time.prop_map(Trick::ClaimedTime),
        2 => (1u8..45).prop_map(Trick::OtherKind),
        27 => prop::sample::select(vec![
            Trick::RedundantDep,
            Trick::RedundantHead,
            Trick::UnknownDep,
            Trick::MisplacedDep,
            Trick::NarrowDep,
            Trick::UnknownTarget,
            Trick::AnyTarget,
            Trick::AnotherEpoch,
            Trick::NarrowLane,
            Trick::ClosedLane,
            Trick::UnnamedLane,
            Trick::WrongLane,
            Trick::ReservedKind,
            Trick::Gap,
            Trick::OtherChannel,
            Trick::BadBody,
            Trick::NoCut,
            Trick::CutWithoutEnding,
            Trick::CutWithBody,
            Trick::KeyForTooFew,
            Trick::KeyForAnother,
            Trick::KeyOfAnotherAudience,
            Trick::KeyWithoutAudience,
            Trick::KeyUnderAnotherKey,
            Trick::KeyOutdated,
            Trick::UnsortedEndorsements,
            Trick::StrangeEndorsements,
            Trick::ForgedTransfer,
            Trick::ForeignList,
        ]),
    ]
}

pub fn hostile(world: &mut World, who: usize, at: usize, trick: Trick, intent: &Intent) {
    match trick {
        Trick::KeyForTooFew
        | Trick::KeyForAnother
        | Trick::KeyOfAnotherAudience
        | Trick::KeyWithoutAudience
        | Trick::KeyUnderAnotherKey
        | Trick::KeyOutdated => return hostile_key(world, who, at, trick, intent),
        Trick::UnsortedEndorsements | Trick::StrangeEndorsements => {
            return strange_endorsements(world, who, at, trick);
        }
        Trick::ForgedTransfer => return forged_transfer(world, who, at),
        Trick::ForeignList => return foreign_list(world, who, at),
        _ => {}
    }
    let Some((to, wish)) = wish(world, who, intent) else {
        return;
    };
    if let Trick::ClaimedTime(claimed_ms) = trick {
        let truth_ms = std::mem::replace(&mut world.now_ms, claimed_ms.saturating_sub(1000));
        world.send(who, &to, wish);
        world.now_ms = truth_ms;
        return;
    }
    let seen = world.seen[who].clone();
    let wish = match trick {
        Trick::CutWithoutEnding | Trick::CutWithBody => Wish::Cut,
        _ => wish,
    };
    let (mut header, mut body) = world.compose(who, &seen, &to, &wish);
    if let (Trick::ClosedLane, Some(lane)) = (trick, any_lane(world, &seen, at)) {
        header = world.draft(who, &seen, &lane, header.kind());
    }
    if header.kind().is_sealed() {
        header.key_event = header.prev.and_then(|prev| world.oracle.latest_epoch(prev));
        header.commitment = header.key_event.map(|_| Hash([7; 32]));
    }
    if let Trick::BadBody | Trick::CutWithBody = trick {
        body.push(0xc0);
    }
    twist(world, &seen, &mut header, trick, at);
    world.publish(who, header, body);
}

fn twist(world: &World, seen: &Ids, header: &mut Header, trick: Trick, at: usize) {
    let foreign = |id: &Reference| Reference {
        id: EventId([at as u8; 32]),
        ..id.clone()
    };
    let known = pick(seen, at).map(|id| (id, world.event(&id).reference_from(header.lane)));
    let Some((id, reference)) = known else { return };
    let is_control = world.oracle.is_control(&id);
    match trick {
        Trick::RedundantDep | Trick::NarrowDep => {
            header.deps.truncate(31);
            header.deps.push(reference);
        }
        Trick::RedundantHead if is_control => header.control_heads.push(Reference {
            lane: None,
            ..reference
        }),
        Trick::UnknownDep => header.deps.push(foreign(&reference)),
        Trick::MisplacedDep => header.deps.push(Reference {
            seq: reference.seq + 1,
            ..reference
        }),
        Trick::UnknownTarget => header.about = Some(foreign(&reference)),
        Trick::AnyTarget => header.about = Some(reference),
        Trick::AnotherEpoch if header.key_event.is_some() => header.key_event = Some(id),
        Trick::NarrowLane => {
            let mut audience = world.oracle.view(seen).active();
            audience.pop_first();
            header.lane = world.oracle.lane_id("open", &audience);
        }
        Trick::UnnamedLane if header.lane != world.control_lane() => {
            header.lane = LaneId([at as u8; 32]);
            (header.seq, header.prev) = (1, None);
        }
        Trick::WrongLane if header.lane == world.control_lane() => {
            header.lane = LaneId([at as u8; 32])
        }
        Trick::WrongLane => header.lane = world.control_lane(),
        Trick::ReservedKind => {
            let reserved = [14, 15];
            become_kind(header, reserved[at % reserved.len()]);
        }
        Trick::OtherKind(kind) => become_kind(header, kind),
        Trick::Gap => {
            header.seq += 1;
            header.prev = header.prev.or(Some(id));
        }
        Trick::OtherChannel => header.channel.0[0] ^= 1,
        _ => {}
    }
    let lane = header.lane;
    let own = |reference: &Reference| reference.lane == Some(lane);
    header.about = header.about.take().map(|about| match own(&about) {
        true => Reference {
            lane: None,
            ..about
        },
        false => about,
    });
    header.deps.retain(|dep| dep.lane != Some(lane));
    for list in [&mut header.deps, &mut header.control_heads] {
        Reference::sort(list);
        list.dedup();
    }
}

/// Gives the header another kind, where it stays well formed.
fn become_kind(header: &mut Header, number: u8) {
    let Some(kind) = Kind::from_number(number) else {
        return;
    };
    let like = |one: Kind| (one.is_sealed(), one.names_author());
    let roster = kind == Kind::Roster && header.kind().is_sealed();
    if like(kind) == like(header.kind()) || roster {
        header.kind = number;
        header.author = header.author.take().filter(|_| kind.names_author());
    }
}

/// The lane of some message that it has seen.
fn any_lane(world: &World, seen: &Ids, at: usize) -> Option<Lane> {
    let messages = seen.iter().filter(|id| !world.oracle.is_control(id));
    let id = pick(&messages.copied().collect(), at)?;
    Some(world.oracle.lane_of(&id).clone())
}

/// A key event that leaves a reader out or names another, or one in two parts between which a
/// sealing key changes.
fn hostile_key(world: &mut World, who: usize, at: usize, trick: Trick, intent: &Intent) {
    let to = match wish(world, who, intent) {
        Some((to, _)) => to,
        None => To::Open,
    };
    let mut seen = world.seen[who].clone();
    let mut wraps = world.wraps(&seen, &to);
    if wraps.is_empty() {
        return;
    }
    let lane = world.lane_to(&to, &seen);
    let mut audience: Option<Vec<PartnerId>> =
        (!lane.is_open).then(|| lane.audience.iter().copied().collect());
    let parts = (!at.is_multiple_of(3)).then(Vec::new);
    match trick {
        Trick::KeyForTooFew => {
            wraps.pop();
        }
        Trick::KeyForAnother => {
            wraps.push(crate::body::Wrap {
                partner: partner(at % PARTNERS).id,
                sealing_key: Hash(wraps[0].sealing_key.0),
                sealed: ByteBuf::from(vec![1; comity_crypto::WRAP_LEN]),
            });
            wraps.sort_by_key(|wrap| wrap.partner);
            wraps.dedup_by_key(|wrap| wrap.partner);
        }
        Trick::KeyOfAnotherAudience => {
            let mut others: Vec<PartnerId> =
                audience.unwrap_or_else(|| lane.audience.iter().copied().collect());
            others.push(partner(at % PARTNERS).id);
            others.sort_unstable();
            others.dedup();
            audience = Some(others);
        }
        Trick::KeyWithoutAudience => audience = None,
        Trick::KeyUnderAnotherKey => wraps[0].sealing_key = Hash([at as u8; 32]),
        _ => return outdated_key(world, who, at, &to),
    }
    if wraps.is_empty() {
        return;
    }
    let header = world.draft(who, &seen, &lane, Kind::Key);
    let body = KeyBody {
        audience,
        parts,
        commitment: Hash([5; 32]),
        wraps,
    };
    let id = world.publish(who, header, body.to_bytes());
    if world.is_accepted(&id) {
        seen.insert(id);
    }
}

fn outdated_key(world: &mut World, who: usize, at: usize, to: &To) {
    let mut seen = world.seen[who].clone();
    let mut wraps = world.wraps(&seen, to);
    let rest = wraps.split_off(1);
    if rest.is_empty() {
        return;
    }
    let outdated = |whom: &usize| partner(*whom).id == wraps[0].partner;
    let Some(changed) = (0..PARTNERS).find(outdated) else {
        return;
    };
    let part = world.write_key_part(who, &mut seen, to, None, wraps);
    let change = world.write(changed, Wish::SealingKey(at));
    world.hear(who, change);
    let mut seen = world.seen[who].clone();
    world.write_key_part(who, &mut seen, to, Some(vec![part]), rest);
    world.send(who, to, Wish::Post);
}

/// An act whose endorsements are not in order, or are of something else.
fn strange_endorsements(world: &mut World, who: usize, at: usize, trick: Trick) {
    let seen = world.seen[who].clone();
    let known: Vec<EventId> = (0..3)
        .filter_map(|step| pick(&seen, at / 7 + step * 5))
        .collect();
    let mut listed = known;
    listed.sort_unstable();
    listed.dedup();
    if let Trick::UnsortedEndorsements = trick {
        listed.reverse();
        if listed.len() < 2 {
            listed = vec![EventId([1; 32]); 2];
        }
    }
    let whom = at % PARTNERS;
    let body = match at % 2 {
        0 => RemoveBody {
            partner: partner(whom).id,
            endorsements: listed,
        }
        .to_bytes(),
        _ => InviteBody {
            partner: partner(whom).identity.clone(),
            role: crate::body::Role::Owner,
            endorsements: listed,
        }
        .to_bytes(),
    };
    let kind = if at.is_multiple_of(2) {
        Kind::Remove
    } else {
        Kind::Invite
    };
    let (mut header, _) = world.compose(who, &seen, &To::Open, &Wish::Merge);
    header.kind = kind.number();
    world.publish(who, header, body);
}

fn forged_transfer(world: &mut World, who: usize, at: usize) {
    let (whom, list) = (partner(at % PARTNERS), at / 7 % LISTS.len());
    let seat = whom.node(LISTS[list].1[0]);
    let mut channel = world.channel;
    let charter = world.events[0].id;
    let mut transfer = whom.seat_transfer(channel, list, seat, charter);
    match at % 5 {
        0 => transfer.root_signature = Signature([at as u8; 64]),
        1 => {
            channel.0[0] ^= 1;
            transfer = whom.seat_transfer(channel, list, seat, charter);
        }
        2 => transfer.after = world.events[1].id,
        3 => transfer.seat = whom.node(4 - LISTS[list].1[0]),
        _ => transfer.certificates.nodes[0].tls_pin = Hash([0; 32]),
    }
    let seen = world.seen[who].clone();
    let (mut header, _) = world.compose(who, &seen, &To::Open, &Wish::Merge);
    header.kind = Kind::SeatTransfer.number();
    world.publish(who, header, transfer.to_bytes());
}

/// Introduces the writers of another partner as its own.
fn foreign_list(world: &mut World, who: usize, at: usize) {
    let seen = world.seen[who].clone();
    let other = node((who + 1 + at % (PARTNERS - 1)) % PARTNERS, 0);
    let body = Wish::Introduce(at).body(world.channel, other, 0);
    let (mut header, _) = world.compose(who, &seen, &To::Open, &Wish::Merge);
    header.kind = Kind::WriterIntroduce.number();
    world.publish(who, header, body);
}
