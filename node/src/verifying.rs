//! Checks signatures on all cores, the peers in turn.

use std::collections::BTreeMap;
use std::time::Duration;

use comity_protocol::event::TAG_EVENT_SIGNATURE;
use comity_protocol::id::PartnerId;
use comity_protocol::replica::VerifyItem;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::environment::Work;
use crate::turns::Turns;

/// Signatures that one job checks, or those of one batch where it has more: enough to be worth the
/// way to another thread, few enough that others soon have their turn.
const SIGNATURES_PER_JOB: usize = 48;

/// Batches of one job, with what each asked for.
type Job = Vec<(u64, PartnerId, Vec<VerifyItem>)>;

/// The verdicts of one job.
pub struct Checked(Vec<Verdicts>);

struct Verdicts {
    batch: u64,
    peer: PartnerId,
    valid: Vec<bool>,
    took: Duration,
}

/// Batches of signatures that wait, are being checked, or are checked before an earlier one of
/// their peer.
pub struct Verifiers {
    waiting: Turns<(u64, Vec<VerifyItem>)>,
    running: usize,
    work: Work,
    /// Batches of each peer in the order in which they came, with their verdicts once they are
    /// there: the machine gets them in this order.
    order: BTreeMap<PartnerId, BTreeMap<u64, Option<Vec<bool>>>>,
    checked: mpsc::UnboundedSender<Checked>,
}

impl Verifiers {
    /// The second value is where the verdicts come out, to be given to [`Verifiers::finish`].
    pub fn new(work: Work) -> (Verifiers, mpsc::UnboundedReceiver<Checked>) {
        let (checked, received) = mpsc::unbounded_channel();
        let verifiers = Verifiers {
            waiting: Turns::default(),
            running: 0,
            work,
            order: BTreeMap::new(),
            checked,
        };
        (verifiers, received)
    }

    pub fn push(&mut self, peer: PartnerId, batch: u64, items: Vec<VerifyItem>) {
        self.order.entry(peer).or_default().insert(batch, None);
        self.waiting.push(peer, (batch, items));
    }

    /// Sets idle cores to work.
    pub fn start(&mut self) {
        while self.running < self.work.cores() {
            let job = self.next_job();
            if job.is_empty() {
                return;
            }
            self.running += 1;
            let checked = self.checked.clone();
            self.work.run(move || {
                let verdicts = job.into_iter().map(check).collect();
                // The driver is gone only when the node stops.
                let _ = checked.send(Checked(verdicts));
            });
        }
    }

    fn next_job(&mut self) -> Job {
        let mut job = Job::new();
        let mut size = 0;
        while size < SIGNATURES_PER_JOB
            && let Some((peer, (batch, items))) = self.waiting.pop(|_| true)
        {
            size += items.len();
            // So that the next pick knows; the rest of what it took is added at the end.
            self.waiting.charge(&peer, GUESS * items.len() as u32);
            job.push((batch, peer, items));
        }
        job
    }

    /// Takes the verdicts of a job; returns those whose turn has come.
    pub fn finish(&mut self, checked: Checked) -> Vec<(u64, Vec<bool>)> {
        self.running -= 1;
        let mut due = Vec::new();
        for verdicts in checked.0 {
            let guessed = GUESS * verdicts.valid.len() as u32;
            let more = verdicts.took.saturating_sub(guessed);
            self.waiting.charge(&verdicts.peer, more);
            let Some(order) = self.order.get_mut(&verdicts.peer) else {
                continue;
            };
            order.insert(verdicts.batch, Some(verdicts.valid));
            while let Some(mut first) = order.first_entry()
                && let Some(valid) = first.get_mut().take()
            {
                due.push((first.remove_entry().0, valid));
            }
            if order.is_empty() {
                self.order.remove(&verdicts.peer);
            }
        }
        due
    }
}

/// About what checking one signature takes, until it is known.
const GUESS: Duration = Duration::from_micros(30);

fn check((batch, peer, items): (u64, PartnerId, Vec<VerifyItem>)) -> Verdicts {
    let begun = Instant::now();
    Verdicts {
        batch,
        peer,
        valid: items.iter().map(verify).collect(),
        took: begun.elapsed(),
    }
}

fn verify(item: &VerifyItem) -> bool {
    item.key
        .verify(TAG_EVENT_SIGNATURE, &item.id.0, &item.signature.0)
        .is_ok()
}
