//! Where the storage key comes from: a file, or a credential that systemd hands to the process.
//!
//! Both hold 64 hexadecimal digits and a newline. While a key is being replaced, the new one lies
//! beside the file, and takes its name once the store is under it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use comity_crypto::StorageKey;
use comity_protocol::id::hex;
use zeroize::Zeroizing;

use crate::config::KeySource;
use crate::random;
use crate::store::KeyId;

/// Where systemd puts a service's credentials.
pub const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

const KEY_BYTES: usize = 32;
/// The digits of a key with some blanks around them.
const TEXT_BYTES: usize = 2 * KEY_BYTES + 64;
/// What the name of a key file ends with while the key waits to be put in force.
const PENDING: &str = ".rotating";

/// Why a storage key cannot be read or put in its place.
#[derive(Debug, thiserror::Error)]
pub enum StorageKeyError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path} is readable by others than its owner")]
    Exposed { path: PathBuf },
    #[error("{path} does not hold a key")]
    NotAKey { path: PathBuf },
    #[error(
        "the storage key is the systemd credential {name:?}, and this process was given no \
         credentials"
    )]
    NoCredentials { name: String },
    #[error("systemd gave this process no credential {name:?} ({path}: {source})")]
    NoCredential {
        name: String,
        path: PathBuf,
        source: io::Error,
    },
    #[error("the store is sealed under storage key {store}, and {path} holds {given}")]
    WrongKey {
        path: PathBuf,
        store: KeyId,
        given: KeyId,
    },
}

/// A place that holds the storage key of one node.
#[derive(Debug, Clone)]
pub struct KeyPlace {
    path: PathBuf,
    credential: Option<String>,
}

impl KeyPlace {
    /// The place that the configuration of the node in `dir` names.
    pub fn of(dir: &Path, source: &KeySource) -> Result<KeyPlace, StorageKeyError> {
        let credentials = std::env::var_os(CREDENTIALS_VARIABLE).map(PathBuf::from);
        KeyPlace::among(dir, source, credentials.as_deref())
    }

    fn among(
        dir: &Path,
        source: &KeySource,
        credentials: Option<&Path>,
    ) -> Result<KeyPlace, StorageKeyError> {
        match source {
            KeySource::File(path) => Ok(KeyPlace {
                path: dir.join(path),
                credential: None,
            }),
            KeySource::Credential(name) => {
                let directory = credentials
                    .ok_or_else(|| StorageKeyError::NoCredentials { name: name.clone() })?;
                Ok(KeyPlace {
                    path: directory.join(name),
                    credential: Some(name.clone()),
                })
            }
        }
    }

    /// The file that is read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the credential, if it is one.
    pub fn credential(&self) -> Option<&str> {
        self.credential.as_deref()
    }

    /// Reads the key.
    pub fn read(&self) -> Result<StorageKey, StorageKeyError> {
        let Some(name) = &self.credential else {
            return read_file(&self.path);
        };
        let missing = |source| StorageKeyError::NoCredential {
            name: name.clone(),
            path: self.path.clone(),
            source,
        };
        let file = File::open(&self.path).map_err(missing)?;
        read(file, &self.path, is_private_credential)
    }

    /// Puts a key beside the one that is in force.
    pub fn prepare(&self, key: &KeyText) -> Result<PendingKey, StorageKeyError> {
        let pending = PendingKey::beside(&self.path)?;
        match fs::remove_file(&pending.path) {
            // Left behind by a rotation that ended early; nothing was ever sealed under it for
            // good, or it would be in force by now.
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(file_error(&pending.path, source)),
        }
        let file = write_secret(&pending.path, key.0.as_str())?;
        let own = |file: &File| file.metadata().map(|now| (now.uid(), now.gid()));
        let owner = File::open(&pending.replaces).and_then(|current| own(&current));
        let owner = owner.map_err(|source| file_error(&pending.replaces, source))?;
        // The node's user must be able to read it also when root gives the command.
        if own(&file).is_ok_and(|mine| mine != owner) {
            fchown(&file, Some(owner.0), Some(owner.1))
                .map_err(|source| file_error(&pending.path, source))?;
        }
        Ok(pending)
    }

    /// The key that a rotation left beside this one, if there is one of this id.
    pub fn pending(&self, wanted: KeyId) -> Option<(StorageKey, PendingKey)> {
        if self.credential.is_some() {
            return None;
        }
        let pending = PendingKey::beside(&self.path).ok()?;
        let key = read_file(&pending.path).ok()?;
        (KeyId::of(&key) == wanted).then_some((key, pending))
    }
}

/// A key file that waits to replace another.
#[derive(Debug)]
pub struct PendingKey {
    path: PathBuf,
    replaces: PathBuf,
}

impl PendingKey {
    fn beside(path: &Path) -> Result<PendingKey, StorageKeyError> {
        // A link stays a link: what it points to is replaced.
        let replaces = fs::canonicalize(path).map_err(|source| file_error(path, source))?;
        let mut pending = replaces.clone().into_os_string();
        pending.push(PENDING);
        Ok(PendingKey {
            path: pending.into(),
            replaces,
        })
    }

    /// Replaces the key file in one step, and destroys the key that it held.
    pub fn install(self) -> Result<(), StorageKeyError> {
        let old = OpenOptions::new().write(true).open(&self.replaces);
        fs::rename(&self.path, &self.replaces)
            .and_then(|()| sync_directory_of(&self.replaces))
            .map_err(|source| file_error(&self.replaces, source))?;
        if let Ok(old) = old {
            erase(old);
        }
        Ok(())
    }
}

/// A storage key as files hold it. Its memory is zeroised when it is dropped.
pub struct KeyText(Zeroizing<String>);

impl KeyText {
    /// Draws a new key.
    pub fn draw() -> KeyText {
        let key = Zeroizing::new(random::bytes::<KEY_BYTES>());
        KeyText::of(&key)
    }

    /// Reads the key in a file that somebody made, under the same rules as the node's own.
    pub fn from_file(path: &Path) -> Result<KeyText, StorageKeyError> {
        let file = File::open(path).map_err(|source| file_error(path, source))?;
        let text = read_text(file, path, is_private_file)?;
        let key = unhex(&text).ok_or_else(|| StorageKeyError::NotAKey { path: path.into() })?;
        Ok(KeyText::of(&key))
    }

    /// Writes a file that does not exist yet; it is on disk when this returns.
    pub fn write(&self, path: &Path) -> Result<(), StorageKeyError> {
        write_secret(path, self.0.as_str()).map(drop)
    }

    /// The key.
    pub fn key(&self) -> StorageKey {
        // It was written from a key.
        let key = unhex(self.0.as_str()).expect("64 digits");
        StorageKey::from_bytes(*key)
    }

    fn of(key: &[u8; KEY_BYTES]) -> KeyText {
        let digits = Zeroizing::new(hex(key));
        let mut text = Zeroizing::new(String::with_capacity(digits.len() + 1));
        text.push_str(&digits);
        text.push('\n');
        KeyText(text)
    }
}

/// Writes a file that only its owner may read, and that does not exist yet; it is on disk, and so
/// is its name, when this returns.
pub fn write_secret(path: &Path, text: &str) -> Result<File, StorageKeyError> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        sync_directory_of(path)?;
        Ok(file)
    };
    write().map_err(|source| file_error(path, source))
}

fn read_file(path: &Path) -> Result<StorageKey, StorageKeyError> {
    let file = File::open(path).map_err(|source| file_error(path, source))?;
    read(file, path, is_private_file)
}

fn read(
    file: File,
    path: &Path,
    is_private: fn(&fs::Metadata) -> bool,
) -> Result<StorageKey, StorageKeyError> {
    let text = read_text(file, path, is_private)?;
    let key = unhex(&text).ok_or_else(|| StorageKeyError::NotAKey { path: path.into() })?;
    Ok(StorageKey::from_bytes(*key))
}

/// Reads into memory that is not moved, so that no copy of the key stays behind.
fn read_text(
    mut file: File,
    path: &Path,
    is_private: fn(&fs::Metadata) -> bool,
) -> Result<Zeroizing<String>, StorageKeyError> {
    let metadata = file.metadata().map_err(|source| file_error(path, source))?;
    if !is_private(&metadata) {
        return Err(StorageKeyError::Exposed { path: path.into() });
    }
    let mut bytes = Zeroizing::new([0; TEXT_BYTES]);
    let mut len = 0;
    while len < TEXT_BYTES {
        match file.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(source) => return Err(file_error(path, source)),
        }
    }
    let text = std::str::from_utf8(&bytes[..len]).unwrap_or_default();
    Ok(Zeroizing::new(text.trim().to_owned()))
}

fn is_private_file(metadata: &fs::Metadata) -> bool {
    metadata.permissions().mode() & 0o077 == 0
}

/// systemd gives the service's user the right to read a file of root's by an access control list,
/// whose mask stands where the mode has the group's rights: 0440 then is as private as 0400.
fn is_private_credential(metadata: &fs::Metadata) -> bool {
    let others = match metadata.uid() {
        0 => 0o037,
        _ => 0o077,
    };
    metadata.permissions().mode() & others == 0
}

fn unhex(text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let bytes = text.trim().as_bytes();
    if bytes.len() != 2 * KEY_BYTES {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    for (byte, pair) in key.iter_mut().zip(bytes.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(key)
}

/// Overwrites a file that has no name any more; one with another name is somebody's copy. What
/// the disk makes of it is not known here, so no failure is worth reporting.
fn erase(mut file: File) {
    let Ok(metadata) = file.metadata() else {
        return;
    };
    if metadata.nlink() == 0 {
        let zeros = vec![0; metadata.len().min(TEXT_BYTES as u64) as usize];
        let _ = file.write_all(&zeros).and_then(|()| file.sync_all());
    }
}

/// Makes a file's name as durable as the file.
pub fn sync_directory_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn file_error(path: &Path, source: io::Error) -> StorageKeyError {
    StorageKeyError::File {
        path: path.into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_key_file_is_read_back_and_refused_where_others_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let text = KeyText::draw();
        text.write(&dir.path().join("storage.key")).unwrap();
        let place = KeyPlace::of(dir.path(), &KeySource::default()).unwrap();
        assert_eq!(place.read().unwrap().id(), text.key().id());

        with_mode(place.path(), 0o640);
        assert!(matches!(place.read(), Err(StorageKeyError::Exposed { .. })));
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let place = KeyPlace::of(dir.path(), &KeySource::default()).unwrap();
        let key = "0123456789abcdef".repeat(4);
        for wrong in [
            "",
            &key[1..],
            &format!("{key}0"),
            &format!("+{}", &key[1..]),
            &format!("é{}", &key[2..]),
            &key.repeat(1000),
        ] {
            write_secret(place.path(), wrong).unwrap();
            assert!(
                matches!(place.read(), Err(StorageKeyError::NotAKey { .. })),
                "{wrong:?}"
            );
            fs::remove_file(place.path()).unwrap();
        }
        write_secret(place.path(), &format!(" {key}\r\n")).unwrap();
        assert!(place.read().is_ok());
    }

    #[test]
    fn a_credential_is_found_where_systemd_put_it() {
        let dir = tempfile::tempdir().unwrap();
        let source = KeySource::Credential("storage".into());
        assert!(matches!(
            KeyPlace::among(dir.path(), &source, None),
            Err(StorageKeyError::NoCredentials { .. })
        ));
        let place = KeyPlace::among(Path::new("/nowhere"), &source, Some(dir.path())).unwrap();
        assert!(matches!(
            place.read(),
            Err(StorageKeyError::NoCredential { .. })
        ));
        let text = KeyText::draw();
        text.write(place.path()).unwrap();
        with_mode(place.path(), 0o400);
        assert_eq!(place.read().unwrap().id(), text.key().id());
        with_mode(place.path(), 0o444);
        assert!(matches!(place.read(), Err(StorageKeyError::Exposed { .. })));
    }

    #[test]
    fn a_credential_of_roots_may_show_the_mask_of_its_access_list() {
        let dir = tempfile::tempdir().unwrap();
        let source = KeySource::Credential("storage".into());
        let place = KeyPlace::among(dir.path(), &source, Some(dir.path())).unwrap();
        KeyText::draw().write(place.path()).unwrap();
        with_mode(place.path(), 0o440);
        let of_root = fs::metadata(place.path()).unwrap().uid() == 0;
        assert_eq!(place.read().is_ok(), of_root);
    }

    #[test]
    fn a_pending_key_takes_the_place_of_the_other_and_a_link_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real.key");
        KeyText::draw().write(&real).unwrap();
        std::os::unix::fs::symlink(&real, dir.path().join("storage.key")).unwrap();
        let place = KeyPlace::of(dir.path(), &KeySource::default()).unwrap();
        let copy = dir.path().join("copy.key");
        fs::hard_link(&real, &copy).unwrap();
        let old = place.read().unwrap();

        let new = KeyText::draw();
        drop(place.prepare(&KeyText::draw()).unwrap());
        let pending = place.prepare(&new).unwrap();
        assert_eq!(place.read().unwrap().id(), old.id());
        assert!(place.pending(KeyId::of(&old)).is_none());
        assert!(place.pending(KeyId::of(&new.key())).is_some());
        pending.install().unwrap();
        assert_eq!(place.read().unwrap().id(), new.key().id());
        assert_eq!(read_file(&real).unwrap().id(), new.key().id());
        assert!(place.pending(KeyId::of(&new.key())).is_none());
        assert_eq!(
            read_file(&copy).unwrap().id(),
            old.id(),
            "a copy is left alone"
        );
    }
}
