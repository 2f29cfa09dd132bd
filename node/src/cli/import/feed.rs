//! The second reading of a file: its posts, in batches, to the home node of each author.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::failure;
use super::line::{Line, Post};
use super::selection::Rule;
use super::source::Source;
use super::survey::Organisations;
use crate::api::{ApiError, ImportPost};

/// The most posts in a batch, which a node writes at once.
const BATCH_POSTS: usize = 256;
/// The most bytes of messages in a batch, so that memory is bounded whatever the file.
const BATCH_BYTES: usize = 2 << 20;
/// Batches waiting for a home node: enough that reading never holds posting up.
const QUEUE: usize = 4;

/// A reading under way.
pub struct Feeding(JoinHandle<Result<(), ApiError>>);

impl Feeding {
    /// Tells how the reading ended, once all receivers are empty or gone.
    pub async fn finished(&mut self) -> Result<(), ApiError> {
        (&mut self.0)
            .await
            .map_err(|error| failure::node("reading", error))?
    }
}

/// Begins to read, and gives a receiver of batches for each of `homes`, in the same order.
/// Authors of other homes are passed over.
pub fn feed(
    source: Source,
    rule: Rule,
    organisations: Organisations,
    homes: Vec<String>,
) -> (Vec<mpsc::Receiver<Vec<ImportPost>>>, Feeding) {
    let (bins, receivers) = homes.into_iter().map(Bin::new).unzip();
    let mut sorter = Sorter {
        rule,
        organisations,
        bins,
    };
    let reading = tokio::task::spawn_blocking(move || sorter.run(&source));
    (receivers, Feeding(reading))
}

struct Sorter {
    rule: Rule,
    organisations: Organisations,
    bins: Vec<Bin>,
}

impl Sorter {
    fn run(&mut self, source: &Source) -> Result<(), ApiError> {
        let mut lines = source.lines()?;
        while let Some((number, bytes)) = lines.next()? {
            let line = Line::parse(bytes).map_err(|why| lines.malformed(why))?;
            if let Line::Post(post) = line
                && self.sort(number, post).is_err()
            {
                // A home node failed, which its importer reports.
                return Ok(());
            }
        }
        for bin in &mut self.bins {
            let _ = bin.send();
        }
        Ok(())
    }

    fn sort(&mut self, line: u64, post: Post) -> Result<(), Closed> {
        let organisation = self
            .organisations
            .get(&post.user)
            .map_or("", String::as_str);
        let home = self.rule.home(&post.user, organisation);
        match self.bins.iter_mut().find(|bin| bin.home == home) {
            Some(bin) => bin.add(line, post),
            None => Ok(()),
        }
    }
}

/// The importer of a home node has given up.
struct Closed;

/// What waits to become the next batch of a home node.
struct Bin {
    home: String,
    posts: Vec<ImportPost>,
    bytes: usize,
    sender: mpsc::Sender<Vec<ImportPost>>,
}

impl Bin {
    fn new(home: String) -> (Self, mpsc::Receiver<Vec<ImportPost>>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let bin = Self {
            home,
            posts: Vec::new(),
            bytes: 0,
            sender,
        };
        (bin, receiver)
    }

    fn add(&mut self, line: u64, post: Post) -> Result<(), Closed> {
        self.bytes += post.message.len();
        self.posts.push(ImportPost {
            line,
            channel: post.channel,
            user: post.user,
            message: post.message,
            create_at_ms: post.create_at,
        });
        match self.posts.len() >= BATCH_POSTS || self.bytes >= BATCH_BYTES {
            true => self.send(),
            false => Ok(()),
        }
    }

    fn send(&mut self) -> Result<(), Closed> {
        self.bytes = 0;
        match std::mem::take(&mut self.posts) {
            posts if posts.is_empty() => Ok(()),
            posts => self.sender.blocking_send(posts).map_err(|_| Closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::survey::survey;
    use super::*;
    use crate::sample;

    #[tokio::test]
    async fn every_post_goes_home_once_and_in_order() {
        let source = sample::source();
        let survey = survey(&source).unwrap();
        let homes: Vec<String> = ["alpha", "bravo", "charlie"].map(Into::into).into();
        let rule = Rule::Organisation;
        let (receivers, mut feeding) = feed(source, rule, survey.organisations.clone(), homes);
        let mut seen = Vec::new();
        for mut receiver in receivers {
            let mut last = 0;
            while let Some(batch) = receiver.recv().await {
                for post in batch {
                    assert!(post.line > last);
                    last = post.line;
                    seen.push(post.line);
                }
            }
        }
        feeding.finished().await.unwrap();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len() as u64, survey.total());
    }

    #[tokio::test]
    async fn reading_ends_when_nobody_wants_the_posts() {
        let source = sample::source();
        let rule = Rule::Spread(vec!["alpha".into()]);
        let (receivers, mut feeding) =
            feed(source, rule, Organisations::default(), vec!["alpha".into()]);
        drop(receivers);
        feeding.finished().await.unwrap();
    }
}
