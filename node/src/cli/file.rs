//! `comity file send`, `get` and `list`: files to an audience.

use std::fs::{File, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tempfile::NamedTempFile;

use super::args::{FileCommand, FileGetArgs, FileListArgs, FileSendArgs};
use super::client::Node;
use super::escape::escape;
use super::exit::Exit;
use super::message::forked_mark;
use super::output::Output;
use super::table::{bytes, short};
use super::{failure, time};
use crate::api::{
    ApiError, FileData, FileInfo, FileUpload, Item, NewFile, Precedence, Request, Written,
};

/// What is known of a file by nothing but its bytes.
const ANY_TYPE: &str = "application/octet-stream";
/// The permissions of a file that is written, before the umask.
const FILE_MODE: u32 = 0o666;
/// What a file that is being written is called until it is whole.
const TEMPORARY_PREFIX: &str = ".comity-";

pub async fn run(dir: &Path, command: FileCommand, output: &Output) -> Result<Exit, ApiError> {
    match command {
        FileCommand::Send(args) => send(dir, args, output).await,
        FileCommand::Get(args) => get(dir, args, output).await,
        FileCommand::List(args) => list(dir, args, output).await,
    }
}

async fn send(dir: &Path, args: FileSendArgs, output: &Output) -> Result<Exit, ApiError> {
    let file_error = |error: std::io::Error| failure::file(&args.path, &error);
    let mut file = File::open(&args.path).map_err(file_error)?;
    let metadata = file.metadata().map_err(file_error)?;
    if !metadata.is_file() {
        return Err(failure::operator(
            "file",
            format!("{} is no regular file", args.path.display()),
            "name a file; a directory can be sent as an archive",
        ));
    }
    let size = metadata.len();
    let mut node = Node::open(dir).await?;
    let begin = Request::FileBegin(NewFile {
        channel: args.channel,
        user: args.user,
        name: name(args.name, &args.path)?,
        media_type: args.media_type.unwrap_or_else(|| ANY_TYPE.into()),
        size,
        to: args.to,
        post: args.post,
        create_at_ms: None,
        precedence: Precedence::Routine,
    });
    let upload: FileUpload = node.ask_one(begin).await?;
    let bar = bar(size);
    let mut sent = 0;
    for chunk in 0.. {
        if sent == size {
            break;
        }
        let length = (size - sent).min(upload.chunk_bytes as u64);
        let mut buffer = vec![0; length as usize];
        file.read_exact(&mut buffer).map_err(file_error)?;
        let data = BASE64.encode(&buffer);
        let upload = upload.upload.clone();
        let request = Request::FileChunk {
            upload,
            chunk,
            data,
        };
        node.order(request).await?;
        sent += length;
        bar.set_position(sent);
    }
    bar.finish_and_clear();
    let finish = Request::FileFinish {
        upload: upload.upload,
    };
    let written: Written = node.ask_one(finish).await?;
    output.answer(&written, |written| {
        format!(
            "{}  in {}, for {}",
            escape(&written.id),
            escape(&written.channel),
            escape(&written.audience.join(", "))
        )
    })?;
    Ok(Exit::Ok)
}

/// The name that others see: as given, or the last part of the path.
fn name(given: Option<String>, path: &Path) -> Result<String, ApiError> {
    let own = || path.file_name()?.to_str().map(ToString::to_string);
    given.or_else(own).ok_or_else(|| {
        failure::operator(
            "not_a_file",
            format!("{} has no name in UTF-8", path.display()),
            "give the name that others are to see with --name",
        )
    })
}

/// What `file get` came to.
#[derive(Serialize)]
struct Got {
    #[serde(flatten)]
    file: FileInfo,
    /// Where it was written to.
    output: PathBuf,
}

async fn get(dir: &Path, args: FileGetArgs, output: &Output) -> Result<Exit, ApiError> {
    demand_free(&args)?;
    let mut node = Node::open(dir).await?;
    let file = fetch(&mut node, &args, output).await?;
    write(&mut node, &file, &args).await?;
    let got = Got {
        file,
        output: args.output,
    };
    output.answer(&got, |got| {
        format!(
            "wrote {}: {} of {}, {}",
            escape(&got.output.display().to_string()),
            escape(got.file.name.as_deref().unwrap_or_default()),
            escape(&got.file.author),
            bytes(got.file.size.unwrap_or(0)),
        )
    })?;
    Ok(Exit::Ok)
}

/// Refuses before anything is fetched what could not be written.
fn demand_free(args: &FileGetArgs) -> Result<(), ApiError> {
    match std::fs::symlink_metadata(&args.output) {
        Ok(there) if there.is_dir() => Err(failure::operator(
            "file",
            format!("{} is a directory", args.output.display()),
            "name the file to write: the name that its author gave it is not used as a path",
        )),
        Ok(_) if !args.force => Err(exists(&args.output)),
        _ => Ok(()),
    }
}

fn exists(path: &Path) -> ApiError {
    failure::operator(
        "file",
        format!("{} exists", path.display()),
        "name a file that does not exist yet, or overwrite it with --force",
    )
}

/// Waits until the node holds all of the file.
async fn fetch(node: &mut Node, args: &FileGetArgs, output: &Output) -> Result<FileInfo, ApiError> {
    let request = Request::FileFetch {
        file: args.file.clone(),
        wait_s: args.wait.as_secs(),
    };
    let (mut found, mut waits) = (None, false);
    let bar = bar(0);
    let mut sink = |item| {
        match item {
            Item::File(file) => found = Some(file),
            Item::FileProgress(progress) => {
                let alone = progress.from.is_none() && progress.held < progress.size;
                if alone && !waits {
                    output.note("no partner that has the file is linked at present; waiting");
                }
                waits = alone;
                bar.set_length(progress.size);
                bar.set_position(progress.held);
            }
            _ => {}
        }
        Ok(())
    };
    let fetched = node.ask(request, &mut sink).await;
    bar.finish_and_clear();
    fetched?;
    found.ok_or_else(|| failure::node("bad_answer", "the node did not say which file it is"))
}

/// Writes the file beside its path, and gives it its name once it is whole and on disk.
async fn write(node: &mut Node, file: &FileInfo, args: &FileGetArgs) -> Result<(), ApiError> {
    let file_error = |error: std::io::Error| failure::file(&args.output, &error);
    let beside = match args.output.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .permissions(Permissions::from_mode(FILE_MODE))
        .tempfile_in(beside)
        .map_err(file_error)?;
    let size = file.size.unwrap_or(0);
    let mut written = 0;
    for chunk in 0.. {
        if written >= size {
            break;
        }
        let request = Request::FileRead {
            file: file.id.clone(),
            chunk,
        };
        let data: FileData = node.ask_one(request).await?;
        let plain = BASE64
            .decode(&data.data)
            .map_err(|error| failure::node("bad_answer", error))?;
        if plain.is_empty() {
            return Err(failure::node("bad_answer", "the node gave an empty chunk"));
        }
        temporary.write_all(&plain).map_err(file_error)?;
        written += plain.len() as u64;
    }
    temporary.as_file().sync_all().map_err(file_error)?;
    persist(temporary, args)
}

fn persist(temporary: NamedTempFile, args: &FileGetArgs) -> Result<(), ApiError> {
    let persisted = if args.force {
        temporary.persist(&args.output)
    } else {
        temporary.persist_noclobber(&args.output)
    };
    match persisted {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(exists(&args.output))
        }
        Err(error) => Err(failure::file(&args.output, &error.error)),
    }
}

async fn list(dir: &Path, args: FileListArgs, output: &Output) -> Result<Exit, ApiError> {
    let mut node = Node::open(dir).await?;
    let request = Request::FileList {
        channel: args.channel,
    };
    let mut sink = |item| match item {
        Item::File(file) => output.answer(&file, shown),
        _ => Ok(()),
    };
    node.ask(request, &mut sink).await?;
    Ok(Exit::Ok)
}

/// A file as a person reads of it.
pub fn shown(file: &FileInfo) -> String {
    let mut text = format!(
        "{}  {}  {}",
        time::utc(file.create_at),
        escape(&file.author),
        escape(&short(&file.id)),
    );
    if let Some(post) = &file.post {
        text.push_str(&format!("  with {}", escape(&short(post))));
    }
    text.push_str("\n    ");
    if let (Some(name), Some(size)) = (&file.name, file.size) {
        let media_type = file.media_type.as_deref().unwrap_or_default();
        text.push_str(&format!(
            "file {}, {}, {}, for {}  ",
            escape(name),
            escape(media_type),
            bytes(size),
            escape(&file.audience.join(", "))
        ));
    } else {
        text.push_str("file ");
    }
    text.push_str(&format!("({})", state(&file.state)));
    text.push_str(forked_mark(file.forked));
    text
}

fn state(state: &str) -> std::borrow::Cow<'_, str> {
    match state {
        "held" => "held".into(),
        "partly_held" => "partly held".into(),
        "not_fetched" => "not fetched".into(),
        "withdrawn" => "withdrawn by its author".into(),
        "flagged" => "not shown: its author had left, and nobody vouches for it".into(),
        "no_key" => "the key is not here yet".into(),
        "unreadable" => "cannot be read".into(),
        other => escape(other),
    }
}

/// Shown on a terminal's standard error only.
fn bar(size: u64) -> ProgressBar {
    let template = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let bar = ProgressBar::new(size);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_cannot_pass_for_anything_else() {
        let file = FileInfo {
            channel: "room".into(),
            id: "abcdef0123456789".into(),
            author: "eve@bravo".into(),
            create_at: 0,
            name: Some("../../etc/passwd\u{202e}\n".into()),
            media_type: Some("text/\u{1b}[2J".into()),
            size: Some(2048),
            audience: vec!["alpha".into(), "bravo".into()],
            post: Some("0123456789abcdef".into()),
            state: "not_fetched".into(),
            forked: false,
        };
        assert_eq!(
            shown(&file),
            "1970-01-01 00:00:00  eve@bravo  abcdef012345  with 0123456789ab\n    \
             file ../../etc/passwd\\u{202e}\\n, text/\\u{1b}[2J, 2.0 KiB, for alpha, bravo  \
             (not fetched)"
        );
    }

    #[test]
    fn only_the_last_part_of_a_path_is_told_to_others() {
        let path = Path::new("/home/alice/secret project/plan.pdf");
        assert_eq!(name(None, path).unwrap(), "plan.pdf");
        assert_eq!(name(Some("other".into()), path).unwrap(), "other");
        assert!(name(None, Path::new("/")).is_err());
    }
}
