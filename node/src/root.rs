//! The partner's root keys: the file that belongs in a safe, and what they sign.

use std::path::{Path, PathBuf};

use comity_crypto::SigningKey;
use comity_protocol::body::SeatTransferBody;
use comity_protocol::id::{ChannelId, Hash, KeyBytes, PartnerId, hex};
use comity_protocol::identity::{Identity, Name, NodeCertificate, next_root_hash, partner_id};
use zeroize::Zeroizing;

use crate::storage_key::{StorageKeyError, write_secret};

/// The file as `comity init` leaves it beside the node.
pub const FILE_NAME: &str = "root.key";
/// The longest file that is read, in bytes: two lines of a word and 64 digits, with room for the
/// ends of lines that an editor leaves.
const FILE_BYTES: u64 = 1024;

/// The key that is the partner, and the one that will follow it.
pub struct RootKeys {
    root: SigningKey,
    next: SigningKey,
}

/// Why root keys cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    #[error("{path}: {source}")]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} holds no root keys: a line 'root' and a line 'next-root', each with 64 digits")]
    NotRootKeys { path: PathBuf },
    #[error("{path} holds the root keys of another partner, {found}")]
    OtherPartner { path: PathBuf, found: PartnerId },
}

impl RootKeys {
    /// Keys of these seeds.
    pub fn from_seeds(root: &[u8; 32], next: &[u8; 32]) -> RootKeys {
        RootKeys {
            root: SigningKey::from_seed(root),
            next: SigningKey::from_seed(next),
        }
    }

    /// Reads the file of `partner`'s root keys.
    pub fn read(path: &Path, partner: PartnerId) -> Result<RootKeys, RootError> {
        let text = read_short(path).map_err(|source| RootError::File {
            path: path.into(),
            source,
        })?;
        let seed = |word: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(word));
            line.and_then(|digits| unhex(digits.trim()))
        };
        let (Some(root), Some(next)) = (seed("root "), seed("next-root ")) else {
            return Err(RootError::NotRootKeys { path: path.into() });
        };
        let keys = RootKeys::from_seeds(&root, &next);
        match keys.partner() {
            found if found == partner => Ok(keys),
            found => Err(RootError::OtherPartner {
                path: path.into(),
                found,
            }),
        }
    }

    /// Writes a file that does not exist yet.
    pub fn write(&self, path: &Path) -> Result<(), StorageKeyError> {
        let digits = [&self.root, &self.next].map(|key| Zeroizing::new(hex(&*key.seed())));
        let [root, next] = digits.each_ref().map(|digits| digits.as_str());
        let text = Zeroizing::new(["root ", root, "\nnext-root ", next, "\n"].concat());
        write_secret(path, &text).map(drop)
    }

    /// Whose they are.
    pub fn partner(&self) -> PartnerId {
        let root = KeyBytes(self.root.public().to_bytes());
        partner_id(&root, &self.next_hash())
    }

    /// Signs a list of the partner's writers; `number` is above that of every list before.
    pub fn sign_list(&self, name: Name, number: u64, nodes: Vec<NodeCertificate>) -> Identity {
        Identity::sign(name, &self.root, self.next_hash(), number, nodes)
    }

    /// Signs a seat transfer that lacks its signature.
    pub fn sign_transfer(&self, channel: ChannelId, transfer: &mut SeatTransferBody) {
        let (seat, after) = (transfer.seat, transfer.after);
        let list = &transfer.certificates;
        transfer.root_signature = list.sign_seat_transfer(&self.root, channel, seat, after);
    }

    fn next_hash(&self) -> Hash {
        next_root_hash(&KeyBytes(self.next.public().to_bytes()))
    }
}

fn read_short(path: &Path) -> std::io::Result<Zeroizing<String>> {
    use std::io::Read as _;

    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES as usize));
    let file = std::fs::File::open(path)?;
    file.take(FILE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// The 32 bytes that 64 hexadecimal digits stand for.
pub(crate) fn unhex(digits: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut seed = Zeroizing::new([0; 32]);
    if digits.len() != 2 * seed.len() || !digits.is_ascii() {
        return None;
    }
    for (at, byte) in seed.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_keys_read_back_and_are_taken_for_their_own_partner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let keys = RootKeys::from_seeds(&[1; 32], &[2; 32]);
        keys.write(&path).unwrap();

        let read = RootKeys::read(&path, keys.partner()).unwrap();
        assert_eq!(read.partner(), keys.partner());
        let other = RootKeys::from_seeds(&[3; 32], &[2; 32]).partner();
        let refused = RootKeys::read(&path, other);
        assert!(
            matches!(refused, Err(RootError::OtherPartner { found, .. }) if found == keys.partner())
        );
    }

    #[test]
    fn what_is_no_file_of_root_keys_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let partner = RootKeys::from_seeds(&[1; 32], &[2; 32]).partner();
        for text in ["", "root 00\nnext-root 00\n", "root é\n", "next-root \n"] {
            std::fs::write(&path, text).unwrap();
            let refused = RootKeys::read(&path, partner);
            assert!(
                matches!(refused, Err(RootError::NotRootKeys { .. })),
                "{text:?}"
            );
        }
    }
}
