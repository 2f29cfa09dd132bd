//! A channel's control lane as several nodes write it: each holds its own copy of the channel and
//! knows what it was told. Nothing but the real merge is in it.

use std::collections::{BTreeMap, BTreeSet};

use comity_crypto as crypto;

use super::kit::{Dice, charter, cited, name, partner};
use crate::authority::{self, Act, Member, Proposed, Quorum, Status};
use crate::body::{
    CertificatesBody, EmptyBody, EndorseBody, GrantBody, InviteBody, RemoveBody, Role,
    SealingKeyBody, SeatTransferBody, WriterBody,
};
use crate::channel::Channel;
use crate::codec::Canonical;
use crate::compose::{Author, ComposeError};
use crate::event::{Event, Kind};
use crate::graph::Pos;
use crate::id::{ChannelId, EventId, Hash, PartnerId, WriterId};
use crate::identity::{Identity, NodeCertificate};
use crate::time::WallTime;

/// A node: the number of its partner, and its own among the partner's.
pub type Site = (usize, usize);

pub struct Story {
    pub id: ChannelId,
    /// Accepted by whoever wrote them, in the order of writing.
    pub events: Vec<Event>,
    /// The last event that everybody heard when the story began.
    pub start: EventId,
    copies: BTreeMap<Site, Channel>,
    now_ms: u64,
}

impl Story {
    /// A channel of these members, whose charter wants `quorum`; the first is an owner and founded
    /// it. Everybody has heard everything.
    pub fn with(quorum: u8, roles: &[Role]) -> Story {
        let mut charter = charter(1);
        charter.quorum = quorum;
        let body = charter.to_bytes();
        let id = crate::acceptance::channel_id(&body);
        let mut story = Story {
            id,
            events: Vec::new(),
            start: EventId([0; 32]),
            copies: BTreeMap::new(),
            now_ms: 1_000_000,
        };
        story.write((0, 0), Kind::Charter, body);
        for (whom, role) in roles.iter().enumerate().skip(1) {
            if *role == Role::Owner {
                let owners: Vec<Site> = (0..whom)
                    .filter(|who| roles[*who] == Role::Owner)
                    .map(|who| (who, 0))
                    .collect();
                let proposal = story.proposal_invite(whom, *role);
                story.endorse_all(&owners, proposal);
            }
            story.tell_all();
            story.invite((0, 0), whom, *role);
            story.tell_all();
            story.accept((whom, 0));
        }
        story.tell_all();
        story.start = story.events[story.events.len() - 1].id;
        story
    }

    // Writing.

    pub fn try_write(
        &mut self,
        site: Site,
        kind: Kind,
        body: Vec<u8>,
    ) -> Result<EventId, ComposeError> {
        let now = WallTime(self.now_ms);
        let key = signing_key(site);
        let author = Author {
            partner: partner(site.0).id,
            writer: writer(site),
            key: &key,
        };
        let id = self.id;
        let copy = self.copies.entry(site).or_insert_with(|| Channel::new(id));
        let accepted = copy.write_control(&author, kind, body, now)?;
        let written = accepted.event.id;
        self.events.push(accepted.event);
        self.now_ms += 1000;
        Ok(written)
    }

    pub fn write(&mut self, site: Site, kind: Kind, body: Vec<u8>) -> EventId {
        self.try_write(site, kind, body)
            .unwrap_or_else(|error| panic!("{site:?} writes {kind:?}: {error}"))
    }

    pub fn invite(&mut self, by: Site, whom: usize, role: Role) -> EventId {
        self.invite_as(by, identity(whom, 1, &[0]), role)
    }

    /// Lists every endorsement that counts for it.
    pub fn invite_as(&mut self, by: Site, identity: Identity, role: Role) -> EventId {
        let mut body = InviteBody {
            partner: identity,
            role,
            endorsements: Vec::new(),
        };
        body.endorsements = self.counted(by, &Act::invite(&self.id, &body));
        self.write(by, Kind::Invite, body.to_bytes())
    }

    pub fn accept(&mut self, site: Site) -> EventId {
        let sealing_key = partner(site.0).sealing_key(0);
        self.write(
            site,
            Kind::Accept,
            SealingKeyBody { sealing_key }.to_bytes(),
        )
    }

    pub fn sealing_key(&mut self, site: Site, generation: usize) -> EventId {
        let sealing_key = partner(site.0).sealing_key(generation);
        let body = SealingKeyBody { sealing_key }.to_bytes();
        self.write(site, Kind::SealingKey, body)
    }

    /// Lists every endorsement that counts for it.
    pub fn grant(&mut self, by: Site, whom: usize, role: Role) -> EventId {
        let mut body = GrantBody {
            partner: partner(whom).id,
            role,
            endorsements: Vec::new(),
        };
        body.endorsements = self.counted(by, &Act::grant(&self.id, &body));
        self.write(by, Kind::Grant, body.to_bytes())
    }

    /// Lists every endorsement that counts for it.
    pub fn remove(&mut self, by: Site, whom: usize) -> EventId {
        let listed = self.counted(by, &self.removal(whom));
        self.remove_listing(by, whom, &listed)
    }

    pub fn remove_listing(&mut self, by: Site, whom: usize, listed: &[EventId]) -> EventId {
        let listed: BTreeSet<EventId> = listed.iter().copied().collect();
        let body = RemoveBody {
            partner: partner(whom).id,
            endorsements: listed.into_iter().collect(),
        };
        self.write(by, Kind::Remove, body.to_bytes())
    }

    pub fn leave(&mut self, site: Site) -> EventId {
        self.write(site, Kind::Leave, EmptyBody {}.to_bytes())
    }

    pub fn endorse(&mut self, site: Site, proposal: Hash) -> EventId {
        self.write(site, Kind::Endorse, EndorseBody { proposal }.to_bytes())
    }

    /// Each of these endorses, and everybody hears it.
    pub fn endorse_all(&mut self, sites: &[Site], proposal: Hash) -> Vec<EventId> {
        let endorse = |site: &Site| self.endorse(*site, proposal);
        let events = sites.iter().map(endorse).collect();
        self.tell_all();
        events
    }

    pub fn seat_move(&mut self, site: Site, to: usize) -> EventId {
        let writer = writer((site.0, to));
        self.write(site, Kind::SeatMove, WriterBody { writer }.to_bytes())
    }

    pub fn retire(&mut self, site: Site, node: usize) -> EventId {
        let writer = writer((site.0, node));
        self.write(site, Kind::WriterRetire, WriterBody { writer }.to_bytes())
    }

    /// Publishes the list of this number, with these nodes.
    pub fn introduce(&mut self, site: Site, number: u64, nodes: &[usize]) -> EventId {
        let identity = identity(site.0, number, nodes);
        let body = CertificatesBody { identity }.to_bytes();
        self.write(site, Kind::WriterIntroduce, body)
    }

    /// Carries what the root of `whom` signed: the first of `nodes` takes the seat, and what it
    /// did in this story is not trusted.
    pub fn transfer(&mut self, by: Site, whom: usize, number: u64, nodes: &[usize]) -> EventId {
        let body = self.signed_transfer(whom, number, nodes, self.start);
        let body = body.to_bytes();
        self.write(by, Kind::SeatTransfer, body)
    }

    pub fn signed_transfer(
        &self,
        whom: usize,
        number: u64,
        nodes: &[usize],
        after: EventId,
    ) -> SeatTransferBody {
        let certificates = identity(whom, number, nodes).certificates;
        let seat = writer((whom, nodes[0]));
        let root_signature = certificates.sign_seat_transfer(&root(whom), self.id, seat, after);
        SeatTransferBody {
            certificates,
            seat,
            after,
            root_signature,
        }
    }

    pub fn merge(&mut self, site: Site) -> EventId {
        self.write(site, Kind::Merge, EmptyBody {}.to_bytes())
    }

    pub fn proposal_invite(&self, whom: usize, role: Role) -> Hash {
        let subject = identity(whom, 1, &[0]).to_bytes();
        authority::proposal(&self.id, Kind::Invite, &subject, Some(role))
    }

    pub fn proposal_grant(&self, whom: usize, role: Role) -> Hash {
        authority::proposal(&self.id, Kind::Grant, &partner(whom).id.0, Some(role))
    }

    pub fn proposal_remove(&self, whom: usize) -> Hash {
        authority::proposal(&self.id, Kind::Remove, &partner(whom).id.0, None)
    }

    pub fn removal(&self, whom: usize) -> Act {
        Act::Remove {
            partner: partner(whom).id,
            proposed: Proposed {
                proposal: self.proposal_remove(whom),
                endorsements: Vec::new(),
            },
        }
    }

    /// How far `act` has come at a node.
    pub fn quorum(&self, site: Site, act: &Act) -> Quorum {
        self.copies[&site]
            .quorum_for(&partner(site.0).id, act)
            .expect("an act that a quorum may carry")
    }

    fn counted(&self, site: Site, act: &Act) -> Vec<EventId> {
        let quorum = self.quorum(site, act);
        let listed: BTreeSet<EventId> = quorum.endorsements.iter().map(|(_, id)| *id).collect();
        listed.into_iter().collect()
    }

    // Hearing.

    /// A node hears an event and all of its past.
    pub fn hear(&mut self, site: Site, id: EventId) {
        let mut wanted = BTreeSet::from([id]);
        for event in self.events.iter().rev() {
            if wanted.contains(&event.id) {
                wanted.extend(cited(&event.header));
            }
        }
        let channel = self.id;
        let copy = self
            .copies
            .entry(site)
            .or_insert_with(|| Channel::new(channel));
        for event in self
            .events
            .iter()
            .filter(|event| wanted.contains(&event.id))
        {
            offer(copy, event);
        }
    }

    /// Every node that ever wrote, and the first of every partner, hears everything.
    pub fn tell_all(&mut self) {
        let mut sites: BTreeSet<Site> = self.copies.keys().copied().collect();
        sites.extend((0..super::kit::PARTNERS).map(|whom| (whom, 0)));
        for site in sites {
            self.tell(site);
        }
    }

    /// A node hears everything.
    pub fn tell(&mut self, site: Site) {
        let id = self.id;
        let copy = self.copies.entry(site).or_insert_with(|| Channel::new(id));
        self.events.iter().for_each(|event| offer(copy, event));
    }

    /// The channel of somebody who heard everything, whatever the order.
    pub fn told(&self) -> Told {
        let told = Told::of(self.id, &self.events);
        let lane = told.channel.control_lane;
        for seed in 1..6 {
            let mut events = self.events.clone();
            Dice(seed).shuffle(&mut events);
            let other = Told::of(self.id, &events);
            assert_eq!(
                other.channel.state_digest(lane),
                told.channel.state_digest(lane),
                "another state in the order of seed {seed}"
            );
        }
        told
    }
}

/// A channel that holds all events of a story.
pub struct Told {
    pub channel: Channel,
    positions: BTreeMap<EventId, Pos>,
}

impl Told {
    fn of(id: ChannelId, events: &[Event]) -> Told {
        let mut channel = Channel::new(id);
        let mut positions = BTreeMap::new();
        for event in events {
            let outcome = channel.offer(event.clone(), Some(PartnerId([0; 32])));
            assert!(outcome.invalid.is_empty(), "{:?}", outcome.invalid);
            folded_anew(&channel);
            let accepted = outcome.accepted.iter();
            positions.extend(accepted.map(|one| (one.event.id, one.pos)));
        }
        assert_eq!(positions.len(), events.len(), "all are accepted");
        Told { channel, positions }
    }

    pub fn is_effective(&self, id: EventId) -> bool {
        let pos = self.positions[&id];
        self.channel.present().effective.contains(&pos)
    }

    pub fn pos(&self, id: EventId) -> Pos {
        self.positions[&id]
    }

    pub fn member(&self, whom: usize) -> Option<&Member> {
        self.channel.present().members.get(&partner(whom).id)
    }

    pub fn status(&self, whom: usize) -> Option<Status> {
        self.member(whom).map(|member| member.status)
    }

    pub fn role(&self, whom: usize) -> Option<Role> {
        self.member(whom).map(|member| member.role)
    }

    /// The numbers of a partner's nodes that write for it.
    pub fn nodes(&self, whom: usize) -> Vec<usize> {
        let member = self.member(whom).expect("a partner with a standing");
        let nodes: Vec<usize> = (0..NODES)
            .filter(|node| member.writers.contains(&writer((whom, *node))))
            .collect();
        assert_eq!(nodes.len(), member.writers.len());
        nodes
    }

    /// The number of the node that has a partner's seat.
    pub fn seat(&self, whom: usize) -> usize {
        let member = self.member(whom).expect("a partner with a standing");
        let seat = |node: &usize| writer((whom, *node)) == member.seat;
        (0..NODES).find(seat).expect("a node of the partner")
    }
}

/// The present view, however it came about, is that of a fold from the beginning.
fn folded_anew(channel: &Channel) {
    let (_, layers) = channel.layers(channel.present_frontier());
    let view = authority::fold(
        channel.graph(),
        &channel.controls,
        &layers,
        channel.present_frontier(),
    );
    assert_eq!(format!("{view:?}"), format!("{:?}", channel.present()));
}

fn offer(channel: &mut Channel, event: &Event) {
    let key = channel.verifying_key(event).expect("a writer known by now");
    event.verify(&key).expect("a signature that holds");
    let outcome = channel.offer(event.clone(), Some(PartnerId([0; 32])));
    assert!(outcome.invalid.is_empty(), "{:?}", outcome.invalid);
}

/// How many nodes a partner may have in these stories.
const NODES: usize = 8;

/// The list of this number with these of a partner's nodes, signed by its root.
pub fn identity(whom: usize, number: u64, nodes: &[usize]) -> Identity {
    let held = &partner(whom).identity;
    if number == 1 && nodes == [0] {
        return held.clone();
    }
    let certificate = |node: &usize| {
        if *node == 0 {
            return held.certificates.nodes[0].clone();
        }
        let pin = Hash(seed(whom, &format!("tls {node}")));
        let name = name(&format!("node-{node}"));
        NodeCertificate::new(
            partner(whom).id,
            &signing_key((whom, *node)),
            pin,
            name,
            0..u64::MAX,
        )
    };
    let nodes = nodes.iter().map(certificate).collect();
    let next_root = held.next_root;
    Identity::sign(held.name.clone(), &root(whom), next_root, number, nodes)
}

pub fn writer(site: Site) -> WriterId {
    let key = signing_key(site).public().to_bytes();
    crate::identity::writer_id(&crate::id::KeyBytes(key))
}

fn signing_key((whom, node): Site) -> crypto::SigningKey {
    let purpose = match node {
        0 => "node".to_string(),
        node => format!("node {node}"),
    };
    crypto::SigningKey::from_seed(&seed(whom, &purpose))
}

pub fn root(whom: usize) -> crypto::SigningKey {
    crypto::SigningKey::from_seed(&seed(whom, "root"))
}

/// As the kit draws its partners' keys.
fn seed(whom: usize, purpose: &str) -> [u8; 32] {
    crypto::hash("comity/test/seed", &[&[whom as u8], purpose.as_bytes()])
}
