//! Failures of the node as its API tells them: what happened, whose fault it is, what to do.

use std::fmt::Display;
use std::path::Path;

use comity_protocol::replica::CommandError;

use crate::api::{ApiError, Fault};
use crate::audit::AuditError;
use crate::driver::Stopped;
use crate::keystore::KeyFileError;
use crate::pacts::PeeringError;
use crate::root::RootError;
use crate::rotation::RotationError;
use crate::storage_key::StorageKeyError;
use crate::store::StoreError;
use crate::transport::TransportError;

fn failure(fault: Fault, code: &str, what: impl Display, advice: &str) -> ApiError {
    ApiError {
        code: code.into(),
        what: what.to_string(),
        fault,
        advice: advice.into(),
    }
}

/// A failure that whoever gave the command can mend.
pub fn operator(code: &str, what: impl Display, advice: &str) -> ApiError {
    failure(Fault::Operator, code, what, advice)
}

/// A failure of this node or its machine.
pub fn node(code: &str, what: impl Display) -> ApiError {
    failure(
        Fault::Node,
        code,
        what,
        "look at the node's log and the machine's disk, then at docs/operations.md",
    )
}

/// A failure of the user named in the request.
pub fn user(code: &str, what: impl Display, advice: &str) -> ApiError {
    failure(Fault::User, code, what, advice)
}

/// A failure of another partner.
pub fn peer(code: &str, what: impl Display, advice: &str) -> ApiError {
    failure(Fault::Peer, code, what, advice)
}

pub fn stopped(_: Stopped) -> ApiError {
    failure(
        Fault::Node,
        "stopping",
        "the node is stopping",
        "try again once it runs",
    )
}

pub fn store(error: StoreError) -> ApiError {
    match error {
        StoreError::InUse { .. } => operator(
            "in_use",
            error,
            "another comity process has the directory open; wait for it, or stop it",
        ),
        error => node("store_failed", error),
    }
}

pub fn keys(error: KeyFileError) -> ApiError {
    match error {
        KeyFileError::Store(error) => store(error),
        KeyFileError::Storage(error) => storage_key(error),
        KeyFileError::Root(error) => root(error),
        KeyFileError::TooManyWriters(_) => operator(
            "too_many_writers",
            error,
            "retire one that is not needed first: comity writer retire",
        ),
        error => node("keys", error),
    }
}

/// Root keys that a command was told to use cannot be used.
pub fn root(error: RootError) -> ApiError {
    operator(
        "root_key",
        error,
        "name the file that 'comity init' made, root.key, with --root-key; it lies where the partner keeps it safe",
    )
}

pub fn storage_key(error: StorageKeyError) -> ApiError {
    match error {
        StorageKeyError::Exposed { .. } => operator(
            "key_exposed",
            error,
            "chmod 600 the file, ask who read it, and consider 'comity key rotate-storage'",
        ),
        StorageKeyError::File { ref source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            operator(
                "key_file",
                error,
                "run the command as the user that owns the file and its directory",
            )
        }
        StorageKeyError::File { .. } | StorageKeyError::NotAKey { .. } => operator(
            "key_file",
            error,
            "check 'key_file' in comity.toml, or put the key file back from the backup",
        ),
        StorageKeyError::NoCredentials { .. } => operator(
            "no_credential",
            error,
            "only systemd can give it: use the running node, or run the command by systemd-run as docs/operations.md shows",
        ),
        StorageKeyError::NoCredential { .. } => operator(
            "no_credential",
            error,
            "the unit needs LoadCredential= or LoadCredentialEncrypted= with the name that 'key_credential' has in comity.toml",
        ),
        StorageKeyError::WrongKey { .. } => operator(
            "wrong_key",
            error,
            "put the key of that id in its place: if it was rotated, the new one; for an older copy of the store, the key of its time",
        ),
    }
}

pub fn audit(error: AuditError) -> ApiError {
    match error {
        AuditError::Store(error) => store(error),
        other => node("audit_broken", other),
    }
}

pub fn rotation(error: RotationError) -> ApiError {
    let text = error.to_string();
    match error {
        RotationError::NewKeyNeeded { .. } => operator(
            "new_key_needed",
            text,
            "give --new-key FILE: it is made if it does not exist, and the command says what to do with it",
        ),
        RotationError::Before(error) => keys(error),
        RotationError::Audit(error) => audit(error),
        RotationError::After(_) => operator(
            "rotation_unfinished",
            text,
            "mend that; then 'comity check', or a start of the node, ends the rotation",
        ),
        RotationError::Leftover { .. } => operator(
            "rotation_unfinished",
            text,
            "remove that file: the store does not use it any more",
        ),
    }
}

pub fn transport(error: TransportError) -> ApiError {
    match error {
        TransportError::Listen { .. } => operator(
            "listen",
            error,
            "choose another address under 'listen', or stop what uses it",
        ),
        error => node("transport", error),
    }
}

pub fn directory(dir: &Path, error: &std::io::Error) -> ApiError {
    operator(
        "directory",
        format!("{}: {error}", dir.display()),
        "check the path, its owner and the disk",
    )
}

pub fn peering(error: PeeringError) -> ApiError {
    let text = error.to_string();
    match error {
        PeeringError::Store(error) => store(error),
        PeeringError::NotAFile(_) => failure(
            Fault::Peer,
            "not_a_peering_file",
            text,
            "ask the other partner for the file again, and carry it unchanged",
        ),
        PeeringError::Own => operator("own_invitation", text, "hand it to the other partner"),
        PeeringError::Expired => failure(
            Fault::Peer,
            "invitation_expired",
            text,
            "ask for a new invitation",
        ),
        PeeringError::NoSuchInvitation => {
            operator("no_such_invitation", text, "make a new invitation")
        }
        PeeringError::Exists { .. } => {
            operator("peer_exists", text, "'comity peer revoke' ends it first")
        }
        PeeringError::NameTaken(_) => {
            operator("name_taken", text, "ask the partner to choose another name")
        }
        PeeringError::NoSuchPact(_) => {
            operator("no_such_peer", text, "'comity peer list' names the peers")
        }
        PeeringError::WrongState { .. } => {
            operator("peer_state", text, "'comity peer list' shows the states")
        }
        PeeringError::WordsDiffer => failure(
            Fault::Peer,
            "words_differ",
            text,
            "compare them again by voice; if they differ, somebody swapped a file on its way: revoke and begin anew",
        ),
        PeeringError::TooMany => {
            operator("too_many_peers", text, "revoke pacts that are not needed")
        }
    }
}

pub fn command(error: CommandError) -> ApiError {
    let text = error.to_string();
    match error {
        CommandError::NoSuchChannel => operator(
            "no_such_channel",
            text,
            "'comity channel list' names the channels",
        ),
        CommandError::NotMember("invited") => operator(
            "not_member",
            text,
            "'comity channel accept' accepts the invitation",
        ),
        CommandError::NotMember(_) => {
            operator("not_member", text, "a member can invite this partner again")
        }
        CommandError::NotAllowed => operator(
            "not_allowed",
            text,
            "ask an owner or an admin of the channel",
        ),
        CommandError::AlreadyThere(_) => operator(
            "already_there",
            text,
            "'comity channel list' shows the members",
        ),
        CommandError::NotAuthor => user("not_author", text, "only the author can do this"),
        CommandError::NoMember(_) => user(
            "no_member",
            text,
            "'comity channel list' shows the members; name only those",
        ),
        CommandError::WithoutSelf => node("internal", text),
        CommandError::Widens(_) => user(
            "widens",
            text,
            "leave that partner out, or write a new post for it",
        ),
        CommandError::NotItsReaders => user(
            "not_its_readers",
            text,
            "leave the audience out: an edit or a withdrawal reaches whoever got the message",
        ),
        CommandError::WeakerLabel => user(
            "weaker_label",
            text,
            "leave the label out: the message's own label is taken over",
        ),
        CommandError::NotAPost => user("not_a_post", text, "name a post"),
        CommandError::QuorumMissing { .. } => operator(
            "quorum_missing",
            text,
            "this partner's endorsement stands; ask the other owners to endorse it too, then give the order again",
        ),
        CommandError::Quorum => user("bad_quorum", text, "0 means a majority of the owners"),
        CommandError::TooLong { .. } => user("too_long", text, "shorten the message or split it"),
        CommandError::NotAReaction => user(
            "not_a_reaction",
            text,
            "give a short name, such as thumbsup",
        ),
        CommandError::RestoredFromOldCopy => operator(
            "restored_copy",
            text,
            "nothing more is written here, so that no position is signed twice; see docs/operations.md, 'After restoring a backup'",
        ),
        CommandError::SeatLost => operator(
            "seat_lost",
            text,
            "once the node has read its events back, sign a seat transfer with the root key: comity writer transfer-seat; see docs/operations.md, 'After restoring a backup'",
        ),
        CommandError::NotAFile(_) => user(
            "not_a_file",
            text,
            "a file has at most 1 GiB, its name 1 to 255 bytes; 'comity file list' names the files",
        ),
        CommandError::Withdrawn => user("withdrawn", text, "ask its author for it"),
        CommandError::TooManyFetches => operator(
            "too_many_fetches",
            text,
            "try again when one of them has ended",
        ),
        CommandError::NotARoster | CommandError::Internal(_) => node("internal", text),
    }
}
