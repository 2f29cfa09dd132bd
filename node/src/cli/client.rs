//! Asks a node: the running one over its admin socket, a stopped one by opening its directory.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::failure::{self, NOT_ANSWERING};
use crate::api::{
    ApiError, ChannelInfo, Decided, Digests, Fault, FileData, FileInfo, FileProgress, FileUpload,
    ImportProgress, Imported, Item, LostSeatInfo, MAX_LINE, NodeStatus, PeerInfo, PeeringFile,
    PostInfo, ProvisioningToken, Reply, Request, UserInfo, UserSessionInfo, WriterActed,
    WriterInfo, Written,
};
use crate::config::Config;
use crate::service;

/// The name of the admin socket inside a node's directory.
const SOCKET: &str = "admin.sock";

/// The longest pause within an answer before the node counts as not answering.
const SILENCE: Duration = Duration::from_secs(60);

/// Receives the items of an answer as they come; an error ends the answer.
pub type Sink<'a> = &'a mut (dyn FnMut(Item) -> Result<(), ApiError> + Send);

/// A node that can be asked.
pub enum Node {
    /// Its process listens on its admin socket.
    Running(Connection),
    /// No process serves the directory.
    Stopped { dir: PathBuf, config: Box<Config> },
}

impl Node {
    /// Connects to the node in `dir` or, when none is running there, prepares to open `dir`.
    pub async fn open(dir: &Path) -> Result<Self, ApiError> {
        match Connection::open(dir).await? {
            Some(connection) => Ok(Self::Running(connection)),
            None => Ok(Self::Stopped {
                dir: dir.into(),
                config: Box::new(Config::load(dir)?),
            }),
        }
    }

    /// Sets how long the node may be silent before it counts as not answering.
    pub fn wait_at_most(&mut self, silence: Duration) {
        if let Self::Running(connection) = self {
            connection.silence = silence;
        }
    }

    /// Asks, and hands each item of the answer to `sink`.
    pub async fn ask(&mut self, request: Request, sink: Sink<'_>) -> Result<(), ApiError> {
        match self {
            Self::Running(connection) => connection.ask(&request, sink).await,
            Self::Stopped { dir, config } => ask_offline(dir, config, request, sink).await,
        }
    }

    /// Asks what has exactly one answer.
    pub async fn ask_one<T: Answer>(&mut self, request: Request) -> Result<T, ApiError> {
        one(self.ask_all(request).await?)
    }

    /// Asks what has few answers.
    pub async fn ask_all<T: Answer>(&mut self, request: Request) -> Result<Vec<T>, ApiError> {
        let mut answers = Vec::new();
        self.ask(request, &mut |item| collect(&mut answers, item))
            .await?;
        Ok(answers)
    }

    /// Gives an order that has no answer but its success.
    pub async fn order(&mut self, request: Request) -> Result<(), ApiError> {
        self.ask(request, &mut |_| Ok(())).await
    }
}

/// Opens the directory of a stopped node for one request.
async fn ask_offline(
    dir: &Path,
    config: &Config,
    request: Request,
    sink: Sink<'_>,
) -> Result<(), ApiError> {
    let mut outcome = Ok(());
    service::offline(dir, config.clone(), request, &mut |item| {
        if outcome.is_ok() {
            outcome = sink(item);
        }
    })
    .await?;
    outcome
}

/// A conversation with a running node over its admin socket.
pub struct Connection {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    line: Vec<u8>,
    silence: Duration,
}

impl Connection {
    /// Connects to the node in `dir`; none if no process listens there, which a socket file left
    /// behind by a killed process does not contradict.
    pub async fn open(dir: &Path) -> Result<Option<Self>, ApiError> {
        let path = dir.join(SOCKET);
        match UnixStream::connect(&path).await {
            Ok(stream) => Ok(Some(Self::new(stream))),
            Err(error) if is_absence(error.kind()) => Ok(None),
            Err(error) => Err(unreachable_socket(&path, &error)),
        }
    }

    fn new(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self {
            reader: BufReader::new(reader),
            writer,
            line: Vec::new(),
            silence: SILENCE,
        }
    }

    /// Asks, and hands each item of the answer to `sink`. After an error of the connection or of
    /// `sink` the rest of the answer is still under way: the connection must not be used again.
    pub async fn ask(&mut self, request: &Request, sink: Sink<'_>) -> Result<(), ApiError> {
        self.send(request).await?;
        loop {
            match self.receive().await? {
                Reply::Item { item } => sink(item)?,
                Reply::Done => return Ok(()),
                Reply::Failed { error } => return Err(error),
            }
        }
    }

    /// Asks what has exactly one answer.
    pub async fn ask_one<T: Answer>(&mut self, request: &Request) -> Result<T, ApiError> {
        one(self.ask_all(request).await?)
    }

    /// Asks what has few answers.
    pub async fn ask_all<T: Answer>(&mut self, request: &Request) -> Result<Vec<T>, ApiError> {
        let mut answers = Vec::new();
        self.ask(request, &mut |item| collect(&mut answers, item))
            .await?;
        Ok(answers)
    }

    /// Gives an order that has no answer but its success.
    pub async fn order(&mut self, request: &Request) -> Result<(), ApiError> {
        self.ask(request, &mut |_| Ok(())).await
    }

    async fn send(&mut self, request: &Request) -> Result<(), ApiError> {
        let mut line = serde_json::to_vec(request).map_err(|e| failure::node("request", e))?;
        line.push(b'\n');
        let sent = timeout(self.silence, self.writer.write_all(&line)).await;
        answered(sent)
    }

    async fn receive(&mut self) -> Result<Reply, ApiError> {
        self.line.clear();
        let mut limited = (&mut self.reader).take(MAX_LINE as u64);
        let received = timeout(self.silence, limited.read_until(b'\n', &mut self.line)).await;
        answered(received)?;
        if self.line.last() != Some(&b'\n') {
            return Err(not_answering("the node ended the connection"));
        }
        serde_json::from_slice(&self.line).map_err(|error| {
            failure::node(
                "bad_answer",
                format!("the node's answer is not understood: {error}"),
            )
        })
    }
}

/// A reset is what a node that is just closing its socket leaves to whoever waits at it.
fn is_absence(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    )
}

fn unreachable_socket(path: &Path, error: &std::io::Error) -> ApiError {
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => "run the command as the user that runs the node",
        ErrorKind::InvalidInput => "a socket's path is at most 107 bytes: use a shorter directory",
        _ => "check the node's directory",
    };
    failure::operator(
        "admin_socket",
        format!("{}: {error}", path.display()),
        advice,
    )
}

fn answered<T>(
    result: Result<std::io::Result<T>, tokio::time::error::Elapsed>,
) -> Result<(), ApiError> {
    match result {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(not_answering(&error.to_string())),
        Err(_) => Err(not_answering("it is silent")),
    }
}

fn not_answering(why: &str) -> ApiError {
    ApiError {
        code: NOT_ANSWERING.into(),
        what: format!("the node gives no answer: {why}"),
        fault: Fault::Node,
        advice: "try again; look at the node's log; if it hangs, stop its process and start it \
                 again: what it acknowledged is on disk"
            .into(),
    }
}

/// What a node can answer with.
pub trait Answer: TryFrom<Item> + Send {}

impl<T: TryFrom<Item> + Send> Answer for T {}

fn collect<T: Answer>(answers: &mut Vec<T>, item: Item) -> Result<(), ApiError> {
    let answer = T::try_from(item)
        .map_err(|_| failure::node("bad_answer", "the node answered another question"))?;
    answers.push(answer);
    Ok(())
}

fn one<T>(answers: Vec<T>) -> Result<T, ApiError> {
    let count = answers.len();
    let mut answers = answers.into_iter();
    match (answers.next(), count) {
        (Some(answer), 1) => Ok(answer),
        _ => Err(failure::node(
            "bad_answer",
            format!("the node gave {count} answers where one was due"),
        )),
    }
}

macro_rules! answers {
    ($($variant:ident($answer:ty)),* $(,)?) => {
        $(impl TryFrom<Item> for $answer {
            type Error = ();

            fn try_from(item: Item) -> Result<Self, ()> {
                match item {
                    Item::$variant(answer) => Ok(answer),
                    _ => Err(()),
                }
            }
        })*
    };
}

answers! {
    Status(NodeStatus),
    Peering(PeeringFile),
    Peer(PeerInfo),
    Channel(ChannelInfo),
    Decided(Decided),
    Written(Written),
    Post(PostInfo),
    ImportProgress(ImportProgress),
    Imported(Imported),
    FileUpload(FileUpload),
    File(FileInfo),
    FileProgress(FileProgress),
    FileData(FileData),
    Writer(WriterInfo),
    WriterActed(WriterActed),
    LostSeat(LostSeatInfo),
    User(UserInfo),
    UserSession(UserSessionInfo),
    ProvisioningToken(ProvisioningToken),
    Digests(Digests),
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::super::exit::Exit;
    use super::*;

    #[tokio::test]
    async fn a_socket_left_behind_means_that_no_node_runs() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Connection::open(dir.path()).await.unwrap().is_none());
        drop(UnixListener::bind(dir.path().join(SOCKET)).unwrap());
        assert!(Connection::open(dir.path()).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_node_that_hangs_up_or_is_silent_is_not_answering() {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join(SOCKET)).unwrap();
        let mut node = Node::open(dir.path()).await.unwrap();
        node.wait_at_most(Duration::from_millis(10));
        let silent = node.order(Request::Stop).await.unwrap_err();
        drop(listener);
        let gone = node.order(Request::Stop).await.unwrap_err();
        assert_eq!(Exit::of(&silent), Exit::Unknown);
        assert_eq!(Exit::of(&gone), Exit::Unknown);
    }

    #[tokio::test]
    async fn items_come_before_the_end_of_an_answer() {
        let answer = concat!(
            r#"{"reply":"item","item":{"type":"imported","posted":1,"skipped":2}}"#,
            "\n",
            r#"{"reply":"done"}"#,
            "\n",
        );
        let mut connection = answering(answer).await;
        let imported: Imported = connection.ask_one(&Request::Status).await.unwrap();
        assert_eq!((imported.posted, imported.skipped), (1, 2));
    }

    #[tokio::test]
    async fn an_answer_to_another_question_is_refused() {
        let answer = concat!(
            r#"{"reply":"item","item":{"type":"imported","posted":1,"skipped":2}}"#,
            "\n",
        );
        let mut connection = answering(answer).await;
        let refused = connection.ask_one::<NodeStatus>(&Request::Status).await;
        assert_eq!(refused.unwrap_err().code, "bad_answer");
    }

    /// A connection whose other end has said `answer` already.
    async fn answering(answer: &str) -> Connection {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(answer.as_bytes()).await.unwrap();
        // Kept open as long as the test runs.
        tokio::spawn(async move {
            let _ = far.readable().await;
            std::future::pending::<()>().await;
        });
        Connection::new(near)
    }
}
