//! Pacts: what this partner agreed with others when they peered.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::codec::{Canonical, Malformed};
use comity_protocol::id::{Hash, PartnerId};
use comity_protocol::identity::Identity;
use comity_protocol::peering::{self, SignedPeeringFile};
use comity_protocol::rows::{Row, Table};
use serde::{Deserialize, Serialize};

use crate::store::{Store, StoreError};
use crate::transport::PeerEntry;

/// Pacts and open invitations that a node keeps: a partner deals with tens of others.
pub const PACTS_MAX: usize = 1024;

const PACT_KEY: u8 = b'p';
const INVITATION_KEY: u8 = b'i';

/// Where a pact stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
#[serde(try_from = "u8", into = "u8")]
pub enum PactState {
    /// Both files are known here; the words are not approved yet.
    Waiting = 1,
    Active = 2,
    Suspended = 3,
    Revoked = 4,
}

impl TryFrom<u8> for PactState {
    type Error = Malformed;

    fn try_from(number: u8) -> Result<Self, Malformed> {
        [
            PactState::Waiting,
            PactState::Active,
            PactState::Suspended,
            PactState::Revoked,
        ]
        .into_iter()
        .find(|state| *state as u8 == number)
        .ok_or(Malformed::Rule("not a pact's state"))
    }
}

impl From<PactState> for u8 {
    fn from(state: PactState) -> u8 {
        state as u8
    }
}

impl PactState {
    pub fn as_str(self) -> &'static str {
        match self {
            PactState::Waiting => "waiting",
            PactState::Active => "active",
            PactState::Suspended => "suspended",
            PactState::Revoked => "revoked",
        }
    }
}

/// A pact with one partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pact {
    pub state: PactState,
    pub identity: Identity,
    pub addresses: Vec<String>,
    /// Indices of the twelve words.
    pub words: Vec<u16>,
}

impl Canonical for Pact {
    const NAME: &'static str = "pact";
    const LIMIT: usize = 32 << 10;
}

/// An invitation that this node gave out and nobody has answered yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OpenInvitation {
    file: SignedPeeringFile,
    expires_at_ms: u64,
}

impl Canonical for OpenInvitation {
    const NAME: &'static str = "open invitation";
    const LIMIT: usize = 32 << 10;
}

/// Why a peering step is refused.
#[derive(Debug, thiserror::Error)]
pub enum PeeringError {
    #[error("not a peering file: {0}")]
    NotAFile(#[from] Malformed),
    #[error("this partner's own invitation")]
    Own,
    #[error("the invitation expired")]
    Expired,
    #[error("it answers an invitation that is not open here: never made, already used, or expired")]
    NoSuchInvitation,
    #[error("there is a pact with {name} already; it is {state}")]
    Exists { name: String, state: &'static str },
    #[error("another partner is known here by the name {0}")]
    NameTaken(String),
    #[error("no pact with {0}")]
    NoSuchPact(String),
    #[error("the pact with {name} is {state}")]
    WrongState { name: String, state: &'static str },
    #[error("the words are not the same")]
    WordsDiffer,
    #[error("too many pacts")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All pacts of this node; every change is on disk before it is in force.
pub struct Pacts {
    store: Store,
    own: PartnerId,
    pacts: BTreeMap<PartnerId, Pact>,
    invitations: BTreeMap<Hash, OpenInvitation>,
}

impl Pacts {
    pub fn load(store: Store, own: PartnerId) -> Result<Pacts, PeeringError> {
        let mut pacts = BTreeMap::new();
        let mut invitations = BTreeMap::new();
        store.scan::<PeeringError>(Table::Pacts, &[], &[], |key, value| {
            match key.first() {
                Some(&PACT_KEY) => {
                    let pact = Pact::from_bytes(value)?;
                    pacts.insert(pact.identity.partner(), pact);
                }
                _ => {
                    let invitation = OpenInvitation::from_bytes(value)?;
                    invitations.insert(invitation.file.hash(), invitation);
                }
            }
            Ok(true)
        })?;
        Ok(Pacts {
            store,
            own,
            pacts,
            invitations,
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = &Pact> {
        self.pacts.values()
    }

    pub fn by_name(&self, name: &str) -> Result<&Pact, PeeringError> {
        self.pacts
            .values()
            .find(|pact| pact.identity.name.as_str() == name)
            .ok_or_else(|| PeeringError::NoSuchPact(name.into()))
    }

    /// The name under which a partner is known here.
    pub fn name_of(&self, partner: &PartnerId) -> Option<&str> {
        self.pacts
            .get(partner)
            .map(|pact| pact.identity.name.as_str())
    }

    /// The peers that the transport may link with, each by the TLS keys of the list that was
    /// compared when peering. Writers that a channel introduces later let nobody connect; those of
    /// one node, its spares among them, share its one key.
    pub fn peers(&self) -> Vec<PeerEntry> {
        let active = self
            .pacts
            .values()
            .filter(|pact| pact.state == PactState::Active);
        active
            .map(|pact| PeerEntry {
                id: pact.identity.partner().0,
                name: pact.identity.name.as_str().into(),
                pins: pins(&pact.identity),
                addresses: pact.addresses.clone(),
            })
            .collect()
    }

    /// Remembers an invitation that is about to be handed out.
    pub fn invite(
        &mut self,
        file: SignedPeeringFile,
        expires_at_ms: u64,
        now_ms: u64,
    ) -> Result<(), PeeringError> {
        self.drop_expired(now_ms)?;
        if self.invitations.len() + self.pacts.len() >= PACTS_MAX {
            return Err(PeeringError::TooMany);
        }
        let hash = file.hash();
        let invitation = OpenInvitation {
            file,
            expires_at_ms,
        };
        self.store.write(&[Row::put(
            Table::Pacts,
            invitation_key(&hash),
            invitation.to_bytes(),
        )])?;
        self.invitations.insert(hash, invitation);
        Ok(())
    }

    fn drop_expired(&mut self, now_ms: u64) -> Result<(), PeeringError> {
        let expired: Vec<Hash> = self
            .invitations
            .iter()
            .filter(|(_, open)| open.expires_at_ms < now_ms)
            .map(|(hash, _)| *hash)
            .collect();
        let rows: Vec<Row> = expired
            .iter()
            .map(|hash| Row {
                table: Table::Pacts,
                key: invitation_key(hash),
                value: None,
            })
            .collect();
        if !rows.is_empty() {
            self.store.write(&rows)?;
        }
        self.invitations.retain(|hash, _| !expired.contains(hash));
        Ok(())
    }

    /// Takes another partner's invitation; `reply` is what this node answers.
    pub fn take_invitation(
        &mut self,
        invitation: &SignedPeeringFile,
        now_ms: u64,
        reply: impl FnOnce(Hash) -> SignedPeeringFile,
    ) -> Result<(SignedPeeringFile, Pact), PeeringError> {
        let file = invitation.open()?;
        if file.answers.is_some() {
            return Err(Malformed::Rule("a reply, not an invitation").into());
        }
        if file.expires_at_ms < now_ms {
            return Err(PeeringError::Expired);
        }
        self.demand_new(&file.identity)?;
        let reply = reply(invitation.hash());
        let words = peering::words(invitation, &reply).to_vec();
        let pact = Pact {
            state: PactState::Waiting,
            identity: file.identity,
            addresses: file.addresses,
            words,
        };
        self.keep(pact.clone(), Vec::new())?;
        Ok((reply, pact))
    }

    /// Takes the reply to an invitation of this node, which is used up by it.
    pub fn take_reply(
        &mut self,
        reply: &SignedPeeringFile,
        now_ms: u64,
    ) -> Result<Pact, PeeringError> {
        let file = reply.open()?;
        let answers = file.answers.ok_or(PeeringError::NoSuchInvitation)?;
        let open = self
            .invitations
            .get(&answers)
            .ok_or(PeeringError::NoSuchInvitation)?;
        if open.expires_at_ms < now_ms {
            return Err(PeeringError::Expired);
        }
        self.demand_new(&file.identity)?;
        let words = peering::words(&open.file, reply).to_vec();
        let pact = Pact {
            state: PactState::Waiting,
            identity: file.identity,
            addresses: file.addresses,
            words,
        };
        let used = Row {
            table: Table::Pacts,
            key: invitation_key(&answers),
            value: None,
        };
        self.keep(pact.clone(), vec![used])?;
        self.invitations.remove(&answers);
        Ok(pact)
    }

    /// A waiting or revoked pact may be made anew; an active or suspended one may not.
    fn demand_new(&self, identity: &Identity) -> Result<(), PeeringError> {
        let partner = identity.partner();
        if partner == self.own {
            return Err(PeeringError::Own);
        }
        let name = identity.name.as_str();
        let taken = self
            .pacts
            .iter()
            .any(|(id, pact)| *id != partner && pact.identity.name.as_str() == name);
        if taken {
            return Err(PeeringError::NameTaken(name.into()));
        }
        match self.pacts.get(&partner).map(|pact| pact.state) {
            None | Some(PactState::Waiting | PactState::Revoked) => Ok(()),
            Some(state) => Err(PeeringError::Exists {
                name: name.into(),
                state: state.as_str(),
            }),
        }
    }

    /// Whether a pact may be put in force, once the words were compared.
    pub fn may_approve(&self, name: &str, words: &[u16]) -> Result<(), PeeringError> {
        let pact = self.by_name(name)?;
        if pact.state != PactState::Waiting {
            return Err(wrong_state(pact));
        }
        if pact.words != words {
            return Err(PeeringError::WordsDiffer);
        }
        Ok(())
    }

    /// Whether a pact may be suspended, resumed or revoked.
    pub fn may_change(&self, name: &str, to: PactState) -> Result<(), PeeringError> {
        let pact = self.by_name(name)?;
        let allowed = matches!(
            (pact.state, to),
            (PactState::Active, PactState::Suspended)
                | (PactState::Suspended, PactState::Active)
                | (
                    PactState::Waiting | PactState::Active | PactState::Suspended,
                    PactState::Revoked
                )
        );
        if allowed {
            Ok(())
        } else {
            Err(wrong_state(pact))
        }
    }

    /// Sets a pact's state, which one of the above has allowed. A state that narrows is in force
    /// here even where it cannot be written.
    pub fn set(&mut self, name: &str, state: PactState) -> Result<(), PeeringError> {
        let pact = self.by_name(name)?.clone();
        if state != PactState::Active
            && let Some(held) = self.pacts.get_mut(&pact.identity.partner())
        {
            held.state = state;
        }
        self.keep(Pact { state, ..pact }, Vec::new())
    }

    fn keep(&mut self, pact: Pact, mut rows: Vec<Row>) -> Result<(), PeeringError> {
        let partner = pact.identity.partner();
        if self.pacts.len() >= PACTS_MAX && !self.pacts.contains_key(&partner) {
            return Err(PeeringError::TooMany);
        }
        let mut key = vec![PACT_KEY];
        key.extend_from_slice(&partner.0);
        rows.push(Row::put(Table::Pacts, key, pact.to_bytes()));
        self.store.write(&rows)?;
        self.pacts.insert(partner, pact);
        Ok(())
    }
}

/// The TLS keys of a partner's nodes, each once.
fn pins(identity: &Identity) -> Vec<[u8; 32]> {
    let nodes = identity.certificates.nodes.iter();
    let pins: BTreeSet<[u8; 32]> = nodes.map(|node| node.tls_pin.0).collect();
    pins.into_iter().collect()
}

fn wrong_state(pact: &Pact) -> PeeringError {
    PeeringError::WrongState {
        name: pact.identity.name.as_str().into(),
        state: pact.state.as_str(),
    }
}

fn invitation_key(hash: &Hash) -> Vec<u8> {
    let mut key = vec![INVITATION_KEY];
    key.extend_from_slice(&hash.0);
    key
}

#[cfg(test)]
mod tests {
    use comity_crypto::{SigningKey, StorageKey};
    use comity_protocol::identity::{Name, NodeCertificate};

    use super::*;
    use crate::root::RootKeys;

    /// The list of a partner with a writer for each of these TLS keys.
    fn identity(root: &RootKeys, number: u64, pins: &[u8]) -> Identity {
        let name = Name::try_from("bravo".to_string()).unwrap();
        let nodes = pins.iter().enumerate().map(|(at, pin)| {
            let key = SigningKey::from_seed(&[at as u8; 32]);
            let tls = Hash([*pin; 32]);
            NodeCertificate::new(root.partner(), &key, tls, name.clone(), 0..1)
        });
        let nodes = nodes.collect();
        root.sign_list(name, number, nodes)
    }

    #[test]
    fn a_peers_spare_writers_let_nobody_else_connect() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), StorageKey::from_bytes([1; 32])).unwrap();
        let root = RootKeys::from_seeds(&[1; 32], &[2; 32]);
        let mut pacts = Pacts::load(store, PartnerId([0; 32])).unwrap();
        let pact = Pact {
            state: PactState::Active,
            identity: identity(&root, 1, &[7, 7, 7]),
            addresses: Vec::new(),
            words: Vec::new(),
        };
        pacts.keep(pact, Vec::new()).unwrap();

        let peers = pacts.peers();
        assert_eq!(peers.len(), 1);
        assert_eq!(peers[0].pins, [[7; 32]], "the node's key, once");
    }
}
