//! Sessions of users' devices, and access tokens of programs. The node keeps a hash of each token,
//! so that its store lets nobody in.

use comity_crypto as crypto;
use comity_protocol::rows::{Row, Table};
use serde::{Deserialize, Serialize};

use super::{Account, People, SESSION, SESSIONS_PER_USER, row, row_key};
use crate::home::id::Id;
use crate::store::StoreError;

/// How long a session lasts that nobody uses.
const IDLE_MS: u64 = 30 * 24 * 3_600_000;
/// A session's last use is written this rarely.
const USE_WRITTEN_MS: u64 = 3_600_000;

/// What lets its bearer in; 26 letters and digits.
#[derive(Debug, Clone)]
pub struct Token(pub String);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionKind {
    /// Of somebody who logged in.
    Device,
    /// A personal access token, with what it is for.
    AccessToken { description: String },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    pub id: Id,
    pub user: Id,
    pub kind: SessionKind,
    /// What came with the log-in: browser and system, for people.
    pub device: String,
    /// What a page must repeat with every change (the `MMCSRF` cookie).
    pub csrf: String,
    pub created_ms: u64,
    pub used_ms: u64,
}

impl Session {
    /// When it ends if nobody uses it; never for an access token.
    pub fn expires_ms(&self) -> u64 {
        match self.kind {
            SessionKind::Device => self.used_ms + IDLE_MS,
            SessionKind::AccessToken { .. } => 0,
        }
    }

    fn is_over(&self, now_ms: u64) -> bool {
        self.expires_ms() != 0 && now_ms > self.expires_ms()
    }
}

impl People {
    /// Begins a session; its token is told once. The oldest one goes where a user has too many.
    pub fn begin_session(
        &self,
        user: Id,
        kind: SessionKind,
        device: String,
    ) -> Result<(Token, Session), StoreError> {
        let randomness = &self.environment.randomness;
        let token = Token(Id(randomness.bytes()).to_string());
        let now = self.now_ms();
        let session = Session {
            id: Id(randomness.bytes()),
            user,
            kind,
            device: device.chars().take(200).collect(),
            csrf: Id(randomness.bytes()).to_string(),
            created_ms: now,
            used_ms: now,
        };
        let digest = digest(&token.0);
        let mut state = self.change();
        let mut held: Vec<_> = state
            .sessions
            .iter()
            .filter(|(_, it)| it.user == user)
            .collect();
        held.sort_by_key(|(_, it)| it.used_ms);
        let too_many = (held.len() + 1).saturating_sub(SESSIONS_PER_USER);
        let oldest: Vec<[u8; 32]> = held.iter().take(too_many).map(|(key, _)| **key).collect();
        let mut rows = vec![row(SESSION, &[&digest], &session)];
        rows.extend(oldest.iter().map(deletion));
        self.store.write(&rows)?;
        for key in oldest {
            state.sessions.remove(&key);
        }
        state.sessions.insert(digest, session.clone());
        Ok((token, session))
    }

    /// The session of a token, if it is not over and its user may log in.
    pub fn session(&self, token: &str) -> Option<Session> {
        let now = self.now_ms();
        let digest = digest(token);
        let session = self.read().sessions.get(&digest).cloned()?;
        let is_active = self.account(&session.user).is_some_and(|it| it.is_active());
        if session.is_over(now) || !is_active {
            return None;
        }
        if now.saturating_sub(session.used_ms) > USE_WRITTEN_MS {
            self.note_use(&digest, now);
        }
        Some(session)
    }

    fn note_use(&self, digest: &[u8; 32], now_ms: u64) {
        let mut state = self.change();
        if let Some(session) = state.sessions.get_mut(digest) {
            session.used_ms = now_ms;
            let row = row(SESSION, &[digest], session);
            if let Err(error) = self.store.write_soon(&[row]) {
                tracing::warn!(%error, "a session's last use is not on record");
            }
        }
    }

    /// Whether a session is there still, and its user may log in.
    pub fn is_live(&self, session: &Session) -> bool {
        let now = self.now_ms();
        let held = self.read();
        let mut sessions = held.sessions.values().filter(|it| it.user == session.user);
        let is_held = sessions.any(|it| it.id == session.id && !it.is_over(now));
        is_held
            && held
                .accounts
                .get(&session.user)
                .is_some_and(Account::is_active)
    }

    pub fn sessions_of(&self, user: Id) -> Vec<Session> {
        let state = self.read();
        let own = state.sessions.values().filter(|it| it.user == user);
        own.cloned().collect()
    }

    /// Ends one session of a user; false where it has none of that id.
    pub fn end_session(&self, user: Id, id: Id) -> Result<bool, StoreError> {
        self.end_where(|it| it.user == user && it.id == id)
    }

    pub fn end_sessions_of(&self, user: Id) -> Result<bool, StoreError> {
        self.end_where(|it| it.user == user)
    }

    fn end_where(&self, ends: impl Fn(&Session) -> bool) -> Result<bool, StoreError> {
        let mut state = self.change();
        let ending = state.sessions.iter().filter(|(_, it)| ends(it));
        let ending: Vec<[u8; 32]> = ending.map(|(key, _)| *key).collect();
        let rows: Vec<Row> = ending.iter().map(deletion).collect();
        self.store.write(&rows)?;
        for key in &ending {
            state.sessions.remove(key);
        }
        Ok(!ending.is_empty())
    }
}

fn digest(token: &str) -> [u8; 32] {
    crypto::hash("comity session token", &[token.as_bytes()])
}

fn deletion(digest: &[u8; 32]) -> Row {
    Row::delete(Table::People, row_key(SESSION, &[digest]))
}
