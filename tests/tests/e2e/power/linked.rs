//! Power cuts of a node that replicates: what it has sent it has not forgotten, or else it would
//! sign another event for a position that its peer has seen taken.

use std::collections::BTreeSet;

use comity_node::node::Mode;
use comity_node::service;
use comity_node::store::Store;
use comity_protocol::rows::Table;
use comity_tests::power_cuts::{Home, PARTNER, stop};
use comity_tests::store::each;
use comity_tests::{Dice, PATIENCE, Site, Syncing, eventually, say};

const PEER: &str = "alpha";
const CHANNEL: &str = "harbour";
const CUTS: u64 = 40;
const UNSYNCED_CUTS: u64 = 10;
const OPERATIONS: u64 = 120;

#[test]
fn no_peer_holds_what_a_node_forgot_when_its_power_went() {
    let mut dice = Dice::of("power cuts of a linked node");
    let mut pair = Pair::new(Syncing::Synced);
    for _ in 0..CUTS {
        assert_eq!(pair.life(&mut dice), Vec::<String>::new());
    }
    pair.converge();
    let told = pair.home.told.borrow();
    say(&format!(
        "power cuts of a linked node: {CUTS}; {} writes acknowledged, {} posts at both, {} files",
        told.answers,
        told.posts.len(),
        told.files.len(),
    ));
}

#[test]
fn without_syncing_a_peer_holds_what_a_node_forgot() {
    let mut dice = Dice::of("power cuts of a linked node without syncing");
    let mut pair = Pair::new(Syncing::Unsynced);
    let forgotten = (0..UNSYNCED_CUTS).find_map(|_| pair.life(&mut dice).pop());
    let blind = "the test above would not see a loss";
    assert!(forgotten.is_some(), "{blind}");
}

/// A partner whose power is good, and one whose power fails.
struct Pair {
    site: Site,
    home: Home,
}

impl Pair {
    fn new(syncing: Syncing) -> Pair {
        let mut site = Site::sharing(CHANNEL, &[PEER, PARTNER]);
        let node = &mut site[PARTNER];
        assert!(node.stop().success());
        let home = Home::at(&node.dir, syncing, Mode::Serving);
        home.told.borrow_mut().channels.insert(CHANNEL.into());
        Pair { site, home }
    }

    /// Opens the node, looks, and lets people talk until the power goes. The posts that the node
    /// has told or sent before, and does not show.
    fn life(&mut self, dice: &mut Dice) -> Vec<String> {
        let sent = self.sent();
        let cut = 1 + dice.below(OPERATIONS);
        let forgotten = self.home.live(async |home| {
            let (node, running) = home.open().await.expect("a node that opens");
            let files = home.people(&node).files(CHANNEL).await;
            is_whole_or_gone(&node.store, files.len());
            let mut forgotten = home.told.borrow_mut().compare_files(files);
            forgotten.extend(home.look(&node).await);
            let there = home.told.borrow().posts.keys().cloned().collect();
            forgotten.extend(sent.difference(&there).cloned());
            if !forgotten.is_empty() {
                stop(node, running).await.expect("a node that ends");
                return forgotten;
            }
            home.people(&node).await_link().await;
            home.supply.cut_before(cut);
            let (people, mut porter) = (home.people(&node), dice.split());
            tokio::join!(people.talk(dice), people.send_files(CHANNEL, &mut porter));
            let ended = service::end(node, running).await;
            assert!(ended.is_err(), "a node that cannot write must stop");
            forgotten
        });
        if self.home.supply.is_out() {
            self.home.supply.restore(&self.home.store(), dice);
        }
        forgotten
    }

    /// The posts that are at the peer.
    fn sent(&self) -> BTreeSet<String> {
        let posts = self.site[PEER].export();
        posts.into_iter().map(|post| post.id).collect()
    }

    /// Waits until the peer has everything.
    fn converge(&mut self) {
        let Pair { site, home } = self;
        home.live(async |home| {
            let (node, running) = home.open().await.expect("a node that opens");
            assert_eq!(home.look(&node).await, Vec::<String>::new());
            let count = home.told.borrow().posts.len();
            eventually("the peer has every post", PATIENCE, || {
                (site[PEER].export().len() == count).then_some(())
            });
            stop(node, running).await.expect("a node that ends");
        });
    }
}

/// Requires one chunk per file: nothing is there of files that were not handed over to the end.
fn is_whole_or_gone(store: &Store, files: usize) {
    let mut chunks = 0;
    each(store, Table::Chunks, |_, _| chunks += 1);
    assert_eq!(chunks, files);
}
