//! The writers of this node, and the seat that its partner has in channels.
//!
//! A spent writer is never used again. Where it had the partner's seat, only the root can give the
//! seat to another; the root key is never in a process that serves.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_protocol::authority::{Member, Status};
use comity_protocol::body::SeatTransferBody;
use comity_protocol::channel::Channel;
use comity_protocol::codec::Canonical as _;
use comity_protocol::id::{ChannelId, EventId, PartnerId, Signature, WriterId};
use comity_protocol::identity::{CertificateList, Identity};
use comity_protocol::replica::{Command, CommandError, Replica};
use comity_protocol::rows::spent_row;
use serde::Serialize;

use super::channels::carry_out;
use super::{failure, names, peering};
use crate::api::{ApiError, LostSeatInfo, WriterActed, WriterInfo};
use crate::config::Config;
use crate::keystore;
use crate::node::{Mode, Node};
use crate::restored;
use crate::root::RootKeys;

/// The fewest digits of an id that name a writer.
const PREFIX_DIGITS: usize = 6;

/// What `comity writer add` made.
#[derive(Debug, Serialize)]
pub struct Added {
    pub writer: String,
    /// The number of the list that names it.
    pub number: u64,
    /// Where it was introduced, and where not.
    pub channels: Vec<WriterActed>,
}

/// A channel in which this partner is an active member.
struct Place {
    id: ChannelId,
    name: String,
    seat: WriterId,
    writers: BTreeSet<WriterId>,
}

impl Place {
    fn of(channel: &Channel, own: &PartnerId) -> Option<Place> {
        let member: &Member = channel.present().members.get(own)?;
        (member.status == Status::Active).then(|| Place {
            id: channel.id,
            name: names::name_of(channel),
            seat: member.seat,
            writers: member.writers.clone(),
        })
    }

    fn acted(&self, writer: &WriterId, done: Result<&str, String>) -> WriterActed {
        let (done, why) = match done {
            Ok(done) => (done, None),
            Err(why) => ("refused", Some(why)),
        };
        WriterActed {
            channel: self.name.clone(),
            channel_id: self.id.to_hex(),
            writer: writer.to_hex(),
            done: done.into(),
            why,
        }
    }
}

/// This node's writers, in the order in which they come into use.
pub async fn list(node: &Node) -> Result<Vec<WriterInfo>, ApiError> {
    let places = places(node).await?;
    let spent = spent(node)?;
    let in_use = node.writers.iter().find(|id| !spent.contains(*id));
    let names = |wanted: &dyn Fn(&&Place) -> bool| -> Vec<String> {
        let found = places.iter().filter(wanted);
        found.map(|place| place.name.clone()).collect()
    };
    let describe = |id: &WriterId| WriterInfo {
        id: id.to_hex(),
        state: match id {
            id if spent.contains(id) => "spent",
            id if Some(id) == in_use => "in_use",
            _ => "spare",
        }
        .into(),
        seat_in: names(&|place| place.seat == *id),
        known_in: names(&|place| place.writers.contains(id)),
        unknown_in: names(&|place| !place.writers.contains(id)),
    };
    Ok(node.writers.iter().map(describe).collect())
}

/// Takes a writer out of every channel, and never uses it again. Where it has the seat it stays,
/// and it is used on until the seat has moved.
pub async fn retire(node: &Node, writer: &str) -> Result<Vec<WriterActed>, ApiError> {
    let writer = named(node, writer)?;
    let spent = spent(node)?;
    let left = node.writers.iter().filter(|id| !spent.contains(*id));
    if left.filter(|id| **id != writer).count() == 0 {
        return Err(failure::operator(
            "last_writer",
            "this node has no other writer that it may use",
            "make another first: comity writer add",
        ));
    }
    let mut acted = Vec::new();
    for place in places(node).await? {
        if !place.writers.contains(&writer) {
            continue;
        }
        if place.seat == writer {
            let why = "it is the partner's seat there: 'comity writer move-seat' first";
            acted.push(place.acted(&writer, Err(why.into())));
            continue;
        }
        let channel = place.id;
        let order = Command::RetireWriter { channel, writer };
        acted.push(act(node, &place, &writer, ("writer_retired", "retired"), order).await?);
    }
    if acted.iter().all(|acted| acted.why.is_none()) {
        peering::record(node, "writer_spent", &format!("writer {writer} is retired"))?;
        node.store
            .write(&[spent_row(&writer)])
            .map_err(failure::store)?;
    }
    Ok(acted)
}

/// Gives the partner's seat to another writer of this node, in one channel or in all.
pub async fn move_seat(
    node: &Node,
    writer: &str,
    channel: Option<&str>,
) -> Result<Vec<WriterActed>, ApiError> {
    let writer = named(node, writer)?;
    if spent(node)?.contains(&writer) {
        return Err(failure::operator(
            "spent_writer",
            format!("writer {writer} is never used again"),
            "name another: comity writer list",
        ));
    }
    let only = only(node, channel).await?;
    let mut acted = Vec::new();
    for place in places(node).await? {
        if only.is_some_and(|only| only != place.id) || place.seat == writer {
            continue;
        }
        if !place.writers.contains(&writer) {
            let why = "the channel does not know that writer: 'comity writer add' introduces it";
            acted.push(place.acted(&writer, Err(why.into())));
            continue;
        }
        let channel = place.id;
        let order = Command::MoveSeat { channel, writer };
        acted.push(act(node, &place, &writer, ("seat_moved", "moved"), order).await?);
    }
    Ok(acted)
}

/// The seats that the root has to transfer, each with what it is to sign.
pub async fn lost_seats(node: &Node, channel: Option<&str>) -> Result<Vec<LostSeatInfo>, ApiError> {
    let only = only(node, channel).await?;
    let own = node.partner;
    let spent = spent(node)?;
    let mut usable = node.writers.clone();
    usable.retain(|writer| !spent.contains(writer));
    let looked = node.handle.look(move |replica| {
        let own_carried = replica.lost_seats().into_iter();
        let own_carried = own_carried.map(|lost| (lost.channel, lost.writer, lost.after, false));
        let others = others_to_carry(replica, &own, &usable);
        let lost: Vec<Lost> = own_carried
            .chain(others)
            .filter(|(channel, ..)| only.is_none_or(|only| only == *channel))
            .map(|(channel, writer, after, by_another)| Lost {
                name: replica.channels().get(&channel).map(names::name_of),
                channel,
                writer,
                after,
                by_another,
            })
            .collect();
        (lost, highest_number(replica, &own))
    });
    let (lost, above) = looked.await.map_err(failure::stopped)?;
    let list = list_above(&node.identity.certificates, &spent, above);
    Ok(lost
        .into_iter()
        .map(|it| it.describe(&own, &list))
        .collect())
}

/// A seat of this partner that none of this node's writers can act from.
struct Lost {
    channel: ChannelId,
    name: Option<String>,
    writer: WriterId,
    after: EventId,
    by_another: bool,
}

impl Lost {
    fn describe(self, own: &PartnerId, list: &CertificateList) -> LostSeatInfo {
        let transfer = SeatTransferBody {
            certificates: list.clone(),
            seat: self.writer,
            after: self.after,
            root_signature: Signature([0; 64]),
        };
        LostSeatInfo {
            channel: self.name.unwrap_or_default(),
            channel_id: self.channel.to_hex(),
            partner_id: own.to_hex(),
            writer: self.writer.to_hex(),
            transfer: STANDARD.encode(transfer.to_bytes()),
            by_another: self.by_another,
        }
    }
}

/// Seats that the first writer that may be used is to take in channels that know none of those:
/// this node writes nothing there, so another member has to carry the transfer.
fn others_to_carry(
    replica: &Replica,
    own: &PartnerId,
    usable: &[WriterId],
) -> Vec<(ChannelId, WriterId, EventId, bool)> {
    let channels = replica.behind_self().filter_map(|id| {
        let channel = replica.channels().get(id)?;
        let place = Place::of(channel, own)?;
        let known = usable.iter().any(|writer| place.writers.contains(writer));
        let writer = usable.first().filter(|_| !known)?;
        Some((*id, *writer, channel.last_control_event()?, true))
    });
    channels.collect()
}

/// Carries a transfer that a partner's root has signed: of this partner, or of another member.
pub async fn transfer_seat(
    node: &Node,
    channel: &str,
    transfer: &str,
) -> Result<WriterActed, ApiError> {
    let id = names::channel(node, channel).await?;
    let places = places(node).await?;
    let Some(place) = places.into_iter().find(|place| place.id == id) else {
        return Err(failure::command(CommandError::NotMember("not active")));
    };
    let transfer = read_transfer(transfer)?;
    demand_signed(node, id, &transfer).await?;
    let writer = transfer.seat;
    let order = Command::TransferSeat {
        channel: id,
        transfer: Box::new(transfer),
    };
    let done = ("seat_transferred", "transferred");
    act(node, &place, &writer, done, order).await
}

/// Makes one more spare writer of a node that does not run, and introduces it wherever the
/// partner's seat can.
pub async fn add(dir: &Path, root_key: &Path) -> Result<Added, ApiError> {
    let config = Config::load(dir)?;
    let (node, running) = Node::open(dir, config.clone(), Mode::Offline).await?;
    let renewed = renew(&node, root_key).await;
    node.stop().await;
    super::end(node, running).await?;
    let identity = renewed?;

    let (node, running) = Node::open(dir, config, Mode::Offline).await?;
    let introduced = introduce(&node, &identity).await;
    node.stop().await;
    super::end(node, running).await?;
    let nodes = &identity.certificates.nodes;
    Ok(Added {
        writer: nodes
            .last()
            .map_or_else(String::new, |node| node.writer().to_hex()),
        number: identity.certificates.number,
        channels: introduced?,
    })
}

async fn renew(node: &Node, root_key: &Path) -> Result<Identity, ApiError> {
    let own = node.partner;
    let root = RootKeys::read(root_key, own).map_err(failure::root)?;
    let looked = node
        .handle
        .look(move |replica| highest_number(replica, &own));
    let above = looked.await.map_err(failure::stopped)?;
    let spent = spent(node)?;
    let text = "the root key signs a list with one more spare writer";
    peering::record(node, "writer_added", text)?;
    keystore::add_spare(&node.store, &root, &spent, above, node.now_ms()).map_err(failure::keys)
}

async fn introduce(node: &Node, identity: &Identity) -> Result<Vec<WriterActed>, ApiError> {
    let last = identity.certificates.nodes.last();
    let Some(writer) = last.map(|node| node.writer()) else {
        return Ok(Vec::new());
    };
    let mut acted = Vec::new();
    for place in places(node).await? {
        let order = Command::IntroduceWriters {
            channel: place.id,
            identity: Box::new(identity.clone()),
        };
        let done = ("writer_introduced", "introduced");
        acted.push(act(node, &place, &writer, done, order).await?);
    }
    Ok(acted)
}

/// Gives an order on a writer in one channel, on record; a refusal is part of the answer.
async fn act(
    node: &Node,
    place: &Place,
    writer: &WriterId,
    (action, done): (&str, &'static str),
    order: Command,
) -> Result<WriterActed, ApiError> {
    let decision = format!("({}) writer {writer}", place.name);
    let carried = carry_out(node, action, place.id, &decision, order).await?;
    Ok(place.acted(writer, carried.map(|()| done).map_err(why)))
}

/// A refusal, with what to do about it.
fn why(error: CommandError) -> String {
    let error = failure::command(error);
    match error.advice.is_empty() {
        true => error.what,
        false => format!("{}; {}", error.what, error.advice),
    }
}

async fn places(node: &Node) -> Result<Vec<Place>, ApiError> {
    let own = node.partner;
    let looked = node.handle.look(move |replica| {
        let channels = replica.channels().values();
        let mut places: Vec<Place> = channels.filter_map(|it| Place::of(it, &own)).collect();
        places.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        places
    });
    looked.await.map_err(failure::stopped)
}

async fn only(node: &Node, channel: Option<&str>) -> Result<Option<ChannelId>, ApiError> {
    match channel {
        Some(name) => names::channel(node, name).await.map(Some),
        None => Ok(None),
    }
}

/// The writers of this node that it never uses again. The machine's own are on disk too.
pub fn spent(node: &Node) -> Result<BTreeSet<WriterId>, ApiError> {
    restored::spent_in(&node.store).map_err(failure::store)
}

/// A writer of this node by its id or the start of it.
fn named(node: &Node, prefix: &str) -> Result<WriterId, ApiError> {
    let begins = |id: &&WriterId| prefix.len() >= PREFIX_DIGITS && id.to_hex().starts_with(prefix);
    let found: Vec<&WriterId> = node.writers.iter().filter(begins).collect();
    match found[..] {
        [one] => Ok(*one),
        _ => Err(failure::operator(
            "no_such_writer",
            format!("'{prefix}' names no writer of this node"),
            "give the id, or at least its first 6 digits: comity writer list",
        )),
    }
}

/// The highest number of a list of this partner's that any channel knows.
fn highest_number(replica: &Replica, own: &PartnerId) -> u64 {
    let channels = replica.channels().values();
    let numbers = channels.filter_map(|channel| Some(channel.present().members.get(own)?.number));
    numbers.max().unwrap_or(0)
}

/// The partner's list without spent writers, with a number above `above`. It is the one that is
/// there where that does: no two lists have one number.
fn list_above(own: &CertificateList, spent: &BTreeSet<WriterId>, above: u64) -> CertificateList {
    let mut list = own.clone();
    list.nodes.retain(|node| !spent.contains(&node.writer()));
    if list.nodes.len() != own.nodes.len() || own.number <= above {
        list.number = above.max(own.number).saturating_add(1);
    }
    list
}

fn read_transfer(text: &str) -> Result<SeatTransferBody, ApiError> {
    let bytes = STANDARD.decode(text).ok();
    let body = bytes.and_then(|bytes| SeatTransferBody::from_bytes(&bytes).ok());
    body.ok_or_else(|| bad_transfer("it is not what 'comity writer transfer-seat' makes"))
}

async fn demand_signed(
    node: &Node,
    id: ChannelId,
    transfer: &SeatTransferBody,
) -> Result<(), ApiError> {
    let partner = transfer.certificates.partner;
    let looked = node.handle.look(move |replica| {
        let channel = replica.channels().get(&id)?;
        Some(channel.identity(&partner)?.root_key)
    });
    let root = looked.await.map_err(failure::stopped)?;
    let root = root.ok_or_else(|| bad_transfer("its partner has no place in the channel"))?;
    let (seat, after) = (transfer.seat, transfer.after);
    let list = &transfer.certificates;
    list.verify_seat_transfer(&root, id, seat, after, &transfer.root_signature)
        .map(drop)
        .map_err(|error| bad_transfer(&error.to_string()))
}

fn bad_transfer(why: &str) -> ApiError {
    failure::operator(
        "bad_transfer",
        format!("not a seat transfer for that channel: {why}"),
        "sign it anew: comity writer transfer-seat",
    )
}

#[cfg(test)]
mod tests {
    use comity_crypto::SigningKey;
    use comity_protocol::id::Hash;
    use comity_protocol::identity::{Name, NodeCertificate};

    use super::*;

    fn list(number: u64) -> CertificateList {
        let root = RootKeys::from_seeds(&[1; 32], &[2; 32]);
        let name = Name::try_from("alpha".to_string()).unwrap();
        let certify = |seed: u8| {
            let key = SigningKey::from_seed(&[seed; 32]);
            NodeCertificate::new(root.partner(), &key, Hash([0; 32]), name.clone(), 0..1)
        };
        let nodes = [3, 4, 5].map(certify).to_vec();
        root.sign_list(name.clone(), number, nodes).certificates
    }

    #[test]
    fn a_list_that_channels_do_not_know_yet_is_signed_as_it_is() {
        let own = list(5);
        assert_eq!(list_above(&own, &BTreeSet::new(), 4), own);
    }

    #[test]
    fn no_two_lists_of_a_partner_have_one_number() {
        let own = list(5);
        let spent = BTreeSet::from([own.nodes[0].writer()]);
        let fewer = list_above(&own, &spent, 4);
        assert_eq!((fewer.number, fewer.nodes.len()), (6, 2));
        assert_eq!(list_above(&own, &BTreeSet::new(), 5).number, 6);
        assert_eq!(list_above(&own, &spent, 9).number, 10);
    }
}
