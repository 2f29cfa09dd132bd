//! `comity key`: looks after the node's keys.

use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::args::{KeyCommand, RotateStorageArgs};
use super::client::Connection;
use super::escape::escape;
use super::exit::Exit;
use super::failure;
use super::output::Output;
use super::table::thousands;
use crate::api::ApiError;
use crate::rotation::{End, Rotated};
use crate::service;

/// How often the progress bar moves though nothing is counted: files are being flushed.
const TICK: Duration = Duration::from_millis(100);

pub async fn run(dir: &Path, command: KeyCommand, output: &Output) -> Result<Exit, ApiError> {
    match command {
        KeyCommand::RotateStorage(args) => rotate_storage(dir, args, output).await,
    }
}

async fn rotate_storage(
    dir: &Path,
    args: RotateStorageArgs,
    output: &Output,
) -> Result<Exit, ApiError> {
    if Connection::open(dir).await?.is_some() {
        return Err(failure::operator(
            "running",
            "the node is running, and its storage key is replaced only while it is stopped",
            "'comity stop', this command again, and then start the node",
        ));
    }
    let bar = bar();
    let rotated = service::rotate_storage_key(dir, args.new_key.as_deref(), &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let rotated = rotated?;
    output.answer(&rotated, text)?;
    Ok(exit(rotated.end))
}

/// Shown on a terminal's standard error only.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    bar.enable_steady_tick(TICK);
    let style = ProgressStyle::with_template("{wide_bar} {percent} % sealed again {eta}");
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A key that waits for its credential is not in force yet.
fn exit(end: End) -> Exit {
    match end {
        End::Prepared => Exit::Warning,
        End::Rotated | End::Unchanged => Exit::Ok,
    }
}

fn text(rotated: &Rotated) -> String {
    let done = match rotated.end {
        End::Prepared => "a new storage key is made; nothing is sealed under it yet".into(),
        End::Rotated => format!(
            "the store is under a new storage key; {} values were sealed again",
            thousands(rotated.values)
        ),
        End::Unchanged => "nothing to do: the store is under that key already".into(),
    };
    let before = match rotated.replaced {
        Some(old) => format!(", before it {old}"),
        None => String::new(),
    };
    let file = rotated.key_file.display().to_string();
    let file = escape(&file);
    let next = next(rotated, &file);
    format!(
        "{done}\nkey       {}{before}\nfile      {file}\nnext      {next}",
        rotated.key
    )
}

fn next(rotated: &Rotated, file: &str) -> String {
    let Some(name) = &rotated.credential else {
        return "back the new key up, apart from the store; keep the old one only as long as \
                backups\n          of the store made before"
            .into();
    };
    let name = escape(name);
    let encrypt =
        format!("systemd-creds encrypt --name={name} {file} /etc/credstore.encrypted/{name}");
    match rotated.end {
        End::Prepared => format!(
            "back it up, apart from the store; make a credential of it that survives a power \
             cut:\n          {encrypt}.new\n          and give the same command again"
        ),
        End::Rotated | End::Unchanged => format!(
            "the node cannot start before systemd has the new key:\n          {encrypt}\n          \
             and then: shred -u {file}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use comity_crypto::StorageKey;

    use super::*;
    use crate::store::KeyId;

    #[test]
    fn whoever_uses_a_credential_is_told_how_to_replace_it() {
        let id = |byte| KeyId::of(&StorageKey::from_bytes([byte; 32]));
        let mut rotated = Rotated {
            end: End::Rotated,
            key: id(2),
            replaced: Some(id(1)),
            values: 20_114,
            key_file: "/run/new\u{1b}.key".into(),
            credential: None,
        };
        let of_file = text(&rotated);
        assert!(of_file.contains("20,114 values"), "{of_file}");
        assert!(!of_file.contains("systemd-creds"), "{of_file}");
        rotated.credential = Some("storage".into());
        let of_credential = text(&rotated);
        let command = "systemd-creds encrypt --name=storage /run/new\\u{1b}.key \
                       /etc/credstore.encrypted/storage\n";
        assert!(of_credential.contains(command), "{of_credential}");
        rotated.end = End::Prepared;
        let prepared = text(&rotated);
        assert!(prepared.contains("encrypted/storage.new\n"), "{prepared}");
        assert!(prepared.ends_with("the same command again"), "{prepared}");
    }
}
