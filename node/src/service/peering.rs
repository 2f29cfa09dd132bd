//! Pacts with other partners: invitations, replies, words, suspension.

use comity_protocol::codec::Canonical;
use comity_protocol::id::Hash;
use comity_protocol::limits;
use comity_protocol::peering::{PeeringFile as Contents, SignedPeeringFile};
use pem::Pem;

use super::failure;
use crate::api::{ApiError, PeeringFile};
use crate::keystore;
use crate::node::Node;
use crate::pacts::{PactState, Pacts, PeeringError};

const INVITATION: &str = "COMITY INVITATION";
const REPLY: &str = "COMITY REPLY";
/// The longest that an invitation may stand open: 30 days.
const EXPIRES_MAX_S: u64 = 30 * 24 * 3600;
/// A file of a kilobyte or two; no honest one is longer.
const FILE_BYTES: usize = 64 << 10;

/// Makes an invitation and keeps it open for one reply.
pub async fn invite(
    node: &Node,
    expires_in_s: u64,
    addresses: Vec<String>,
) -> Result<PeeringFile, ApiError> {
    if expires_in_s == 0 || expires_in_s > EXPIRES_MAX_S {
        return Err(failure::operator(
            "bad_expiry",
            "an invitation stands for a second to 30 days",
            "choose another time",
        ));
    }
    let now_ms = node.now_ms();
    let expires_at_ms = now_ms + expires_in_s * 1000;
    let signed = sign(node, None, addresses, expires_at_ms)?;
    node.pacts
        .lock()
        .await
        .invite(signed.clone(), expires_at_ms, now_ms)
        .map_err(failure::peering)?;
    record(node, "peer_invited", "an invitation was made")?;
    Ok(PeeringFile {
        partner: None,
        file: Some(armour(INVITATION, &signed)),
        words: None,
        expires_at_ms,
    })
}

/// Takes an invitation, answering it, or the reply to one. A refusal goes on record.
pub async fn accept(
    node: &Node,
    file: &str,
    addresses: Vec<String>,
) -> Result<PeeringFile, ApiError> {
    let taken = take(node, file, addresses).await;
    if let Err(error) = &taken {
        record(node, "refused", &format!("a peering file: {error}"))?;
    }
    taken
}

async fn take(node: &Node, file: &str, addresses: Vec<String>) -> Result<PeeringFile, ApiError> {
    let not_a_file = |what: &str| {
        failure::operator(
            "not_a_peering_file",
            what,
            "give the file that the other partner's sysadmin handed over, unchanged",
        )
    };
    if file.len() > FILE_BYTES {
        return Err(not_a_file("the file is too long"));
    }
    let pem = pem::parse(file).map_err(|error| not_a_file(&error.to_string()))?;
    let signed = SignedPeeringFile::from_bytes(pem.contents())
        .map_err(|error| failure::peering(error.into()))?;
    match pem.tag() {
        INVITATION => accept_invitation(node, &signed, addresses).await,
        REPLY => accept_reply(node, &signed).await,
        other => Err(not_a_file(&format!("it is a {other}"))),
    }
}

async fn accept_invitation(
    node: &Node,
    invitation: &SignedPeeringFile,
    addresses: Vec<String>,
) -> Result<PeeringFile, ApiError> {
    let expires_at_ms = invitation
        .open()
        .map_err(|error| failure::peering(error.into()))?
        .expires_at_ms;
    let answers = invitation.hash();
    let reply = sign(node, Some(answers), addresses, expires_at_ms)?;
    let mut pacts = node.pacts.lock().await;
    let (reply, pact) = pacts
        .take_invitation(invitation, node.now_ms(), |_| reply)
        .map_err(failure::peering)?;
    let partner = pact.identity.name.as_str().to_string();
    record(node, "peer_invitation_taken", &partner)?;
    Ok(PeeringFile {
        partner: Some(partner),
        file: Some(armour(REPLY, &reply)),
        words: Some(spell(&pact.words)),
        expires_at_ms,
    })
}

async fn accept_reply(node: &Node, reply: &SignedPeeringFile) -> Result<PeeringFile, ApiError> {
    let expires_at_ms = reply
        .open()
        .map_err(|error| failure::peering(error.into()))?
        .expires_at_ms;
    let mut pacts = node.pacts.lock().await;
    let pact = pacts
        .take_reply(reply, node.now_ms())
        .map_err(failure::peering)?;
    let partner = pact.identity.name.as_str().to_string();
    record(node, "peer_reply_taken", &partner)?;
    Ok(PeeringFile {
        partner: Some(partner),
        file: None,
        words: Some(spell(&pact.words)),
        expires_at_ms,
    })
}

/// Puts the pact in force.
pub async fn approve(node: &Node, partner: &str, words: &[String]) -> Result<(), ApiError> {
    let indices = unspell(words).unwrap_or_default();
    let may = |pacts: &Pacts| pacts.may_approve(partner, &indices);
    widen(node, "peer_approved", partner, may).await
}

pub async fn suspend(node: &Node, partner: &str) -> Result<(), ApiError> {
    narrow(node, "peer_suspended", partner, |pacts| {
        pacts.may_change(partner, PactState::Suspended)?;
        pacts.set(partner, PactState::Suspended)
    })
    .await
}

pub async fn resume(node: &Node, partner: &str) -> Result<(), ApiError> {
    let may = |pacts: &Pacts| pacts.may_change(partner, PactState::Active);
    widen(node, "peer_resumed", partner, may).await
}

pub async fn revoke(node: &Node, partner: &str) -> Result<(), ApiError> {
    narrow(node, "peer_revoked", partner, |pacts| {
        pacts.may_change(partner, PactState::Revoked)?;
        pacts.set(partner, PactState::Revoked)
    })
    .await
}

/// Puts a pact in force: on record first, then on disk, then at the links.
async fn widen(
    node: &Node,
    action: &str,
    partner: &str,
    may: impl FnOnce(&Pacts) -> Result<(), PeeringError>,
) -> Result<(), ApiError> {
    let mut pacts = node.pacts.lock().await;
    let allowed = may(&pacts);
    if allowed.is_ok() {
        record(node, action, partner)?;
    }
    apply(node, action, partner, &mut pacts, |pacts| {
        allowed?;
        pacts.set(partner, PactState::Active)
    })
}

/// Narrows a pact: at the links at once, whatever becomes of the record.
async fn narrow(
    node: &Node,
    action: &str,
    partner: &str,
    change: impl FnOnce(&mut Pacts) -> Result<(), PeeringError>,
) -> Result<(), ApiError> {
    let mut pacts = node.pacts.lock().await;
    apply(node, action, partner, &mut pacts, change)?;
    record(node, action, partner)
}

fn apply(
    node: &Node,
    action: &str,
    partner: &str,
    pacts: &mut Pacts,
    change: impl FnOnce(&mut Pacts) -> Result<(), PeeringError>,
) -> Result<(), ApiError> {
    let changed = change(pacts);
    if let Some(transport) = &node.transport {
        transport.set_peers(pacts.peers());
    }
    changed.map_err(|error| {
        // The refusal stands whether it can be recorded or not.
        let _ = record(node, "refused", &format!("{action} {partner}: {error}"));
        failure::peering(error)
    })
}

pub fn record(node: &Node, action: &str, text: &str) -> Result<(), ApiError> {
    node.audit.record(action, text).map_err(failure::store)
}

fn sign(
    node: &Node,
    answers: Option<Hash>,
    addresses: Vec<String>,
    expires_at_ms: u64,
) -> Result<SignedPeeringFile, ApiError> {
    let addresses = if addresses.is_empty() {
        own_addresses(node)
    } else {
        addresses
    };
    let contents = Contents {
        version: limits::VERSION,
        answers,
        nonce: Hash(node.environment.randomness.bytes()),
        identity: node.identity.clone(),
        addresses,
        expires_at_ms,
        label_ceiling: None,
    };
    contents.check().map_err(|error| {
        failure::operator(
            "bad_address",
            error,
            "give at most 16 addresses of the form host:port",
        )
    })?;
    // Read anew for each file rather than kept: peering is rare.
    let keys = keystore::load(&node.store).map_err(failure::keys)?;
    let listed = node.identity.certificates.nodes.first();
    let signer = listed.map(|own| own.writer());
    let mut own = std::iter::once(&keys.own.signing).chain(&keys.own.spares);
    let key = own.find(|key| Some(keystore::writer_of(key)) == signer);
    let (Some(signer), Some(key)) = (signer, key) else {
        return Err(failure::node("keys", "the node has no certificate"));
    };
    Ok(SignedPeeringFile::sign(&contents, signer, key))
}

fn own_addresses(node: &Node) -> Vec<String> {
    if !node.config.addresses.is_empty() {
        return node.config.addresses.clone();
    }
    // An unspecified address is nothing that another node could dial.
    if node.config.listen.ip().is_unspecified() {
        Vec::new()
    } else {
        vec![node.config.listen.to_string()]
    }
}

fn armour(tag: &str, signed: &SignedPeeringFile) -> String {
    pem::encode(&Pem::new(tag, signed.to_bytes()))
}

/// The words of BIP-39's English list at these indices.
pub fn spell(indices: &[u16]) -> Vec<String> {
    let list = bip39::Language::English.word_list();
    indices
        .iter()
        .filter_map(|index| list.get(usize::from(*index)))
        .map(|word| (*word).to_string())
        .collect()
}

fn unspell(words: &[String]) -> Option<Vec<u16>> {
    let list = bip39::Language::English.word_list();
    words
        .iter()
        .map(|word| {
            list.iter()
                .position(|listed| listed == word)
                .and_then(|index| u16::try_from(index).ok())
        })
        .collect()
}
