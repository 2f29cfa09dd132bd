//! Peering: two signed files and twelve words.
//!
//! One partner writes an invitation, the other answers with a reply that names it by its hash,
//! and both read the same words to each other out of band. The words are 132 bits of the hash of
//! both files, so neither file can be swapped on the way without the words differing.

use comity_crypto as crypto;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::codec::{Canonical, Malformed};
use crate::event::Label;
use crate::id::{Hash, Signature, WriterId};
use crate::identity::Identity;
use crate::limits;

/// Domain tag of a peering file's signature and hash.
pub const TAG_PEERING: &str = "comity/v1/peering-file";
/// Domain tag of the words.
pub const TAG_WORDS: &str = "comity/v1/peering-words";

/// How many words are read out.
pub const WORDS: usize = 12;
/// Bits per word: an index into a list of 2,048.
pub const WORD_BITS: usize = 11;
/// Addresses in one file.
const ADDRESSES: usize = 16;
/// The longest address, in bytes: a host name of 253 and a port.
const ADDRESS_BYTES: usize = 260;

/// What a partner says of itself in a peering file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeeringFile {
    pub version: u8,
    /// In a reply, the hash of the invitation's file.
    pub answers: Option<Hash>,
    pub nonce: Hash,
    pub identity: Identity,
    /// Where this partner's node is reached, `host:port`.
    pub addresses: Vec<String>,
    /// Unix milliseconds; an invitation is void after it.
    pub expires_at_ms: u64,
    /// The most sensitive label this partner will release to the other.
    pub label_ceiling: Option<Label>,
}

impl Canonical for PeeringFile {
    const NAME: &'static str = "peering file";
    const LIMIT: usize = 16 << 10;

    fn check(&self) -> Result<(), Malformed> {
        if self.version != limits::VERSION {
            return Err(Malformed::Rule("a peering file of an unknown version"));
        }
        let legal = |address: &String| {
            address.len() <= ADDRESS_BYTES && address.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if self.addresses.len() > ADDRESSES || !self.addresses.iter().all(legal) {
            return Err(Malformed::Rule("addresses that are none"));
        }
        self.label_ceiling.as_ref().map_or(Ok(()), Label::check)
    }
}

/// A peering file as it is handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedPeeringFile {
    /// The encoding of a [`PeeringFile`].
    pub file: ByteBuf,
    /// The node that signed it, one of those in the file's certificates.
    pub signer: WriterId,
    pub signature: Signature,
}

impl Canonical for SignedPeeringFile {
    const NAME: &'static str = "signed peering file";
    const LIMIT: usize = 17 << 10;
}

impl SignedPeeringFile {
    pub fn sign(
        file: &PeeringFile,
        signer: WriterId,
        key: &crypto::SigningKey,
    ) -> SignedPeeringFile {
        let file = file.to_bytes();
        let signature = Signature(key.sign(TAG_PEERING, &crypto::hash(TAG_PEERING, &[&file])));
        SignedPeeringFile {
            file: ByteBuf::from(file),
            signer,
            signature,
        }
    }

    /// Reads the file and checks identity and signature. That the identity is the right one,
    /// only the words can tell.
    pub fn open(&self) -> Result<PeeringFile, Malformed> {
        let file = PeeringFile::from_bytes(&self.file)?;
        let writers = file.identity.verify()?;
        let key = writers.iter().find(|(writer, _)| *writer == self.signer);
        let (_, key) = key.ok_or(Malformed::Rule(
            "signed by a node that the file does not name",
        ))?;
        key.verify(
            TAG_PEERING,
            &crypto::hash(TAG_PEERING, &[&self.file]),
            &self.signature.0,
        )
        .map_err(|_| Malformed::Rule("a peering file with a bad signature"))?;
        Ok(file)
    }

    /// The hash by which a reply names its invitation.
    pub fn hash(&self) -> Hash {
        Hash(crypto::hash(TAG_PEERING, &[&self.to_bytes()]))
    }
}

/// The twelve words, as indices into a list of 2,048: the first 132 bits of the hash of both
/// files, eleven bits a word, the most significant first.
pub fn words(invitation: &SignedPeeringFile, reply: &SignedPeeringFile) -> [u16; WORDS] {
    let digest = crypto::hash(TAG_WORDS, &[&invitation.to_bytes(), &reply.to_bytes()]);
    let bit = |at: usize| u16::from(digest[at / 8] >> (7 - at % 8) & 1);
    std::array::from_fn(|word| {
        (0..WORD_BITS).fold(0, |index, offset| {
            index << 1 | bit(word * WORD_BITS + offset)
        })
    })
}
