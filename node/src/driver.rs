//! The one task that owns the machine.
//!
//! Connections, API handlers and timers only send it inputs. It feeds them to the machine, sends
//! signatures to the verifying threads at once, and hands everything else to the
//! [committer](crate::committer) in order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use comity_protocol::id::PartnerId;
use comity_protocol::keys::Entropy;
use comity_protocol::limits;
use comity_protocol::quota::Limit;
use comity_protocol::replica::{
    Command, CommandError, Input, Notice, Output, Replica, StreamClass, Written,
};
use comity_protocol::time::{Instant, Now, WallTime};
use comity_protocol::wire::Ephemeral;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant as Moment;

use crate::committer::{Effect, Effects, Feedback};
use crate::environment::{Clock, Environment, Randomness};
use crate::memberships::Memberships;
use crate::received::Received;
use crate::transport::inbox::Inbox;
use crate::transport::{Class, LinkEvent, PeerId, Transport};
use crate::verifying::{Checked, Verdicts, Verifiers};
use crate::working_time::WorkingTime;

/// Orders, or link events, that are taken before the machine's wishes are handed on: one group.
const INPUTS_PER_GROUP: usize = 256;
/// How long a group is gathered at most: what it leads to waits that long.
const GROUP_TIME: Duration = Duration::from_millis(1);
/// Bytes of events under verification before only those peers' frames are taken that have none
/// there: bounds memory, and leaves every peer its turn.
const VERIFYING_BYTES_MAX: usize = 32 << 20;
/// What taking in an event may cost without counting as time that brought nothing: about twice what
/// an honest one does.
const TIME_PER_EVENT: Duration = Duration::from_micros(100);
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
    /// What own users do just now, for the linked members of a channel.
    Tell(Ephemeral),
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

    /// Tells what own users do just now, unless the driver has too much to do: it is told again.
    pub fn tell(&self, told: Ephemeral) {
        if self.orders.try_send(Order::Tell(told)).is_err() {
            tracing::debug!("what users do just now is not told: too much waits");
        }
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
    pub links: Inbox,
    /// Where frames are kept as they come, if anywhere.
    pub received: Option<Received>,
    pub transport: Option<Arc<Transport>>,
    /// What peers did wrong goes on record there.
    pub incidents: mpsc::Sender<Incident>,
    pub overheard: Overheard,
}

/// What happens with peers and is stored by nobody.
#[derive(Debug)]
pub enum Passing {
    Up(PartnerId),
    Down(PartnerId),
    /// What a peer's users do.
    Told {
        peer: PartnerId,
        told: Ephemeral,
    },
}

/// Whoever wants to hear of that; at most one.
pub type Overheard = Arc<OnceLock<mpsc::UnboundedSender<Passing>>>;

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
    environment: &Environment,
) -> (Handle, tokio::task::JoinHandle<Result<(), String>>) {
    let (orders, received) = mpsc::channel(ORDERS);
    let handle = Handle { orders };
    let (verifiers, checked) = Verifiers::new(environment.work);
    let driver = Driver {
        memberships: Memberships::of(&replica),
        replica,
        effects: surroundings.effects,
        transport: surroundings.transport,
        incidents: surroundings.incidents,
        overheard: surroundings.overheard,
        recorded: BTreeMap::new(),
        links: BTreeMap::new(),
        tickets: BTreeMap::new(),
        next_ticket: 0,
        refused: false,
        verifiers,
        working_time: WorkingTime::default(),
        brought: 0,
        due: VecDeque::new(),
        received: surroundings.received,
        wake: None,
        started: Moment::now(),
        clock: environment.clock,
        randomness: environment.randomness.clone(),
        group: Vec::new(),
    };
    let waiting = Waiting {
        orders: received,
        links: surroundings.links,
        feedback: surroundings.feedback,
        checked,
    };
    (handle, tokio::spawn(driver.run(waiting)))
}

/// What has come and was not taken yet.
struct Waiting {
    orders: mpsc::Receiver<Order>,
    links: Inbox,
    feedback: mpsc::UnboundedReceiver<Feedback>,
    checked: mpsc::UnboundedReceiver<Checked>,
}

struct Driver {
    replica: Replica,
    /// Which of the channels' memberships are on record.
    memberships: Memberships,
    effects: Effects,
    transport: Option<Arc<Transport>>,
    incidents: mpsc::Sender<Incident>,
    overheard: Overheard,
    /// When each kind of incident of each peer was last put on record, and how often it happened
    /// since.
    recorded: BTreeMap<(PartnerId, &'static str), (Moment, u64)>,
    /// The link over which each peer is reached now.
    links: BTreeMap<PartnerId, u64>,
    tickets: BTreeMap<u64, oneshot::Sender<Result<Written, CommandError>>>,
    next_ticket: u64,
    /// Whether a command was refused since this was last cleared.
    refused: bool,
    verifiers: Verifiers,
    working_time: WorkingTime,
    /// Events to check, and rows to store, that inputs led to since this was last cleared.
    brought: usize,
    /// Verdicts that the machine has not got yet.
    due: VecDeque<Verdicts>,
    received: Option<Received>,
    wake: Option<Instant>,
    started: Moment,
    clock: Clock,
    randomness: Randomness,
    group: Vec<Effect>,
}

impl Driver {
    /// Whatever peers send, this node's own people wait for one frame, or one batch of verdicts, at
    /// most: their orders are taken before the next, and handed on at once. And whatever people
    /// order, peers get as much time as that took.
    async fn run(mut self, mut waiting: Waiting) -> Result<(), String> {
        loop {
            let wake = self.wake_in();
            tokio::select! {
                biased;
                Some(feedback) = waiting.feedback.recv() => self.feedback(feedback)?,
                Some(checked) = waiting.checked.recv() => {
                    self.verifiers.finish(checked, &mut self.due);
                }
                () = tokio::time::sleep(wake), if self.due.is_empty() => {
                    if self.wake.is_some_and(|wake| wake <= self.instant()) {
                        self.wake = None;
                        self.handle(Input::Wake);
                    }
                }
                order = waiting.orders.recv() => match order {
                    Some(Order::Stop(reply)) => return self.stop(reply).await,
                    Some(order) => self.order(order),
                    None => return Ok(()),
                },
                event = waiting.links.recv(|peer| self.may_take(peer)) => {
                    self.link(event, &mut waiting.links);
                }
                // Verdicts that are left from the last time.
                () = std::future::ready(()), if !self.due.is_empty() => {}
            }
            let begun = Moment::now();
            if let Some(stop) = self.take_orders(&mut waiting) {
                return self.stop(stop).await;
            }
            let ordered = begun.elapsed();
            self.hand_over().await?;
            self.take_from_peers(&mut waiting, ordered);
            self.hand_over().await?;
            // A flood leaves nothing to wait for, and others need the thread as well.
            tokio::task::yield_now().await;
        }
    }

    /// Takes the orders that have come meanwhile; returns the one to stop.
    fn take_orders(&mut self, waiting: &mut Waiting) -> Option<oneshot::Sender<()>> {
        let begun = Moment::now();
        for _ in 0..INPUTS_PER_GROUP {
            match waiting.orders.try_recv() {
                Ok(Order::Stop(reply)) => return Some(reply),
                Ok(order) => self.order(order),
                Err(_) => break,
            }
            if begun.elapsed() > GROUP_TIME {
                break;
            }
        }
        None
    }

    /// Takes what has come from peers meanwhile, until somebody here gives an order, but for so
    /// long at least.
    fn take_from_peers(&mut self, waiting: &mut Waiting, least: Duration) {
        let begun = Moment::now();
        for _ in 0..INPUTS_PER_GROUP {
            if let Ok(checked) = waiting.checked.try_recv() {
                self.verifiers.finish(checked, &mut self.due);
            }
            let verdicts = self.due.pop_front();
            let event = waiting.links.try_recv(|peer| self.may_take(peer));
            if verdicts.is_none() && event.is_none() {
                return;
            }
            if let Some(verdicts) = verdicts {
                self.take_verdicts(verdicts, &mut waiting.links);
            }
            if let Some(event) = event {
                self.link(event, &mut waiting.links);
            }
            let took = begun.elapsed();
            if took > GROUP_TIME || (took >= least && !waiting.orders.is_empty()) {
                return;
            }
        }
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
        self.verifiers.start();
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
        Now {
            instant: self.instant(),
            wall: WallTime(self.clock.unix_ms()),
        }
    }

    fn instant(&self) -> Instant {
        Instant(self.started.elapsed().as_millis() as u64)
    }

    fn wake_in(&self) -> Duration {
        let at = self
            .wake
            .map_or(3_600_000, |wake| wake.0.saturating_sub(self.instant().0));
        let relief = self.working_time.next_relief(Moment::now());
        relief
            .into_iter()
            .fold(Duration::from_millis(at), Duration::min)
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
            Feedback::Recalled { recall, found } => {
                self.handle(Input::Recalled { recall, found });
            }
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
            Order::Look(look) => self.look(look),
            Order::Tell(told) => self.handle(Input::Ephemeral(told)),
            Order::Settle(reached) => self.group.push(Effect::Barrier(reached)),
            // Both callers of this take it apart before.
            Order::Stop(reply) => drop(reply),
        }
    }

    /// Whoever looks changes nothing, so one that fails takes nothing with it; its answer never
    /// comes.
    fn look(&self, look: Box<dyn FnOnce(&Replica) + Send>) {
        let looked = std::panic::AssertUnwindSafe(|| look(&self.replica));
        if std::panic::catch_unwind(looked).is_err() {
            tracing::error!("a question to the machine failed: this is a fault of the program");
        }
    }

    fn command(&mut self, command: Box<Command>, reply: Answer) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.tickets.insert(ticket, reply);
        self.handle(Input::Command {
            ticket,
            command,
            entropy: Entropy::new(self.randomness.bytes()),
        });
    }

    /// Whether a peer's next frame may be taken: not while too much of what it sent is under
    /// verification, nor while it has taken more time than is its share.
    fn may_take(&self, peer: &PeerId) -> bool {
        let peer = PartnerId(*peer);
        let of_peer = self.replica.verifying_bytes_of(&peer);
        let all = self.replica.verifying_bytes();
        let room = of_peer < limits::VERIFYING_BYTES_PER_PEER && all < VERIFYING_BYTES_MAX;
        (of_peer == 0 || room) && self.working_time.may(&peer, Moment::now())
    }

    /// Takes what a link handed over, and charges its peer for the time that took.
    fn link(&mut self, event: LinkEvent, links: &mut Inbox) {
        if let (Some(received), LinkEvent::Frame { bytes, .. }) = (&mut self.received, &event) {
            received.keep(bytes);
        }
        let begun = Moment::now();
        let peer = PartnerId(*event.peer());
        let is_frame = matches!(event, LinkEvent::Frame { .. });
        self.brought = 0;
        self.take(event);
        let took = begun.elapsed();
        links.charge(&peer.0, took);
        let brought = u32::try_from(self.brought).unwrap_or(u32::MAX);
        let idle = took.saturating_sub(TIME_PER_EVENT.saturating_mul(brought));
        if is_frame && self.working_time.spend(&peer, idle, begun) {
            let why = "it asks and tells more than its share: its frames have to wait".into();
            self.replica.over_limit(peer, Limit::WorkingTime, why);
            self.fulfil_all();
        }
    }

    fn take(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up { peer, link, .. } => {
                self.links.insert(PartnerId(peer), link);
                self.handle(Input::PeerUp {
                    peer: PartnerId(peer),
                });
                self.pass_on(Passing::Up(PartnerId(peer)));
            }
            LinkEvent::Frame { peer, link, .. }
                if self.links.get(&PartnerId(peer)) != Some(&link) =>
            {
                // It was sent away, and what had come by then goes with it.
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
                self.pass_on(Passing::Down(PartnerId(peer)));
            }
        }
    }

    /// What waits there is bounded by how much the machine takes of each peer.
    fn pass_on(&self, passing: Passing) {
        if let Some(overheard) = self.overheard.get() {
            // Nobody hears it where the users' side has ended.
            let _ = overheard.send(passing);
        }
    }

    fn handle(&mut self, input: Input) {
        let now = self.now();
        self.replica.handle(input, now);
        self.fulfil_all();
    }

    fn fulfil_all(&mut self) {
        while let Some(output) = self.replica.poll() {
            self.fulfil(output);
        }
    }

    fn fulfil(&mut self, output: Output) {
        match output {
            Output::Verify { batch, peer, items } => {
                self.brought += items.len();
                self.verifiers.push(peer, batch, items);
            }
            Output::Append { rows } => {
                self.brought += rows.len();
                self.group.push(Effect::Append(rows));
            }
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
            Output::Recall(recall) => self.group.push(Effect::Recall {
                recall,
                number: self.replica.log_number(&recall.log).unwrap_or(u32::MAX),
            }),
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
                self.links.remove(&peer);
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
            Notice::Equivocation {
                channel,
                evidence,
                by,
                partner,
                forked,
            } => {
                let text = format!(
                    "channel {channel}: event {evidence} of partner {by} proves that writer {} signed \
                     two events for position {} of lane {}",
                    forked.writer, forked.seq, forked.lane
                );
                self.incident("equivocation", &partner, text);
            }
            Notice::HistoryDiffers {
                channel,
                lane,
                partner,
                barrier,
                floor,
            } => {
                let text = format!(
                    "channel {channel}: it signed (event {floor}) that barrier {barrier} of lane \
                     {lane} comes to something else than it does here"
                );
                self.incident("history_differs", &partner, text);
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
            Notice::Ephemeral { peer, told } => self.pass_on(Passing::Told { peer, told }),
            Notice::PieceLate { peer } => {
                let text = "it did not send a piece of a file that it was asked for";
                self.incident("piece_late", &peer, text.into());
            }
            Notice::OwnLogAhead { channel, seq, peer } => {
                let text = format!(
                    "channel {channel}: it holds an event of this node's own, position {seq}, that \
                     the node does not: the store was restored from an old copy; the writer of that \
                     event is never used again"
                );
                self.incident("own_log_ahead", &peer, text);
            }
        }
    }

    /// Gives a batch's verdicts to the machine, and charges the events' bringer for what they lead to.
    fn take_verdicts(&mut self, verdicts: Verdicts, links: &mut Inbox) {
        let begun = Moment::now();
        let Verdicts {
            batch, peer, valid, ..
        } = verdicts;
        self.handle(Input::Verified { batch, valid });
        links.charge(&peer.0, begun.elapsed());
    }

    /// Puts something that a peer did on record, at most once a second for each kind, with how often
    /// it happened since: a peer that floods must not fill the disk with the record of it.
    fn incident(&mut self, action: &'static str, peer: &PartnerId, text: String) {
        let pause = self.recorded.get_mut(&(*peer, action));
        if let Some((_, repeated)) = pause.filter(|(last, _)| last.elapsed() < INCIDENT_PAUSE) {
            *repeated += 1;
            tracing::debug!(action, %peer, %text, "incident");
            return;
        }
        let before = self.recorded.insert((*peer, action), (Moment::now(), 0));
        let repeated = before.map_or(0, |(_, repeated)| repeated);
        let more = match repeated {
            0 => String::new(),
            _ => format!(" (and {repeated} more of the kind since the last record)"),
        };
        tracing::warn!(action, %peer, %text, repeated, "incident");
        let text = format!("{peer}: {text}{more}");
        if self.incidents.try_send(Incident { action, text }).is_err() {
            tracing::warn!(
                action,
                "too many incidents at a time: this one is in the log only"
            );
        }
    }
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
