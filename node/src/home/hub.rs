//! The people's open WebSockets: what happens is told to each whom it concerns, numbered per
//! connection, and kept for a while, so that a client whose line broke goes on where it was.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::id::Id;

/// Events that are kept of each connection for its return; as many as Mattermost keeps.
const KEPT: usize = 128;
/// And as many bytes of them, so that long posts cost no more than many short ones.
const KEPT_BYTES: usize = 1 << 20;
/// Events that may wait for a client before it is sent away to refetch: what a link brings at once
/// that was cut for minutes, which whoever reads at all takes in a second.
const WAITING: usize = 8_192;
/// And as many bytes of them: 5,000 short posts, or 60 of the longest.
const WAITING_BYTES: usize = 8 << 20;
/// Connections, broken ones included, that one user may have.
const PER_USER: usize = 16;
/// How long a broken connection is remembered.
const REMEMBERED_MS: u64 = 5 * 60_000;

/// What a connection's task sends next.
#[derive(Debug, Clone)]
pub enum Outgoing {
    Text(Told),
    /// The session is over.
    Over,
}

/// An event as one connection is told it: all connections share its text, each has its number.
#[derive(Debug, Clone)]
pub struct Told {
    envelope: Arc<str>,
    seq: u64,
}

impl Told {
    /// The whole frame.
    pub fn text(&self) -> String {
        format!("{},\"seq\":{}}}", self.envelope, self.seq)
    }
}

/// Whom an event concerns.
#[derive(Debug, Clone, Default)]
pub struct Broadcast {
    pub user: Option<Id>,
    pub channel: Option<Id>,
    pub team: Option<Id>,
    /// Told to all but this user.
    pub omit_user: Option<Id>,
    /// Told to all but this connection.
    pub omit_connection: Option<Id>,
}

#[derive(Default)]
pub struct Hub {
    connections: Mutex<BTreeMap<Id, Connection>>,
}

struct Connection {
    user: Id,
    session: Id,
    next_seq: u64,
    kept: VecDeque<Told>,
    kept_bytes: usize,
    attached: Option<Line>,
    /// How often a socket was attached to it.
    attachment: u64,
    detached_ms: u64,
}

/// The way to a socket's task.
struct Line {
    sender: mpsc::Sender<Outgoing>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// How a socket was taken in.
pub struct Attached {
    pub connection: Id,
    attachment: u64,
    outgoing: mpsc::Receiver<Outgoing>,
    waiting_bytes: Arc<AtomicUsize>,
    /// What it missed, to be sent first.
    pub missed: Vec<Told>,
}

impl Attached {
    /// What is to be sent next; none when the client fell too far behind: it has to begin anew.
    pub async fn next(&mut self) -> Option<Outgoing> {
        let next = self.outgoing.recv().await;
        if let Some(Outgoing::Text(told)) = &next {
            let bytes = told.envelope.len();
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        next
    }
}

impl Line {
    fn new() -> (Line, mpsc::Receiver<Outgoing>) {
        let (sender, outgoing) = mpsc::channel(WAITING);
        let waiting_bytes = Arc::default();
        let line = Line {
            sender,
            waiting_bytes,
        };
        (line, outgoing)
    }

    /// Whether there was room for it.
    fn tell(&self, told: Told) -> bool {
        let bytes = told.envelope.len();
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        // One that is longer than the bound goes alone.
        (before == 0 || before + bytes <= WAITING_BYTES)
            && self.sender.try_send(Outgoing::Text(told)).is_ok()
    }
}

impl Hub {
    fn connections(&self) -> MutexGuard<'_, BTreeMap<Id, Connection>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a socket in under a new connection, whose first event is `hello`.
    pub fn attach(&self, user: Id, session: Id, connection: Id, hello: Value) -> Attached {
        let (line, outgoing) = Line::new();
        let waiting_bytes = line.waiting_bytes.clone();
        let mut connections = self.connections();
        make_room(&mut connections, user);
        let mut new = Connection {
            user,
            session,
            next_seq: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
            attached: Some(line),
            attachment: 0,
            detached_ms: 0,
        };
        let broadcast = Broadcast {
            user: Some(user),
            ..Broadcast::default()
        };
        let first = new.number(&envelope("hello", &hello, &broadcast).into());
        connections.insert(connection, new);
        Attached {
            connection,
            attachment: 0,
            outgoing,
            waiting_bytes,
            missed: vec![first],
        }
    }

    /// Takes a socket in that goes on with an earlier connection, whose client expects `next`;
    /// none where that connection is not known, or not so far back any more.
    pub fn resume(&self, user: Id, session: Id, connection: Id, next: u64) -> Option<Attached> {
        let (line, outgoing) = Line::new();
        let waiting_bytes = line.waiting_bytes.clone();
        let mut connections = self.connections();
        let held = connections.get_mut(&connection)?;
        let oldest = held.kept.front().map_or(held.next_seq, |told| told.seq);
        let is_known = held.user == user && (oldest..=held.next_seq).contains(&next);
        if !is_known {
            return None;
        }
        held.session = session;
        held.attached = Some(line);
        held.attachment += 1;
        let missed = held.kept.iter().filter(|told| told.seq >= next);
        Some(Attached {
            connection,
            attachment: held.attachment,
            outgoing,
            waiting_bytes,
            missed: missed.cloned().collect(),
        })
    }

    /// The socket is gone; what comes meanwhile is kept for its return. Another socket may have
    /// taken the connection over already.
    pub fn detach(&self, gone: &Attached, now_ms: u64) {
        let mut connections = self.connections();
        connections
            .retain(|_, it| it.attached.is_some() || it.detached_ms + REMEMBERED_MS > now_ms);
        if let Some(held) = connections.get_mut(&gone.connection)
            && held.attachment == gone.attachment
        {
            held.attached = None;
            held.detached_ms = now_ms;
        }
    }

    /// Tells an event to the connections of those whom `concerns` names.
    pub fn publish(
        &self,
        event: &str,
        data: &Value,
        broadcast: &Broadcast,
        concerns: impl Fn(&Id) -> bool,
    ) {
        let text: Arc<str> = envelope(event, data, broadcast).into();
        let mut told: BTreeMap<Id, bool> = BTreeMap::new();
        for (id, connection) in self.connections().iter_mut() {
            let user = connection.user;
            let omitted =
                broadcast.omit_user == Some(user) || broadcast.omit_connection == Some(*id);
            if !omitted && *told.entry(user).or_insert_with(|| concerns(&user)) {
                connection.tell(&text);
            }
        }
    }

    /// Ends the sockets of sessions that are over.
    pub fn end_sessions(&self, is_over: impl Fn(&Id, &Id) -> bool) {
        self.connections().retain(|_, connection| {
            let over = is_over(&connection.user, &connection.session);
            if let Some(line) = connection.attached.as_ref().filter(|_| over) {
                // A full queue ends with the sender's drop.
                let _ = line.sender.try_send(Outgoing::Over);
            }
            !over
        });
    }

    /// Whether a user has a socket open.
    pub fn is_online(&self, user: &Id) -> bool {
        let connections = self.connections();
        connections
            .values()
            .any(|it| it.user == *user && it.attached.is_some())
    }

    /// How many sockets are open.
    pub fn open(&self) -> usize {
        self.connections()
            .values()
            .filter(|it| it.attached.is_some())
            .count()
    }
}

impl Connection {
    fn tell(&mut self, envelope: &Arc<str>) {
        let told = self.number(envelope);
        let Some(line) = &self.attached else {
            return;
        };
        if !line.tell(told) {
            // The receiver learns of it once it has read what waits.
            self.attached = None;
            self.kept.clear();
            self.kept_bytes = 0;
        }
    }

    fn number(&mut self, envelope: &Arc<str>) -> Told {
        let told = Told {
            envelope: envelope.clone(),
            seq: self.next_seq,
        };
        self.next_seq += 1;
        self.kept_bytes += envelope.len();
        self.kept.push_back(told.clone());
        while self.kept.len() > KEPT || (self.kept_bytes > KEPT_BYTES && self.kept.len() > 1) {
            let gone = self.kept.pop_front();
            self.kept_bytes -= gone.map_or(0, |told| told.envelope.len());
        }
        told
    }
}

/// The connection of a user that was used longest ago goes where there are too many.
fn make_room(connections: &mut BTreeMap<Id, Connection>, user: Id) {
    let own = connections.iter().filter(|(_, it)| it.user == user);
    let mut own: Vec<(bool, u64, Id)> = own
        .map(|(id, it)| (it.attached.is_some(), it.detached_ms, *id))
        .collect();
    own.sort_unstable();
    let too_many = (own.len() + 1).saturating_sub(PER_USER);
    for (_, _, id) in own.into_iter().take(too_many) {
        connections.remove(&id);
    }
}

/// An event as it is told, but for its number and the last brace.
fn envelope(event: &str, data: &Value, broadcast: &Broadcast) -> String {
    let text = |id: &Option<Id>| id.map_or_else(String::new, |id| id.to_string());
    let omit_users = broadcast
        .omit_user
        .map(|user| json!({ user.to_string(): true }));
    let broadcast = json!({
        "omit_users": omit_users,
        "user_id": text(&broadcast.user),
        "channel_id": text(&broadcast.channel),
        "team_id": text(&broadcast.team),
        "connection_id": "",
        "omit_connection_id": text(&broadcast.omit_connection),
    });
    format!(
        r#"{{"event":{},"data":{data},"broadcast":{broadcast}"#,
        Value::from(event)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> Id {
        Id([number; 16])
    }

    fn seqs(missed: &[Told]) -> Vec<u64> {
        let seq =
            |told: &Told| serde_json::from_str::<Value>(&told.text()).unwrap()["seq"].as_u64();
        missed.iter().filter_map(seq).collect()
    }

    fn say(hub: &Hub, times: usize) {
        for _ in 0..times {
            hub.publish(
                "posted",
                &json!({"post": "{}"}),
                &Broadcast::default(),
                |_| true,
            );
        }
    }

    #[test]
    fn whoever_comes_back_is_told_what_was_missed_and_nothing_twice() {
        let hub = Hub::default();
        let mut first = hub.attach(id(1), id(9), id(5), json!({}));
        assert_eq!(seqs(&first.missed), [0]);
        say(&hub, 2);
        assert!(matches!(first.outgoing.try_recv(), Ok(Outgoing::Text(_))));
        hub.detach(&first, 0);
        drop(first);
        say(&hub, 3);

        let back = hub.resume(id(1), id(9), id(5), 2).unwrap();

        assert_eq!(seqs(&back.missed), [2, 3, 4, 5]);
    }

    #[test]
    fn whoever_was_away_for_too_long_or_is_another_begins_anew() {
        let hub = Hub::default();
        let gone = hub.attach(id(1), id(9), id(5), json!({}));
        hub.detach(&gone, 0);
        assert!(hub.resume(id(2), id(9), id(5), 1).is_none());
        assert!(hub.resume(id(1), id(9), id(6), 1).is_none());
        assert!(hub.resume(id(1), id(9), id(5), 2).is_none());
        say(&hub, KEPT + 1);
        assert!(hub.resume(id(1), id(9), id(5), 1).is_none());
        assert!(hub.resume(id(1), id(9), id(5), 2).is_some());
    }

    #[test]
    fn a_client_that_does_not_read_holds_up_nobody_and_has_to_begin_anew() {
        let hub = Hub::default();
        let mut slow = hub.attach(id(1), id(9), id(5), json!({}));
        say(&hub, WAITING + 1);
        let mut told = 0;
        while let Ok(Outgoing::Text(_)) = slow.outgoing.try_recv() {
            told += 1;
        }
        assert_eq!(told, WAITING);
        assert!(matches!(
            slow.outgoing.try_recv(),
            Err(mpsc::error::TryRecvError::Disconnected)
        ));
        assert!(
            hub.resume(id(1), id(9), id(5), WAITING as u64 + 1)
                .is_none()
        );
    }

    #[tokio::test]
    async fn long_events_are_bounded_by_their_bytes_and_one_that_reads_them_is_not_sent_away() {
        let hub = Hub::default();
        let long = json!({"post": "x".repeat(WAITING_BYTES / 4)});
        let say = || hub.publish("posted", &long, &Broadcast::default(), |_| true);
        let mut slow = hub.attach(id(1), id(9), id(5), json!({}));
        let mut quick = hub.attach(id(2), id(9), id(6), json!({}));
        for _ in 0..8 {
            say();
            assert!(matches!(quick.next().await, Some(Outgoing::Text(_))));
        }
        let mut told = 0;
        while let Some(Outgoing::Text(_)) = slow.next().await {
            told += 1;
        }
        assert_eq!(told, 3);
        hub.detach(&quick, 0);
        // What is kept for a return is bounded, too, but for the last event.
        let back = hub.resume(id(2), id(9), id(6), 8).unwrap();
        assert_eq!(seqs(&back.missed), [8]);
        assert!(hub.resume(id(2), id(9), id(6), 7).is_none());
    }

    #[test]
    fn one_user_does_not_hold_more_connections_than_is_their_share() {
        let hub = Hub::default();
        let _held: Vec<_> = (0..40)
            .map(|at| hub.attach(id(1), id(9), id(at), json!({})))
            .collect();
        assert_eq!(hub.open(), PER_USER);
    }
}
