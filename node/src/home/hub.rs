//! The people's open WebSockets: what happens is told to each whom it concerns, numbered per
//! connection, and kept for a while, so that a client whose line broke goes on where it was.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::id::Id;

/// Events that are kept of each connection for its return; as many as Mattermost keeps.
const KEPT: usize = 128;
/// Events that may wait for a client that reads slowly before it is sent away to refetch.
const WAITING: usize = 512;
/// Connections, broken ones included, that one user may have.
const PER_USER: usize = 16;
/// How long a broken connection is remembered.
const REMEMBERED_MS: u64 = 5 * 60_000;

/// What a connection's task sends next.
#[derive(Debug, Clone)]
pub enum Outgoing {
    Text(Arc<str>),
    /// The session is over.
    Over,
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
    kept: VecDeque<(u64, Arc<str>)>,
    attached: Option<mpsc::Sender<Outgoing>>,
    /// How often a socket was attached to it.
    attachment: u64,
    detached_ms: u64,
}

/// How a socket was taken in.
pub struct Attached {
    pub connection: Id,
    attachment: u64,
    /// Ends when the client fell too far behind: it has to begin anew.
    pub outgoing: mpsc::Receiver<Outgoing>,
    /// What it missed, to be sent first.
    pub missed: Vec<Arc<str>>,
}

impl Hub {
    fn connections(&self) -> MutexGuard<'_, BTreeMap<Id, Connection>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a socket in under a new connection, whose first event is `hello`.
    pub fn attach(&self, user: Id, session: Id, connection: Id, hello: Value) -> Attached {
        let (sender, outgoing) = mpsc::channel(WAITING);
        let mut connections = self.connections();
        make_room(&mut connections, user);
        let mut new = Connection {
            user,
            session,
            next_seq: 0,
            kept: VecDeque::new(),
            attached: Some(sender),
            attachment: 0,
            detached_ms: 0,
        };
        let broadcast = Broadcast {
            user: Some(user),
            ..Broadcast::default()
        };
        let first = new.number(&envelope("hello", &hello, &broadcast));
        connections.insert(connection, new);
        Attached {
            connection,
            attachment: 0,
            outgoing,
            missed: vec![first],
        }
    }

    /// Takes a socket in that goes on with an earlier connection, whose client expects `next`;
    /// none where that connection is not known, or not so far back any more.
    pub fn resume(&self, user: Id, session: Id, connection: Id, next: u64) -> Option<Attached> {
        let (sender, outgoing) = mpsc::channel(WAITING);
        let mut connections = self.connections();
        let held = connections.get_mut(&connection)?;
        let oldest = held.kept.front().map_or(held.next_seq, |(seq, _)| *seq);
        let is_known = held.user == user && (oldest..=held.next_seq).contains(&next);
        if !is_known {
            return None;
        }
        held.session = session;
        held.attached = Some(sender);
        held.attachment += 1;
        let missed = held.kept.iter().filter(|(seq, _)| *seq >= next);
        Some(Attached {
            connection,
            attachment: held.attachment,
            outgoing,
            missed: missed.map(|(_, text)| text.clone()).collect(),
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
        let text = envelope(event, data, broadcast);
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
            if let Some(sender) = connection.attached.as_ref().filter(|_| over) {
                // A full queue ends with the sender's drop.
                let _ = sender.try_send(Outgoing::Over);
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
    fn tell(&mut self, text: &str) {
        let text = self.number(text);
        let Some(sender) = &self.attached else {
            return;
        };
        if sender.try_send(Outgoing::Text(text)).is_err() {
            // The receiver learns of it once it has read what waits.
            self.attached = None;
            self.kept.clear();
        }
    }

    fn number(&mut self, text: &str) -> Arc<str> {
        let text: Arc<str> = format!("{text},\"seq\":{}}}", self.next_seq).into();
        self.kept.push_back((self.next_seq, text.clone()));
        self.next_seq += 1;
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
        text
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

    fn seqs(texts: &[Arc<str>]) -> Vec<u64> {
        let seq = |text: &Arc<str>| serde_json::from_str::<Value>(text).unwrap()["seq"].as_u64();
        texts.iter().filter_map(seq).collect()
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

    #[test]
    fn one_user_does_not_hold_more_connections_than_is_their_share() {
        let hub = Hub::default();
        let _held: Vec<_> = (0..40)
            .map(|at| hub.attach(id(1), id(9), id(at), json!({})))
            .collect();
        assert_eq!(hub.open(), PER_USER);
    }
}
