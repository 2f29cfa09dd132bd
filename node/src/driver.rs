//! The one task that owns the machine.
//!
//! Connections, API handlers and timers only send it inputs. It feeds them to the machine, sends
//! signatures to the verifying threads at once, and hands everything else to the
//! [committer](crate::committer) in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock, SystemTime, UNIX_EPOCH};

use comity_protocol::event::TAG_EVENT_SIGNATURE;
use comity_protocol::id::PartnerId;
use comity_protocol::keys::Entropy;
use comity_protocol::replica::{
    Command, CommandError, Input, Notice, Output, Replica, StreamClass, VerifyItem, Written,
};
use comity_protocol::time::{Instant, Now, WallTime};
use tokio::sync::{mpsc, oneshot};

use crate::committer::{Effect, Effects, Feedback};
use crate::memberships::Memberships;
use crate::random;
use crate::transport::{Class, LinkEvent, Transport};

/// Link events and orders that are taken before the machine's wishes are handed on: one group.
const INPUTS_PER_GROUP: usize = 256;
/// Bytes of events under verification before no more frames are taken: bounds memory.
const VERIFYING_BYTES_MAX: usize = 32 << 20;
/// Signatures that one job verifies: small enough to use all cores, large enough to be worth it.
const SIGNATURES_PER_JOB: usize = 48;
/// The least time between two records of one kind of incident of one peer.
const INCIDENT_PAUSE: Duration = Duration::from_secs(1);
/// Orders that may wait for the driver.
const ORDERS: usize = 1024;

/// Something that a part of the node asks the driver to do.
pub enum Order {
    Command {
        command: Box<Command>,
        reply: oneshot::Sender<Result<Written, CommandError>>,
    },
    /// Commands to be carried out one after the other until one is refused; those after it are
    /// not carried out, and their answers never come.
    Sequence(Vec<(Command, Answer)>),
    Look(Box<dyn FnOnce(&Replica) + Send>),
    /// Answered once everything that the machine has accepted is on disk.
    Settle(oneshot::Sender<()>),
    /// Ends the driver once everything before is on disk.
    Stop(oneshot::Sender<()>),
}

/// Where a command's answer goes.
pub type Answer = oneshot::Sender<Result<Written, CommandError>>;

/// Asks the driver. Clones share it.
#[derive(Clone)]
pub struct Handle {
    orders: mpsc::Sender<Order>,
}

/// The driver has stopped.
#[derive(Debug, thiserror::Error)]
#[error("the node is stopping")]
pub struct Stopped;

impl Handle {
    /// Gives an order without waiting for its end; the answer comes once it is on disk.
    pub async fn order(
        &self,
        command: Command,
    ) -> Result<oneshot::Receiver<Result<Written, CommandError>>, Stopped> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Command {
            command: Box::new(command),
            reply,
        };
        self.orders.send(order).await.map_err(|_| Stopped)?;
        Ok(answer)
    }

    /// Gives orders that are carried out one after the other until one is refused. Returns how many
    /// are on disk, and the refusal that ended it.
    pub async fn sequence(
        &self,
        commands: Vec<Command>,
    ) -> Result<(u64, Option<CommandError>), Stopped> {
        let (sequence, answers): (Vec<_>, Vec<_>) = commands
            .into_iter()
            .map(|command| {
                let (reply, answer) = oneshot::channel();
                ((command, reply), answer)
            })
            .unzip();
        let order = Order::Sequence(sequence);
        self.orders.send(order).await.map_err(|_| Stopped)?;
        let mut done = 0;
        for answer in answers {
            match answer.await {
                Ok(Ok(_)) => done += 1,
                Ok(Err(refused)) => return Ok((done, Some(refused))),
                Err(_) => return Err(Stopped),
            }
        }
        Ok((done, None))
    }

    /// Gives an order and waits until it is refused or on disk.
    pub async fn command(
        &self,
        command: Command,
    ) -> Result<Result<Written, CommandError>, Stopped> {
        self.order(command).await?.await.map_err(|_| Stopped)
    }

    /// Runs `look` on the machine, between two of its inputs.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Replica) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        let look = move |replica: &Replica| drop(reply.send(look(replica)));
        self.orders
            .send(Order::Look(Box::new(look)))
            .await
            .map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Waits until everything that the machine has accepted is on disk.
    pub async fn settled(&self) -> Result<(), Stopped> {
        let (reached, settled) = oneshot::channel();
        let order = Order::Settle(reached);
        self.orders.send(order).await.map_err(|_| Stopped)?;
        settled.await.map_err(|_| Stopped)
    }

    /// Stops the driver.
    pub async fn stop(&self) {
        let (reply, stopped) = oneshot::channel();
        if self.orders.send(Order::Stop(reply)).await.is_ok() {
            let _ = stopped.await;
        }
    }
}

/// Everything the driver talks to.
pub struct Surroundings {
    pub effects: Effects,
    pub feedback: mpsc::UnboundedReceiver<Feedback>,
    pub links: mpsc::Receiver<LinkEvent>,
    pub transport: Option<Arc<Transport>>,
    /// What peers did wrong goes on record there.
    pub incidents: mpsc::Sender<Incident>,
}

/// Something that a peer did, that was refused to it, or that became of it in a channel, for the
/// audit record.
#[derive(Debug)]
pub struct Incident {
    pub action: &'static str,
    pub text: String,
}

/// Starts the driver on the current runtime. The second value ends with the driver: with the
/// reason where the node must stop because of a failure.
pub fn start(
    replica: Replica,
    surroundings: Surroundings,
) -> (Handle, tokio::task::JoinHandle<Result<(), String>>) {
    let (orders, received) = mpsc::channel(ORDERS);
    let handle = Handle { orders };
    let (verified_in, verified_out) = mpsc::unbounded_channel();
    let driver = Driver {
        memberships: Memberships::of(&replica),
        replica,
        effects: surroundings.effects,
        transport: surroundings.transport,
        incidents: surroundings.incidents,
        recorded: BTreeMap::new(),
        links: BTreeMap::new(),
        tickets: BTreeMap::new(),
        next_ticket: 0,
        refused: false,
        verified: verified_in,
        finished: BTreeMap::new(),
        next_verified: 0,
        to_verify: Vec::new(),
        wake: None,
        started: Clock::now(),
        group: Vec::new(),
    };
    let inbox = Inbox {
        orders: received,
        links: surroundings.links,
        feedback: surroundings.feedback,
        verified: verified_out,
    };
    (handle, tokio::spawn(driver.run(inbox)))
}

struct Inbox {
    orders: mpsc::Receiver<Order>,
    links: mpsc::Receiver<LinkEvent>,
    feedback: mpsc::UnboundedReceiver<Feedback>,
    verified: mpsc::UnboundedReceiver<Vec<(u64, Vec<bool>)>>,
}

type Jobs = Vec<(u64, Vec<VerifyItem>)>;

struct Driver {
    replica: Replica,
    /// Which of the channels' memberships are on record.
    memberships: Memberships,
    effects: Effects,
    transport: Option<Arc<Transport>>,
    incidents: mpsc::Sender<Incident>,
    /// When the last incident of each peer and kind was.
    recorded: BTreeMap<(PartnerId, &'static str), Clock>,
    /// The link over which each peer is reached now.
    links: BTreeMap<PartnerId, u64>,
    tickets: BTreeMap<u64, oneshot::Sender<Result<Written, CommandError>>>,
    next_ticket: u64,
    /// Whether a command was refused since this was last cleared.
    refused: bool,
    verified: mpsc::UnboundedSender<Vec<(u64, Vec<bool>)>>,
    /// Verdicts that came before an earlier batch's: the machine gets them in order.
    finished: BTreeMap<u64, Vec<bool>>,
    next_verified: u64,
    to_verify: Jobs,
    wake: Option<Instant>,
    started: Clock,
    group: Vec<Effect>,
}

impl Driver {
    async fn run(mut self, mut inbox: Inbox) -> Result<(), String> {
        loop {
            let wake = self.wake_in();
            let accept_frames = self.replica.verifying_bytes() < VERIFYING_BYTES_MAX;
            tokio::select! {
                Some(feedback) = inbox.feedback.recv() => self.feedback(feedback)?,
                Some(verdicts) = inbox.verified.recv() => self.take_verdicts(verdicts),
                order = inbox.orders.recv() => match order {
                    Some(Order::Stop(reply)) => return self.stop(reply).await,
                    Some(order) => self.order(order),
                    None => return Ok(()),
                },
                Some(event) = inbox.links.recv(), if accept_frames => self.link(event),
                () = tokio::time::sleep(wake) => {
                    self.wake = None;
                    self.handle(Input::Wake);
                }
            }
            if let Some(stop) = self.take_waiting(&mut inbox)? {
                return self.stop(stop).await;
            }
            self.hand_over().await?;
        }
    }

    /// Takes what else has come meanwhile, so that one group serves it all.
    fn take_waiting(&mut self, inbox: &mut Inbox) -> Result<Option<oneshot::Sender<()>>, String> {
        for _ in 0..INPUTS_PER_GROUP {
            let mut idle = true;
            if let Ok(verdicts) = inbox.verified.try_recv() {
                self.take_verdicts(verdicts);
                idle = false;
            }
            match inbox.orders.try_recv() {
                Ok(Order::Stop(reply)) => return Ok(Some(reply)),
                Ok(order) => {
                    self.order(order);
                    idle = false;
                }
                Err(_) => {}
            }
            if self.replica.verifying_bytes() < VERIFYING_BYTES_MAX
                && let Ok(event) = inbox.links.try_recv()
            {
                self.link(event);
                idle = false;
            }
            if idle {
                break;
            }
        }
        Ok(None)
    }

    async fn stop(mut self, reply: oneshot::Sender<()>) -> Result<(), String> {
        self.hand_over().await?;
        let (reached, settled) = oneshot::channel();
        if self
            .effects
            .send(vec![Effect::Barrier(reached)])
            .await
            .is_ok()
        {
            let _ = settled.await;
        }
        let _ = reply.send(());
        Ok(())
    }

    async fn hand_over(&mut self) -> Result<(), String> {
        self.send_to_verifiers();
        self.record_memberships().await;
        if self.group.is_empty() {
            return Ok(());
        }
        let group = std::mem::take(&mut self.group);
        self.effects
            .send(group)
            .await
            .map_err(|_| "the store's thread has ended".to_string())
    }

    /// Every change goes on record: the driver waits where the record is slow. Each stands for an
    /// event that was stored, so a peer cannot make many of them cheaply.
    async fn record_memberships(&mut self) {
        for text in self.memberships.take_changes(&self.replica) {
            let action = "membership";
            tracing::info!(action, %text, "a channel's members changed");
            if self
                .incidents
                .send(Incident { action, text })
                .await
                .is_err()
            {
                tracing::warn!("the audit record takes nothing more: this is in the log only");
            }
        }
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Now {
            instant: self.instant(),
            wall: WallTime(wall.as_millis() as u64),
        }
    }

    fn instant(&self) -> Instant {
        Instant(self.started.elapsed().as_millis() as u64)
    }

    fn wake_in(&self) -> Duration {
        let at = self
            .wake
            .map_or(3_600_000, |wake| wake.0.saturating_sub(self.instant().0));
        Duration::from_millis(at)
    }

    fn feedback(&mut self, feedback: Feedback) -> Result<(), String> {
        match feedback {
            Feedback::Congested { peer, link } if self.links.get(&peer) == Some(&link) => {
                self.handle(Input::Congested { peer });
                self.group.push(Effect::Quiet { peer, link });
            }
            Feedback::Resumed { peer, link } if self.links.get(&peer) == Some(&link) => {
                self.handle(Input::Drained { peer });
            }
            // Of a link that has ended since.
            Feedback::Congested { .. } | Feedback::Resumed { .. } => {}
            Feedback::Failed(error) => return Err(error),
        }
        Ok(())
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Command { command, reply } => self.command(command, reply),
            Order::Sequence(commands) => {
                self.refused = false;
                for (command, reply) in commands {
                    if self.refused {
                        break;
                    }
                    self.command(Box::new(command), reply);
                }
            }
            Order::Look(look) => look(&self.replica),
            Order::Settle(reached) => self.group.push(Effect::Barrier(reached)),
            // Both callers of this take it apart before.
            Order::Stop(reply) => drop(reply),
        }
    }

    fn command(&mut self, command: Box<Command>, reply: Answer) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.tickets.insert(ticket, reply);
        self.handle(Input::Command {
            ticket,
            command,
            entropy: Entropy::new(random::bytes()),
        });
    }

    fn link(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up { peer, link, .. } => {
                self.links.insert(PartnerId(peer), link);
                self.handle(Input::PeerUp {
                    peer: PartnerId(peer),
                });
            }
            LinkEvent::Frame {
                peer, class, bytes, ..
            } => {
                self.handle(Input::Received {
                    peer: PartnerId(peer),
                    class: class_from(class),
                    bytes,
                });
            }
            LinkEvent::Drained { peer, link } => self.group.push(Effect::Drained {
                peer: PartnerId(peer),
                link,
            }),
            LinkEvent::Down { peer, .. } => {
                self.links.remove(&PartnerId(peer));
                self.handle(Input::PeerDown {
                    peer: PartnerId(peer),
                });
            }
        }
    }

    fn handle(&mut self, input: Input) {
        let now = self.now();
        self.replica.handle(input, now);
        while let Some(output) = self.replica.poll() {
            self.fulfil(output);
        }
    }

    fn fulfil(&mut self, output: Output) {
        match output {
            Output::Verify { batch, items } => self.to_verify.push((batch, items)),
            Output::Append { rows } => self.group.push(Effect::Append(rows)),
            Output::Send { peer, class, bytes } => {
                if let Some(&link) = self.links.get(&peer) {
                    self.group.push(Effect::Send {
                        peer,
                        link,
                        class,
                        bytes,
                    });
                }
            }
            Output::SendRange(range) => {
                // A log without a number has no events; the answer is an empty range.
                let number = self.replica.log_number(&range.log).unwrap_or(u32::MAX);
                if let Some(&link) = self.links.get(&range.peer) {
                    self.group.push(Effect::SendRange {
                        range,
                        number,
                        link,
                    });
                }
            }
            Output::SendPiece(piece) => {
                if let Some(&link) = self.links.get(&piece.peer) {
                    self.group.push(Effect::SendPiece { piece, link });
                }
            }
            Output::Done { ticket, result } => {
                self.refused |= result.is_err();
                if let Some(reply) = self.tickets.remove(&ticket) {
                    self.group.push(Effect::Done { reply, result });
                }
            }
            Output::WakeAt(at) => self.wake = Some(at),
            Output::Notify(notice) => self.notice(notice),
        }
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Accepted { .. } => {}
            Notice::Membership { channel } => self.memberships.touch(channel),
            Notice::Misbehaved { peer, why } => {
                self.incident(
                    "peer_misbehaved",
                    &peer,
                    format!("{why}; its link is closed"),
                );
                if let Some(transport) = &self.transport {
                    transport.disconnect(&peer.0, &why);
                }
            }
            Notice::OverLimit { peer, limit, why } => {
                self.incident(limit.as_str(), &peer, why);
            }
            Notice::Refused { peer, why } => self.incident("refused", &peer, why),
            Notice::Fork { channel, id, peer } => {
                let text =
                    format!("channel {channel}: event {id} is a second one for its position");
                self.incident("fork", &peer, text);
            }
            Notice::BadKey { channel, id, why } => {
                let own = self.replica.partner();
                self.incident(
                    "bad_key",
                    &own,
                    format!("channel {channel}: key event {id}: {why}"),
                );
            }
            Notice::KeysGiven {
                channel,
                peer,
                count,
            } => {
                let text = format!("{count} keys of channel {channel}");
                self.incident("keys_given", &peer, text);
            }
            Notice::KeysObtained {
                channel,
                peer,
                count,
            } => {
                let text = format!("{count} keys of channel {channel}");
                self.incident("keys_obtained", &peer, text);
            }
            Notice::BadPiece {
                channel,
                file,
                peer,
                why,
            } => {
                let text = format!("channel {channel}: file {file}: {why}");
                self.incident("bad_piece", &peer, text);
            }
            Notice::PieceLate { peer } => {
                let text = "it did not send a piece of a file that it was asked for";
                self.incident("piece_late", &peer, text.into());
            }
            Notice::OwnLogAhead { channel, seq, peer } => {
                let text = format!(
                    "channel {channel}: it holds an event of this node's own, position {seq}, that \
                     the node does not: the store was restored from an old copy; nothing more is \
                     written in the channel"
                );
                self.incident("own_log_ahead", &peer, text);
            }
        }
    }

    /// Puts something that a peer did on record, at most once a second for each kind: a peer that
    /// floods must not fill the disk with the record of it.
    fn incident(&mut self, action: &'static str, peer: &PartnerId, text: String) {
        let last = self.recorded.insert((*peer, action), Clock::now());
        if last.is_some_and(|last| last.elapsed() < INCIDENT_PAUSE) {
            tracing::debug!(action, %peer, %text, "incident");
            return;
        }
        tracing::warn!(action, %peer, %text, "incident");
        let text = format!("{peer}: {text}");
        if self.incidents.try_send(Incident { action, text }).is_err() {
            tracing::warn!(
                action,
                "too many incidents at a time: this one is in the log only"
            );
        }
    }

    /// Signatures are checked one by one, on all cores.
    fn send_to_verifiers(&mut self) {
        let mut job: Jobs = Vec::new();
        let mut size = 0;
        for (batch, items) in std::mem::take(&mut self.to_verify) {
            size += items.len();
            job.push((batch, items));
            if size >= SIGNATURES_PER_JOB {
                self.spawn_job(std::mem::take(&mut job));
                size = 0;
            }
        }
        if !job.is_empty() {
            self.spawn_job(job);
        }
    }

    fn spawn_job(&self, job: Jobs) {
        let verified = self.verified.clone();
        tokio::task::spawn_blocking(move || {
            let verdicts = job
                .into_iter()
                .map(|(batch, items)| (batch, items.iter().map(verify).collect()))
                .collect();
            // The driver is gone only when the node stops.
            let _ = verified.send(verdicts);
        });
    }

    fn take_verdicts(&mut self, verdicts: Vec<(u64, Vec<bool>)>) {
        self.finished.extend(verdicts);
        while let Some(valid) = self.finished.remove(&self.next_verified) {
            let batch = self.next_verified;
            self.next_verified += 1;
            self.handle(Input::Verified { batch, valid });
        }
    }
}

fn verify(item: &VerifyItem) -> bool {
    item.key
        .verify(TAG_EVENT_SIGNATURE, &item.id.0, &item.signature.0)
        .is_ok()
}

fn class_from(class: Class) -> StreamClass {
    match class {
        Class::Control => StreamClass::Control,
        Class::Flash => StreamClass::Flash,
        Class::Immediate => StreamClass::Immediate,
        Class::Priority => StreamClass::Priority,
        Class::Routine => StreamClass::Routine,
        Class::Backfill => StreamClass::Backfill,
        Class::Files => StreamClass::Files,
    }
}
