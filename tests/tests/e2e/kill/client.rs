//! Clients of the nodes that are killed: they know what is in flight and what was acknowledged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use comity_node::api::{ImportPost, Imported, Precedence, Request, Written};
use comity_tests::admin::{Admin, NoAnswer};
use comity_tests::chat::{Chat, ChatPost};
use comity_tests::{PATIENCE, Site, eventually};

/// Lines of the import that a node is given between two kills.
const LINES: u64 = 192;
/// The fewest lines of a batch, and how many more some have.
const BATCH: u64 = 8;
const BATCH_VARIES: u64 = 25;
/// Posts of its own that a node is given between two kills.
const POSTS: u64 = 16;
/// The claimed time of the first line; each line has its own, by which it is known again.
const BEGIN_MS: u64 = 1_500_000_000_000;
const SPAN_MS: u64 = 1_000_000_000;

/// Two clients for every node: one imports lines in batches, one posts message by message.
pub struct Clients {
    progress: BTreeMap<String, [Arc<Progress>; 2]>,
    importers: Vec<JoinHandle<Lines>>,
    posters: Vec<JoinHandle<Vec<String>>>,
}

/// What the clients have said.
pub struct Said {
    /// Every line of the import, by its claimed time.
    pub imported: Lines,
    /// The id of every single post that was acknowledged.
    pub posted: Vec<String>,
}

type Lines = BTreeMap<u64, ChatPost>;

impl Clients {
    /// Starts the clients; they wait to be allowed something.
    pub fn start(site: &Site, chat: &Arc<Chat>) -> Clients {
        let mut clients = Clients {
            progress: BTreeMap::new(),
            importers: Vec::new(),
            posters: Vec::new(),
        };
        for (number, node) in (1..).zip(site.nodes()) {
            let import = Client::of(&node.dir);
            let post = Client::of(&node.dir);
            let progress = [import.progress.clone(), post.progress.clone()];
            clients.progress.insert(node.name.clone(), progress);
            let (partner, chat) = (node.name.clone(), chat.clone());
            let room = chat.posts[0].channel.clone();
            let importer = move || import.import(number, &partner, &chat);
            clients.importers.push(std::thread::spawn(importer));
            clients
                .posters
                .push(std::thread::spawn(move || post.post(&room)));
        }
        clients
    }

    /// Lets every client say what is due before this kill.
    pub fn allow(&self, kill: u64) {
        for [import, post] in self.progress.values() {
            import.allowed.store(kill * LINES, Ordering::Relaxed);
            post.allowed.store(kill * POSTS, Ordering::Relaxed);
        }
    }

    /// How many posts a node has acknowledged.
    pub fn acknowledged(&self, partner: &str) -> u64 {
        self.sum(partner, |progress| &progress.acknowledged)
    }

    /// How many posts a node was given and has not acknowledged.
    pub fn in_flight(&self, partner: &str) -> u64 {
        self.sum(partner, |progress| &progress.in_flight)
    }

    fn sum(&self, partner: &str, count: impl Fn(&Progress) -> &AtomicU64) -> u64 {
        let counts = self.progress[partner].iter();
        counts.map(|p| count(p).load(Ordering::SeqCst)).sum()
    }

    /// Waits until all that was allowed is said.
    pub fn finish(self) -> Said {
        for progress in self.progress.values().flatten() {
            progress.closing.store(true, Ordering::Relaxed);
        }
        let imported = self.importers.into_iter().flat_map(joined);
        let posted = self.posters.into_iter().flat_map(joined);
        Said {
            imported: imported.collect(),
            posted: posted.collect(),
        }
    }
}

fn joined<T>(client: JoinHandle<T>) -> T {
    client.join().expect("a client that did not panic")
}

/// How far a client is.
#[derive(Default)]
struct Progress {
    allowed: AtomicU64,
    acknowledged: AtomicU64,
    in_flight: AtomicU64,
    closing: AtomicBool,
}

struct Client {
    dir: PathBuf,
    progress: Arc<Progress>,
    connection: Option<Admin>,
}

impl Client {
    fn of(dir: &Path) -> Client {
        Client {
            dir: dir.into(),
            progress: Arc::default(),
            connection: None,
        }
    }

    /// Imports this partner's lines, each batch until it is acknowledged; all of them.
    fn import(mut self, number: u64, partner: &str, chat: &Chat) -> Lines {
        let (mut at, mut lines) = (0, Lines::new());
        loop {
            let count = BATCH + at % BATCH_VARIES;
            if !self.is_allowed(at + count) {
                return lines;
            }
            let batch = at..at + count;
            let posts: Vec<ImportPost> = batch.map(|at| line(number, at, chat)).collect();
            let named = |post: &ImportPost| (post.create_at_ms, as_exported(post, partner));
            lines.extend(posts.iter().map(named));
            self.import_batch(format!("{number:064x}"), posts);
            at += count;
        }
    }

    fn import_batch(&mut self, import: String, posts: Vec<ImportPost>) {
        let count = posts.len() as u64;
        let request = Request::Import { import, posts };
        // The node skips what it had posted before it died.
        let answers = std::iter::repeat_with(|| self.hand_over::<Imported>(&request, count));
        let imported = answers.flatten().next().expect("an endless iterator");
        assert_eq!(imported.posted + imported.skipped, count);
    }

    /// Posts message after message, none twice; the ids that were acknowledged.
    fn post(mut self, room: &str) -> Vec<String> {
        let mut ids = Vec::new();
        for number in 1.. {
            if !self.is_allowed(number) {
                break;
            }
            let request = Request::Post {
                channel: room.into(),
                user: "mira".into(),
                message: format!("Number {number}"),
                reply_to: None,
                create_at_ms: None,
                precedence: Precedence::Routine,
                to: Vec::new(),
            };
            let written = self.hand_over::<Written>(&request, 1);
            ids.extend(written.map(|written| written.id));
        }
        ids
    }

    /// Waits until so much is allowed; false if it never will be.
    fn is_allowed(&self, count: u64) -> bool {
        eventually("the next kill", PATIENCE, || {
            let allowed = self.progress.allowed.load(Ordering::Relaxed) >= count;
            let closing = self.progress.closing.load(Ordering::Relaxed);
            (allowed || closing).then_some(allowed)
        })
    }

    /// Hands a request with that many posts over, and waits; none if the node died meanwhile.
    fn hand_over<T>(&mut self, request: &Request, posts: u64) -> Option<T>
    where
        T: TryFrom<comity_node::api::Item>,
    {
        let dir = &self.dir;
        let connection = self.connection.get_or_insert_with(|| {
            eventually("the node is back", PATIENCE, || Admin::connect(dir).ok())
        });
        let progress = &self.progress;
        let answer = connection
            .send(request)
            .map_err(NoAnswer::Lost)
            .and_then(|()| {
                progress.in_flight.store(posts, Ordering::SeqCst);
                connection.answer()
            });
        progress.in_flight.store(0, Ordering::SeqCst);
        match answer {
            Ok(answer) => {
                progress.acknowledged.fetch_add(posts, Ordering::SeqCst);
                Some(answer)
            }
            Err(NoAnswer::Lost(_)) => {
                self.connection = None;
                None
            }
            Err(NoAnswer::Refused(error)) => panic!("{}: {error:?}", self.dir.display()),
        }
    }
}

/// One line of the import of the partner of that number: real chat, over and over.
fn line(number: u64, at: u64, chat: &Chat) -> ImportPost {
    let post = &chat.posts[(at % chat.posts.len() as u64) as usize];
    ImportPost {
        line: at + 1,
        channel: post.channel.clone(),
        user: post.user.clone(),
        message: post.message.clone(),
        create_at_ms: BEGIN_MS + number * SPAN_MS + at,
    }
}

fn as_exported(post: &ImportPost, partner: &str) -> ChatPost {
    ChatPost {
        channel: post.channel.clone(),
        user: format!("{}@{partner}", post.user),
        create_at: post.create_at_ms,
        message: post.message.clone(),
    }
}
