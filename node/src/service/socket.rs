//! The admin socket: lines of JSON on a Unix socket that only the node's own user may open.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, BufWriter,
};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};

use super::answer::{self, Items};
use super::failure;
use crate::api::{ApiError, MAX_LINE, Reply, Request};
use crate::node::Node;

const FILE_NAME: &str = "admin.sock";
/// Conversations at a time: an operator's shells and a monitoring system.
const CONVERSATIONS: usize = 64;

/// The socket's file, removed when the node stops.
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Binds the socket. The store's lock proves that no other node serves the directory, so a
    /// file that lies there is a dead one's.
    pub fn bind(dir: &Path) -> Result<AdminSocket, ApiError> {
        let path = dir.join(FILE_NAME);
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failure::directory(&path, &error)),
        }
        let refused = |error: std::io::Error| {
            failure::operator(
                "admin_socket",
                format!("{}: {error}", path.display()),
                "a socket's path is at most 107 bytes: use a shorter directory",
            )
        };
        let listener = UnixListener::bind(&path).map_err(refused)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(refused)?;
        Ok(AdminSocket { listener, path })
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Whoever finds it afterwards sees that nobody listens.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Serves conversations until the task is aborted.
pub async fn serve(socket: AdminSocket, node: Arc<Node>, stop: mpsc::Sender<()>) {
    let places = Arc::new(Semaphore::new(CONVERSATIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match socket.listener.accept().await {
            Ok((stream, _)) => {
                let (node, stop) = (node.clone(), stop.clone());
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, &node, stop).await {
                        tracing::debug!(%error, "an admin conversation ended");
                    }
                    drop(place);
                });
            }
            Err(error) => tracing::warn!(%error, "the admin socket does not accept"),
        }
    }
}

async fn converse(stream: UnixStream, node: &Node, stop: mpsc::Sender<()>) -> std::io::Result<()> {
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut writer = BufWriter::new(writer);
    while let Some(line) = read_line(&mut reader).await? {
        let request: Result<Request, _> = serde_json::from_slice(&line);
        let outcome = match request {
            Ok(Request::Stop) => {
                finish(&mut writer, Ok(())).await?;
                // Full means that somebody else has asked for it already.
                let _ = stop.try_send(());
                return Ok(());
            }
            Ok(request) => reply(node, request, &mut writer).await?,
            Err(error) => Err(failure::operator(
                "bad_request",
                format!("the request is not understood: {error}"),
                "use a comity command of the same version as the node",
            )),
        };
        finish(&mut writer, outcome).await?;
    }
    Ok(())
}

/// Answers one request, item by item as they come.
async fn reply(
    node: &Node,
    request: Request,
    writer: &mut BufWriter<OwnedWriteHalf>,
) -> std::io::Result<Result<(), ApiError>> {
    let (mut items, mut produced) = Items::queued();
    let produce = async move {
        let outcome = answer::answer(node, request, &mut items).await;
        drop(items);
        outcome
    };
    // Moved, so that whoever produces sees at once when nobody reads any more.
    let write = async move {
        while let Some(item) = produced.recv().await {
            write_line(writer, &Reply::Item { item }).await?;
            if produced.is_empty() {
                // The next one may be long in coming.
                writer.flush().await?;
            }
        }
        Ok(())
    };
    let (outcome, written): (_, std::io::Result<()>) = tokio::join!(produce, write);
    written.map(|()| outcome)
}

async fn finish(
    writer: &mut BufWriter<OwnedWriteHalf>,
    outcome: Result<(), ApiError>,
) -> std::io::Result<()> {
    let reply = match outcome {
        Ok(()) => Reply::Done,
        Err(error) => Reply::Failed { error },
    };
    write_line(writer, &reply).await?;
    writer.flush().await
}

async fn write_line(writer: &mut BufWriter<OwnedWriteHalf>, reply: &Reply) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    writer.write_all(&line).await
}

async fn read_line(reader: &mut BufReader<OwnedReadHalf>) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut limited = reader.take(MAX_LINE as u64);
    limited.read_until(b'\n', &mut line).await?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) => Err(std::io::Error::other("a line that is too long or cut off")),
    }
}
