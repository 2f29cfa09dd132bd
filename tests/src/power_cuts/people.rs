//! People who write on a node, all at once, until the power is out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use comity_node::api::{
    ChannelInfo, FileData, FileInfo, FileUpload, History, ImportPost, Imported, Item, NewFile,
    PeerInfo, PostInfo, Precedence, Request, Written,
};
use comity_node::node::Node;
use comity_node::service;

use super::told::{ARCHIVE, CLERK, Said, Told, line};
use crate::{Dice, PATIENCE, PowerSupply};

/// The import of the tests, by its digest.
const IMPORT: &str = "00000000000000000000000000000000000000000000000000000000000000c1";
/// The most lines in a batch of the import.
const BATCH: u64 = 8;
/// The longest filling of a message, in bytes: so that write buffers fill up.
const FILLING: u64 = 2000;
/// The longest file, in digits: most chunks are long enough to lie in a file of their own.
const FILE: u64 = 64 << 10;
/// Between two looks at a link.
const PAUSE: Duration = Duration::from_millis(5);

/// A node, what it has told, and whether it has power.
pub struct People<'a> {
    pub node: &'a Node,
    pub supply: &'a PowerSupply,
    pub told: &'a RefCell<Told>,
}

impl People<'_> {
    /// Everybody writes until the power is out.
    pub async fn write(&self, dice: &mut Dice) {
        let (founder, clerk) = (dice.split(), dice.split());
        tokio::join!(self.talk(dice), self.found(founder), self.import(clerk));
    }

    /// Two users post and edit until the power is out.
    pub async fn talk(&self, dice: &mut Dice) {
        let (anna, boris) = (dice.split(), dice.split());
        tokio::join!(self.talk_as("anna", anna), self.talk_as("boris", boris));
    }

    /// Hands file after file over, to a node that serves, until the power is out.
    pub async fn send_files(&self, channel: &str, dice: &mut Dice) -> Option<()> {
        loop {
            // Its digits are base64 as they are.
            let data = digits(dice, FILE);
            self.told.borrow_mut().ask_file(&data);
            let file = NewFile {
                channel: channel.into(),
                user: "porter".into(),
                name: "digits".into(),
                media_type: "application/octet-stream".into(),
                size: data.len() as u64 / 4 * 3,
                to: Vec::new(),
                post: None,
                create_at_ms: None,
                precedence: Precedence::Routine,
            };
            let FileUpload { upload, .. } = self.one(Request::FileBegin(file)).await?;
            let chunk = Request::FileChunk {
                upload: upload.clone(),
                chunk: 0,
                data: data.clone(),
            };
            let _: Vec<Written> = self.all(chunk).await?;
            let written: Written = self.one(Request::FileFinish { upload }).await?;
            self.told.borrow_mut().tell_file(written.id, data);
        }
    }

    /// The files of a channel, by id.
    pub async fn files(&self, channel: &str) -> BTreeMap<String, String> {
        let power = "the power is on";
        let list = Request::FileList {
            channel: channel.into(),
        };
        let mut files = BTreeMap::new();
        for file in self.all::<FileInfo>(list).await.expect(power) {
            assert_eq!(file.state, "held", "{file:?}");
            let read = Request::FileRead {
                file: file.id.clone(),
                chunk: 0,
            };
            let read: FileData = self.one(read).await.expect(power);
            files.insert(file.id, read.data);
        }
        files
    }

    /// Waits until the node is linked to its one peer.
    pub async fn await_link(&self) {
        let linked = async {
            while self.peer().await.is_none_or(|peer| !peer.connected) {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, linked).await;
        waited.expect("a link to the peer");
    }

    async fn peer(&self) -> Option<PeerInfo> {
        self.one(Request::PeerList).await
    }

    /// The channels and the posts that the node shows.
    pub async fn look(&self) -> (Vec<ChannelInfo>, Vec<PostInfo>) {
        let channels = self.all(Request::ChannelList).await;
        let posts = self.all(Request::Export { channel: None }).await;
        let power = "the power is on";
        (channels.expect(power), posts.expect(power))
    }

    /// Makes a channel; none if the power goes.
    pub async fn make(&self, name: String) -> Option<()> {
        self.told.borrow_mut().ask_channel(&name);
        let request = Request::ChannelCreate {
            name,
            history: History::All,
            quorum: 0,
        };
        let made: ChannelInfo = self.one(request).await?;
        self.told.borrow_mut().tell_channel(made.name);
        Some(())
    }

    /// Posts, and changes what was posted.
    async fn talk_as(&self, user: &str, mut dice: Dice) -> Option<()> {
        loop {
            let own = self.pick(&mut dice, |told| {
                let own = told.posts.iter().filter(|(_, said)| said.user == user);
                own.map(|(id, _)| id.clone()).collect()
            });
            match own {
                Some(post) if dice.below(4) == 0 => self.edit(user, post, &mut dice).await?,
                _ => {
                    let of = |told: &Told| told.channels.iter().cloned().collect();
                    let channel = self.pick(&mut dice, of).expect("a channel");
                    self.post(user, channel, &mut dice).await?;
                }
            }
        }
    }

    /// Makes a channel and is the first to write there.
    async fn found(&self, mut dice: Dice) -> Option<()> {
        let name = format!("room-{:016x}", dice.roll());
        self.make(name.clone()).await?;
        loop {
            self.post("founder", name.clone(), &mut dice).await?;
        }
    }

    /// Posts in a channel; none if the power goes.
    pub async fn post(&self, user: &str, channel: String, dice: &mut Dice) -> Option<()> {
        let said = Said {
            channel,
            user: user.into(),
            message: message(dice),
        };
        self.told.borrow_mut().ask_post(&said);
        let request = Request::Post {
            channel: said.channel.clone(),
            user: said.user.clone(),
            message: said.message.clone(),
            reply_to: None,
            create_at_ms: None,
            precedence: Precedence::Routine,
            to: Vec::new(),
        };
        let written: Written = self.one(request).await?;
        self.told.borrow_mut().tell_post(written.id, said);
        Some(())
    }

    async fn edit(&self, user: &str, post: String, dice: &mut Dice) -> Option<()> {
        let message = message(dice);
        self.told.borrow_mut().ask_edit(&post, &message);
        let request = Request::Edit {
            post: post.clone(),
            user: user.into(),
            message,
        };
        let _: Written = self.one(request).await?;
        self.told.borrow_mut().tell_edit(&post);
        Some(())
    }

    /// Imports line after line. Begins before the last line that is there: the node must know
    /// which it has.
    async fn import(&self, mut dice: Dice) -> Option<()> {
        loop {
            let there = self.told.borrow().lines;
            let first = there.saturating_sub(dice.below(BATCH)) + 1;
            let last = there + 1 + dice.below(BATCH);
            let posts = (first..=last).map(import_post).collect();
            self.told.borrow_mut().ask_lines(last);
            let import = IMPORT.into();
            let imported: Imported = self.one(Request::Import { import, posts }).await?;
            let expected = (last - there, there + 1 - first);
            assert_eq!((imported.posted, imported.skipped), expected);
            self.told.borrow_mut().tell_lines(last);
        }
    }

    fn pick(&self, dice: &mut Dice, of: impl Fn(&Told) -> Vec<String>) -> Option<String> {
        let mut choices = of(&self.told.borrow());
        let count = choices.len() as u64;
        (count > 0).then(|| choices.swap_remove(dice.below(count) as usize))
    }

    /// Asks what has one answer; none if the power goes.
    async fn one<T: TryFrom<Item> + Send>(&self, request: Request) -> Option<T> {
        self.all(request).await?.pop()
    }

    async fn all<T: TryFrom<Item> + Send>(&self, request: Request) -> Option<Vec<T>> {
        let mut answers = Vec::new();
        let mut take = |item| answers.extend(T::try_from(item).ok());
        match service::answer(self.node, request, &mut take).await {
            Ok(()) => Some(answers),
            Err(_) if self.supply.is_out() => None,
            Err(error) => panic!("refused while the power is on: {error:?}"),
        }
    }
}

fn import_post(number: u64) -> ImportPost {
    ImportPost {
        line: number,
        channel: ARCHIVE.into(),
        user: CLERK.into(),
        message: line(number),
        create_at_ms: number,
    }
}

/// A message like no other, of any length.
fn message(dice: &mut Dice) -> String {
    digits(dice, FILLING)
}

fn digits(dice: &mut Dice, most: u64) -> String {
    let words = 1 + dice.below(most / 16);
    (0..words)
        .map(|_| format!("{:016x}", dice.roll()))
        .collect()
}
