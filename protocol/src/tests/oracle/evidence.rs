//! Evidence of forks: what it proves (section 10), what it voids (section 11) and what it
//! marks (section 12).

use std::collections::BTreeMap;

use comity_crypto as crypto;

use super::{Act, Ids, Oracle, Place};
use crate::body::{CertificatesBody, Charter, InviteBody, SeatTransferBody};
use crate::codec::Canonical;
use crate::event::{Event, Header, Kind};
use crate::evidence::{EvidenceBody, SignedHeader};
use crate::id::{EventId, LaneId, WriterId};
use crate::identity::{CertificateList, writer_id};

/// What evidence of one lane proves of a writer: the earliest position, and all that prove it.
struct Proof {
    lane: LaneId,
    writer: WriterId,
    seq: u64,
    evidence: Ids,
}

impl Oracle {
    /// The writer and the position that an event proves to be forked; nothing where it is invalid.
    pub(super) fn proved_by(&self, event: &Event, place: &Place) -> Option<(WriterId, u64)> {
        let body = EvidenceBody::from_bytes(&event.body).ok()?;
        let (first, second) = (read(&body.first)?, read(&body.second)?);
        let at = |header: &Header| (header.channel, header.lane, header.writer, header.seq);
        let here = (self.channel, event.header.lane, first.writer, first.seq);
        let ordered = digest(&body.first) < digest(&body.second);
        if at(&first) != here || at(&second) != here || !ordered {
            return None;
        }
        let key = self.key_of(&first.writer, &place.frontier)?;
        let signed = |one: &SignedHeader| {
            let tag = "comity/v1/event-signature";
            key.verify(tag, &digest(one), &one.signature.0).is_ok()
        };
        (signed(&body.first) && signed(&body.second)).then_some((first.writer, first.seq))
    }

    /// The key of a writer that a certificate list among these control events shows.
    fn key_of(&self, writer: &WriterId, among: &Ids) -> Option<crypto::PublicKey> {
        let lists = among.iter().filter_map(|id| list(self.event(id)));
        let mut nodes = lists.flat_map(|list| list.nodes);
        let node = nodes.find(|node| writer_id(&node.signing_key) == *writer)?;
        crypto::PublicKey::register(&node.signing_key.0).ok()
    }

    /// From which position on evidence among `held` voids a writer's acts.
    pub(super) fn forks(&self, held: &Ids) -> BTreeMap<WriterId, u64> {
        let mut forks = BTreeMap::new();
        for id in held {
            if let Act::Evidence(writer, seq) = self.act(id) {
                let earliest = forks.get(writer).copied().unwrap_or(u64::MAX);
                forks.insert(*writer, earliest.min(*seq));
            }
        }
        forks
    }

    pub(super) fn is_void(&self, id: &EventId, forks: &BTreeMap<WriterId, u64>) -> bool {
        let header = &self.event(id).header;
        let stays = matches!(header.kind(), Kind::Charter | Kind::Evidence);
        let fork = forks.get(&header.writer);
        !stays && fork.is_some_and(|fork| header.seq >= *fork)
    }

    /// The writer and the position that an accepted event proves to be forked.
    pub(super) fn proof_in(&self, id: &EventId) -> Option<(WriterId, u64)> {
        let event = self.event(id);
        if event.header.kind() != Kind::Evidence {
            return None;
        }
        let body = EvidenceBody::from_bytes(&event.body).expect("accepted");
        let header = read(&body.first).expect("accepted");
        Some((header.writer, header.seq))
    }

    /// The messages that bear a mark.
    pub fn forked(&self) -> Ids {
        let proofs = self.proofs();
        let marked = |id: &EventId| proofs.iter().any(|proof| self.marks(proof, id));
        self.messages().into_iter().filter(marked).collect()
    }

    fn proofs(&self) -> Vec<Proof> {
        let mut proofs: BTreeMap<(LaneId, WriterId), Proof> = BTreeMap::new();
        for id in self.accepted() {
            let event = self.event(id);
            if event.header.kind() != Kind::Evidence {
                continue;
            }
            let body = EvidenceBody::from_bytes(&event.body).expect("accepted");
            let header = read(&body.first).expect("accepted");
            let proof = proofs
                .entry((header.lane, header.writer))
                .or_insert_with(|| Proof {
                    lane: header.lane,
                    writer: header.writer,
                    seq: header.seq,
                    evidence: Ids::new(),
                });
            proof.seq = proof.seq.min(header.seq);
            proof.evidence.insert(*id);
        }
        proofs.into_values().collect()
    }

    fn marks(&self, proof: &Proof, id: &EventId) -> bool {
        let header = &self.event(id).header;
        if header.writer != proof.writer {
            return false;
        }
        if header.lane == proof.lane {
            return header.seq >= proof.seq;
        }
        let author = self.author_of_log(id);
        let seen_in_time = |other: &EventId| {
            self.event(other).header.lane == header.lane
                && self.author_of_log(other) != author
                && self.past(other).contains(id)
                && !self.shows(other, proof)
        };
        self.bears_on(proof.lane, id) && !self.accepted().any(seen_in_time)
    }

    /// Whether all who read the message's lane, now and later, read this one.
    fn bears_on(&self, lane: LaneId, message: &EventId) -> bool {
        if lane == self.control_lane() {
            return true;
        }
        let of_lane = |id: &&EventId| self.event(id).header.lane == lane;
        let wide = self.lane_of(self.accepted().find(of_lane).expect("evidence at least"));
        let own = self.lane_of(message);
        match (self.is_history_open(), wide.is_open, own.is_open) {
            (true, true, _) => true,
            (true, false, true) => false,
            _ => own.audience.is_subset(&wide.audience),
        }
    }

    /// Whether the past of an event shows a fork: its evidence, or an event from there on.
    fn shows(&self, id: &EventId, proof: &Proof) -> bool {
        self.past(id).iter().any(|earlier| {
            let header = &self.event(earlier).header;
            let at = (header.lane, header.writer) == (proof.lane, proof.writer);
            proof.evidence.contains(earlier) || at && header.seq >= proof.seq
        })
    }
}

fn read(signed: &SignedHeader) -> Option<Header> {
    Header::from_bytes(&signed.header).ok()
}

fn digest(signed: &SignedHeader) -> [u8; 32] {
    crypto::hash("comity/v1/event", &[&signed.header])
}

fn list(event: &Event) -> Option<CertificateList> {
    let body = &event.body;
    Some(match event.header.kind() {
        Kind::Charter => Charter::from_bytes(body).ok()?.creator.certificates,
        Kind::Invite => InviteBody::from_bytes(body).ok()?.partner.certificates,
        Kind::WriterIntroduce => {
            CertificatesBody::from_bytes(body)
                .ok()?
                .identity
                .certificates
        }
        Kind::SeatTransfer => SeatTransferBody::from_bytes(body).ok()?.certificates,
        _ => return None,
    })
}
