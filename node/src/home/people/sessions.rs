//! Sessions of users' devices, and access tokens of programs. The node keeps a hash of each token,
//! so that its store lets nobody in.

use std::net::IpAddr;

use comity_crypto as crypto;
use comity_protocol::rows::{Row, Table};
use serde::{Deserialize, Serialize};

use super::{People, SESSION, SESSIONS_PER_USER, row, row_key};
use crate::home::id::Id;
use crate::store::StoreError;

/// How long a session lasts that nobody uses.
const IDLE_MS: u64 = 30 * 24 * 3_600_000;
/// A session's last use is noted this rarely, and written this rarely; a new address is noted at once.
const USE_NOTED_MS: u64 = 60_000;
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

/// Where a session comes from, so that it ends with what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// The provider's session (`sid` of OpenID Connect, SessionIndex of SAML).
    pub provider_session: Option<String>,
    /// What asks the provider whether the user still may: a refresh token of OpenID Connect.
    pub refresh: Option<String>,
    /// When it ends at the latest, in Unix milliseconds, as the provider said.
    pub until_ms: Option<u64>,
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
    #[serde(default)]
    pub origin: Origin,
    /// From where it was used last.
    #[serde(default)]
    pub address: Option<IpAddr>,
    #[serde(skip)]
    written_ms: u64,
}

impl Session {
    /// When it ends if nobody uses it; never for an access token.
    pub fn expires_ms(&self) -> u64 {
        match self.kind {
            SessionKind::Device => {
                let idle = self.used_ms.saturating_add(IDLE_MS);
                self.origin.until_ms.map_or(idle, |until| until.min(idle))
            }
            SessionKind::AccessToken { .. } => 0,
        }
    }

    /// What the device is called, from what its program says of itself.
    pub fn device_name(&self) -> String {
        let [browser, system] = self.program();
        match (browser.as_str(), system.as_str()) {
            ("", "") => "unknown".into(),
            (browser, "") => browser.into(),
            (browser, system) => format!("{browser} on {system}"),
        }
    }

    /// The browser or program, and the system under it, as far as they are known by name.
    pub fn program(&self) -> [String; 2] {
        // The order counts: each says of itself what those after it do.
        const PROGRAMS: [(&str, &str); 7] = [
            ("Mattermost/", "Mattermost"),
            ("MattermostMobile", "Mattermost Mobile"),
            ("Edg/", "Edge"),
            ("OPR/", "Opera"),
            ("Firefox/", "Firefox"),
            ("Chrome/", "Chrome"),
            ("Safari/", "Safari"),
        ];
        const SYSTEMS: [(&str, &str); 6] = [
            ("Android", "Android"),
            ("iPhone", "iOS"),
            ("iPad", "iPadOS"),
            ("Windows", "Windows"),
            ("Mac OS X", "macOS"),
            ("Linux", "Linux"),
        ];
        let find = |names: &[(&str, &str)]| {
            let known = names.iter().find(|(sign, _)| self.device.contains(sign));
            known.map(|(_, name)| name.to_string())
        };
        let first = || {
            self.device
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_string()
        };
        [
            find(&PROGRAMS).unwrap_or_else(first),
            find(&SYSTEMS).unwrap_or_default(),
        ]
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
        self.begin_session_of(user, kind, device, Origin::default())
    }

    /// The same for a session that somebody else vouches for.
    pub fn begin_session_of(
        &self,
        user: Id,
        kind: SessionKind,
        device: String,
        origin: Origin,
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
            origin,
            address: None,
            written_ms: now,
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
        self.used(token, None)
    }

    /// As [`People::session`], where it is known who asks.
    pub fn session_at(&self, token: &str, address: IpAddr) -> Option<Session> {
        self.used(token, Some(address))
    }

    fn used(&self, token: &str, address: Option<IpAddr>) -> Option<Session> {
        let now = self.now_ms();
        let digest = digest(token);
        let session = {
            let state = self.read();
            let session = state.sessions.get(&digest)?;
            let account = state.accounts.get(&session.user)?;
            if session.is_over(now) || !state.stands(account) {
                return None;
            }
            session.clone()
        };
        let is_elsewhere = address.is_some() && address != session.address;
        if is_elsewhere || now.saturating_sub(session.used_ms) > USE_NOTED_MS {
            self.note_use(&digest, now, address, is_elsewhere);
        }
        Some(session)
    }

    fn note_use(
        &self,
        digest: &[u8; 32],
        now_ms: u64,
        address: Option<IpAddr>,
        is_elsewhere: bool,
    ) {
        let mut state = self.change();
        if let Some(session) = state.sessions.get_mut(digest) {
            session.used_ms = now_ms;
            session.address = address.or(session.address);
            let pause = match is_elsewhere {
                true => USE_NOTED_MS,
                false => USE_WRITTEN_MS,
            };
            if now_ms.saturating_sub(session.written_ms) <= pause {
                return;
            }
            session.written_ms = now_ms;
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
                .is_some_and(|account| held.stands(account))
    }

    /// All sessions that are not over, for those who ask their providers about them.
    pub fn sessions(&self) -> Vec<Session> {
        let now = self.now_ms();
        let state = self.read();
        let live = state.sessions.values().filter(|it| !it.is_over(now));
        live.cloned().collect()
    }

    /// Notes what asks the provider next about a session.
    pub fn set_refresh(&self, session: Id, refresh: &str) -> Result<(), StoreError> {
        let mut state = self.change();
        let held = state.sessions.iter_mut().find(|(_, it)| it.id == session);
        let Some((digest, held)) = held else {
            return Ok(());
        };
        held.origin.refresh = Some(refresh.to_string());
        self.store.write(&[row(SESSION, &[digest], held)])
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
