//! Checks signatures on all cores, the peers in turn.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use comity_protocol::event::TAG_EVENT_SIGNATURE;
use comity_protocol::id::PartnerId;
use comity_protocol::replica::VerifyItem;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::environment::Work;
use crate::turns::Turns;

/// Signatures that one job checks, or more where a batch has more: enough to be worth the way to
/// another thread, few enough that others soon have their turn.
const SIGNATURES_PER_JOB: usize = 48;

/// Batches of one job, with what each asked for.
type Job = Vec<(u64, PartnerId, Vec<VerifyItem>)>;

/// What a job tells.
pub enum Checked {
    /// One batch is done; others of the job may go on.
    Batch(Verdicts),
    /// A core is idle.
    Job,
}

/// The verdicts of a batch.
pub struct Verdicts {
    pub batch: u64,
    pub peer: PartnerId,
    pub valid: Vec<bool>,
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
    order: BTreeMap<PartnerId, BTreeMap<u64, Option<Verdicts>>>,
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
                // The driver is gone only when the node stops.
                for batch in job {
                    let _ = checked.send(Checked::Batch(check(batch)));
                }
                let _ = checked.send(Checked::Job);
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

    /// Takes what a job tells; the verdicts whose turn has come are added to `due`.
    pub fn finish(&mut self, checked: Checked, due: &mut VecDeque<Verdicts>) {
        let verdicts = match checked {
            Checked::Batch(verdicts) => verdicts,
            Checked::Job => {
                self.running -= 1;
                return self.start();
            }
        };
        let peer = verdicts.peer;
        let guessed = GUESS * verdicts.valid.len() as u32;
        let more = verdicts.took.saturating_sub(guessed);
        self.waiting.charge(&peer, more);
        let Some(order) = self.order.get_mut(&peer) else {
            return;
        };
        order.insert(verdicts.batch, Some(verdicts));
        while let Some(mut first) = order.first_entry()
            && let Some(verdicts) = first.get_mut().take()
        {
            first.remove();
            due.push_back(verdicts);
        }
        if order.is_empty() {
            self.order.remove(&peer);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const PEERS: [PartnerId; 2] = [PartnerId([1; 32]), PartnerId([2; 32])];

    fn told(batch: u64, peer: PartnerId) -> Checked {
        Checked::Batch(Verdicts {
            batch,
            peer,
            valid: vec![true],
            took: Duration::ZERO,
        })
    }

    fn finish(verifiers: &mut Verifiers, checked: Checked) -> Vec<u64> {
        let mut due = VecDeque::new();
        verifiers.finish(checked, &mut due);
        due.into_iter().map(|verdicts| verdicts.batch).collect()
    }

    #[tokio::test]
    async fn verdicts_of_a_peer_come_in_its_order_and_no_peer_waits_for_another() {
        let (mut verifiers, _checked) = Verifiers::new(Work::Threads);
        for (batch, peer) in [(1, 0), (2, 0), (3, 1), (4, 0)] {
            verifiers.push(PEERS[peer], batch, Vec::new());
        }
        assert!(finish(&mut verifiers, told(4, PEERS[0])).is_empty());
        assert_eq!(finish(&mut verifiers, told(3, PEERS[1])), [3]);
        assert_eq!(finish(&mut verifiers, told(1, PEERS[0])), [1]);
        assert_eq!(finish(&mut verifiers, told(2, PEERS[0])), [2, 4]);
        assert!(verifiers.order.is_empty());
    }

    #[tokio::test]
    async fn no_more_jobs_run_than_there_are_cores() {
        let (mut verifiers, mut checked) = Verifiers::new(Work::Threads);
        for batch in 0..10 {
            verifiers.push(PEERS[0], batch, Vec::new());
        }
        let mut due = VecDeque::new();
        verifiers.start();
        while due.len() < 10 {
            assert!(verifiers.running <= verifiers.work.cores());
            let told = checked.recv().await.expect("verdicts");
            verifiers.finish(told, &mut due);
        }
        let order: Vec<u64> = due.into_iter().map(|verdicts| verdicts.batch).collect();
        assert_eq!(order, Vec::from_iter(0..10));
    }
}
