//! Lane epochs: drawing secrets, wrapping them to the readers, opening what others wrapped.

use std::collections::BTreeMap;

use comity_crypto as crypto;
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use crate::authority::View;
use crate::body::{KeyBody, Wrap};
use crate::codec::{Canonical, Malformed};
use crate::event::{Event, Header, Kind};
use crate::id::{ChannelId, EventId, Hash, LaneId, PartnerId, WriterId};
use crate::lane::{Lane, LaneForm};
use crate::limits;
use crate::wire::{GivenKey, Keys};

/// Domain tag of what a wrap is bound to.
pub const TAG_WRAP: &str = "comity/v1/wrap";
/// Domain tag of what a given secret is bound to.
pub const TAG_GIVEN_KEY: &str = "comity/v1/given-key";
/// Domain tag of randomness drawn from a command's seed.
pub const TAG_DRAW: &str = "comity/v1/draw";

/// Randomness of one command: 32 bytes from outside, from which every random number is drawn by
/// name.
#[derive(Clone)]
pub struct Entropy(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy(..)")
    }
}

impl Entropy {
    pub fn new(seed: [u8; 32]) -> Entropy {
        Entropy(Zeroizing::new(seed))
    }

    /// 32 bytes for one purpose, lane and position.
    pub fn draw(&self, purpose: &str, lane: &LaneId, number: u64) -> Zeroizing<[u8; 32]> {
        crypto::derive(
            &self.0,
            TAG_DRAW,
            &[purpose.as_bytes(), &lane.0, &number.to_be_bytes()],
        )
    }
}

/// Where a wrap belongs; it opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct WrapContext {
    pub channel: ChannelId,
    pub lane: LaneId,
    pub writer: WriterId,
    /// The position of the key event that carries the wrap.
    pub seq: u64,
}

impl WrapContext {
    fn of(header: &Header) -> WrapContext {
        WrapContext {
            channel: header.channel,
            lane: header.lane,
            writer: header.writer,
            seq: header.seq,
        }
    }

    /// The HPKE `info`: the hash of suite, channel, lane, writer, position, recipient and
    /// sealing key.
    pub fn info(&self, recipient: &PartnerId, sealing_key: &Hash) -> [u8; 32] {
        let suite = [crypto::Suite::Default.id()];
        let seq = self.seq.to_be_bytes();
        let parts: [&[u8]; 7] = [
            &suite,
            &self.channel.0,
            &self.lane.0,
            &self.writer.0,
            &seq,
            &recipient.0,
            &sealing_key.0,
        ];
        crypto::hash(TAG_WRAP, &parts)
    }
}

/// Where a secret that is given belongs; it opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct GivenContext {
    pub channel: ChannelId,
    pub lane: LaneId,
    pub key_event: EventId,
}

impl GivenContext {
    /// The HPKE `info`: the hash of suite, channel, lane, key event, recipient and sealing key.
    pub fn info(&self, recipient: &PartnerId, sealing_key: &Hash) -> [u8; 32] {
        let suite = [crypto::Suite::Default.id()];
        let parts: [&[u8]; 6] = [
            &suite,
            &self.channel.0,
            &self.lane.0,
            &self.key_event.0,
            &recipient.0,
            &sealing_key.0,
        ];
        crypto::hash(TAG_GIVEN_KEY, &parts)
    }

    /// The encapsulation's randomness: the same for the same secret and recipient, and so the same
    /// bytes however often they are asked for.
    pub fn randomness(&self, seed: &Entropy, sealing_key: &Hash) -> Zeroizing<[u8; 64]> {
        let lane = LaneId(crypto::hash(
            TAG_GIVEN_KEY,
            &[&self.key_event.0, &sealing_key.0],
        ));
        let mut randomness = Zeroizing::new([0u8; 64]);
        randomness[..32].copy_from_slice(&*seed.draw("give-1", &lane, 0));
        randomness[32..].copy_from_slice(&*seed.draw("give-2", &lane, 0));
        randomness
    }
}

/// Opens a secret that another reader gave, and holds it against the key event's commitment.
pub fn open_given(
    keyring: &Keyring,
    context: &GivenContext,
    keys: &Keys,
    given: &GivenKey,
    commitment: &Hash,
) -> Result<crypto::EpochSecret, KeyError> {
    let key = keyring
        .sealing
        .get(&keys.sealing_key)
        .ok_or(KeyError::Unopenable)?;
    let info = context.info(&keyring.own, &keys.sealing_key);
    let secret = key
        .unwrap_secret(&info, &given.sealed)
        .map_err(|_| KeyError::Unopenable)?;
    if secret.commitment() != commitment.0 {
        return Err(KeyError::NotCommitted);
    }
    Ok(secret)
}

/// The secrets that this partner holds.
pub struct Keyring {
    own: PartnerId,
    sealing: BTreeMap<Hash, crypto::SealingKey>,
    current: Hash,
    /// By the last part of the key event.
    secrets: BTreeMap<EventId, crypto::EpochSecret>,
    /// From parts whose last part is not accepted yet.
    from_parts: BTreeMap<EventId, crypto::EpochSecret>,
    /// The epochs that this node drew since it started; it uses no older ones.
    drawn: BTreeMap<LaneId, Drawn>,
}

#[derive(Debug, Clone, Copy)]
struct Drawn {
    key_event: EventId,
    at_ms: u64,
    first_seq: u64,
}

/// A wrap that did not hold what its key event commits to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the wrap for this partner does not open")]
    Unopenable,
    #[error("the wrap for this partner holds another secret than the key event commits to")]
    NotCommitted,
}

impl Keyring {
    /// A keyring with this partner's sealing keys; the last one is current.
    pub fn new(own: PartnerId, sealing: Vec<crypto::SealingKey>) -> Keyring {
        let sealing: Vec<(Hash, crypto::SealingKey)> = sealing
            .into_iter()
            .map(|key| (Hash(key.public().id()), key))
            .collect();
        let current = sealing.last().map_or(Hash([0; 32]), |(id, _)| *id);
        Keyring {
            own,
            sealing: sealing.into_iter().collect(),
            current,
            secrets: BTreeMap::new(),
            from_parts: BTreeMap::new(),
            drawn: BTreeMap::new(),
        }
    }

    /// The public half of the current sealing key.
    pub fn sealing_public(&self) -> Option<crypto::SealingPublicKey> {
        self.sealing
            .get(&self.current)
            .map(crypto::SealingKey::public)
    }

    /// Takes a secret that was stored.
    pub fn restore(&mut self, key_event: EventId, secret: crypto::EpochSecret) {
        self.secrets.insert(key_event, secret);
    }

    pub fn secret(&self, key_event: &EventId) -> Option<&crypto::EpochSecret> {
        self.secrets.get(key_event)
    }

    /// Reads an accepted key event. Gives the secret to store, once the last part is here and a
    /// wrap was for this partner.
    pub fn read(&mut self, event: &Event) -> Result<Option<crypto::EpochSecret>, KeyError> {
        let Ok(body) = KeyBody::from_bytes(&event.body) else {
            return Ok(None);
        };
        if self.secrets.contains_key(&event.id) {
            return Ok(None);
        }
        let opened = self.open_wrap(event, &body)?;
        let Some(parts) = &body.parts else {
            if let Some(secret) = opened {
                self.from_parts.insert(event.id, secret);
            }
            return Ok(None);
        };
        let from_part = parts
            .iter()
            .filter_map(|part| self.from_parts.remove(part))
            .next();
        let Some(secret) = opened.or(from_part) else {
            return Ok(None);
        };
        self.secrets.insert(event.id, secret.clone());
        Ok(Some(secret))
    }

    fn open_wrap(
        &self,
        event: &Event,
        body: &KeyBody,
    ) -> Result<Option<crypto::EpochSecret>, KeyError> {
        let Some(wrap) = body.wraps.iter().find(|wrap| wrap.partner == self.own) else {
            return Ok(None);
        };
        let key = self
            .sealing
            .get(&wrap.sealing_key)
            .ok_or(KeyError::Unopenable)?;
        let info = WrapContext::of(&event.header).info(&self.own, &wrap.sealing_key);
        let secret = key
            .unwrap_secret(&info, &wrap.sealed)
            .map_err(|_| KeyError::Unopenable)?;
        if secret.commitment() != body.commitment.0 {
            return Err(KeyError::NotCommitted);
        }
        Ok(Some(secret))
    }

    /// The epoch to seal with at position `seq`, if one drawn since the start still serves.
    pub fn usable(
        &self,
        lane: &LaneId,
        latest: Option<EventId>,
        seq: u64,
        now_ms: u64,
    ) -> Option<EventId> {
        let drawn = self.drawn.get(lane)?;
        let serves = Some(drawn.key_event) == latest
            && seq.saturating_sub(drawn.first_seq) < limits::EPOCH_EVENTS
            && now_ms.saturating_sub(drawn.at_ms) < limits::EPOCH_MS;
        serves.then_some(drawn.key_event)
    }

    /// Remembers an epoch that this node just opened.
    pub fn drew(
        &mut self,
        lane: LaneId,
        key_event: EventId,
        secret: crypto::EpochSecret,
        seq: u64,
        now_ms: u64,
    ) {
        self.secrets.insert(key_event, secret);
        self.drawn.insert(
            lane,
            Drawn {
                key_event,
                at_ms: now_ms,
                first_seq: seq,
            },
        );
    }
}

/// Opens a sealed body with its epoch's secret, where that is held.
pub fn open(event: &Event, secret: Option<&crypto::EpochSecret>) -> Result<Vec<u8>, Unreadable> {
    let header = &event.header;
    let commitment = header.commitment.ok_or(Unreadable::NotSealed)?;
    let secret = secret.ok_or(Unreadable::NoKey)?;
    let position = crypto::Position {
        lane: &header.lane.0,
        writer: &header.writer.0,
        seq: header.seq,
    };
    let associated = Header::associated_data(&event.header_bytes);
    crypto::open_body(secret, &position, &commitment.0, associated, &event.body)
        .map(|opened| opened.body)
        .map_err(|_| Unreadable::Garbage)
}

/// Why a sealed body cannot be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("the body is public")]
    NotSealed,
    #[error("this partner does not hold the key")]
    NoKey,
    #[error("the body is not what its header commits to")]
    Garbage,
}

/// Seals `body` under `secret` into the event that `header` describes, and signs it. The
/// header's lengths, hashes and commitment are filled in.
pub fn seal(
    mut header: Header,
    body: &[u8],
    secret: &crypto::EpochSecret,
    salt: &[u8; crypto::SALT_LEN],
    key: &crypto::SigningKey,
) -> Result<Event, Malformed> {
    let sealed_len = body.len() + crypto::SEAL_OVERHEAD;
    if sealed_len > limits::BODY_BYTES {
        return Err(Malformed::TooLong {
            len: sealed_len,
            limit: limits::BODY_BYTES,
        });
    }
    let commitment = crypto::plaintext_commitment(salt, body);
    header.body_len = sealed_len as u32;
    header.commitment = Some(Hash(commitment));
    header.body_hash = Hash([0; 32]);
    let position = crypto::Position {
        lane: &header.lane.0,
        writer: &header.writer.0,
        seq: header.seq,
    };
    let bytes = header.to_bytes();
    let sealed = crypto::seal_body(
        secret,
        &position,
        &commitment,
        Header::associated_data(&bytes),
        salt,
        body,
    );
    header.body_hash = Hash(crypto::body_hash(&sealed));
    Event::sign(header, sealed, key)
}

/// The key bodies, one per part and without the parts' ids, that wrap `secret` to a lane's readers.
pub fn wrap_bodies(
    context: WrapContext,
    view: &View,
    lane: &Lane,
    secret: &crypto::EpochSecret,
    entropy: &Entropy,
) -> Result<Vec<KeyBody>, crypto::KeyError> {
    let named = (lane.form == LaneForm::Directed).then(|| lane.audience.iter().copied().collect());
    let named: Option<Vec<PartnerId>> = named;
    let readers: Vec<(PartnerId, &crypto::SealingPublicKey)> = lane
        .audience
        .iter()
        .filter_map(|partner| {
            Some((
                *partner,
                view.member(partner)?.sealing_key.as_ref()?.1.as_ref(),
            ))
        })
        .collect();
    let commitment = Hash(secret.commitment());
    let mut bodies = Vec::new();
    for (part, chunk) in readers.chunks(limits::WRAPS).enumerate() {
        let context = WrapContext {
            seq: context.seq + part as u64,
            ..context
        };
        let wraps = chunk
            .iter()
            .enumerate()
            .map(|(at, (partner, key))| {
                let sealing_key = Hash(key.id());
                let number = (part * limits::WRAPS + at) as u64;
                let mut randomness = Zeroizing::new([0u8; 64]);
                randomness[..32].copy_from_slice(&*entropy.draw("wrap-1", &context.lane, number));
                randomness[32..].copy_from_slice(&*entropy.draw("wrap-2", &context.lane, number));
                let sealed =
                    key.wrap_secret(&context.info(partner, &sealing_key), secret, &randomness)?;
                Ok(Wrap {
                    partner: *partner,
                    sealing_key,
                    sealed: ByteBuf::from(sealed),
                })
            })
            .collect::<Result<Vec<Wrap>, crypto::KeyError>>()?;
        bodies.push(KeyBody {
            audience: named.clone(),
            parts: None,
            commitment,
            wraps,
        });
    }
    Ok(bodies)
}

/// Whether an accepted event is a key event that opens an epoch.
pub fn opens_epoch(event: &Event) -> bool {
    event.header.kind() == Kind::Key
        && KeyBody::from_bytes(&event.body).is_ok_and(|body| body.parts.is_some())
}
