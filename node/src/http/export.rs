//! What this node holds of a user, for that user to take along, and what the user wrote, for the
//! partner's records: lines of JSON, sent as they are read.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

use super::auth::{self, Me};
use super::failure::{Answer, Failure};
use super::{App, Web, drafts};
use crate::home::feed::Room;
use crate::home::people::{Account, Action, SessionKind};
use crate::home::shapes;

/// Exports at a time: each reads all channels.
static EXPORTS: Semaphore = Semaphore::const_new(2);
/// Lines that wait for a reader, which bounds what an export holds.
const WAITING: usize = 64;
/// Files that are listed at a time.
const FILES: usize = 256;

/// Why an export ended before its end.
enum Broken {
    /// Nobody reads it any more.
    Gone,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Broken {
    fn from(error: E) -> Broken {
        Broken::Failed(error.into())
    }
}

/// Streams what is held of whoever asks, or, for a records officer, what another user of the partner
/// wrote: that user's sessions, settings and drafts are no records. The last line is of type `end`, with the number of lines
/// before it: without it the export is not whole.
pub async fn export(me: Me, State(web): App, Path(user): Path<String>) -> Answer<Response> {
    let of = me.or_may(&web, Action::ExportRecords, &user)?;
    let of = web.home.people.account(&of);
    let of = of.ok_or_else(|| Failure::missing("user"))?;
    let turn = EXPORTS.try_acquire().map_err(|_| {
        Failure::too_many("Two exports are under way already: try again in some minutes.")
    })?;
    let is_own = of.id == me.id();
    match is_own {
        true => auth::record(&web, "data_export", &me.id().to_string()),
        false => {
            let text = format!("of {} ({}) by {}", of.id, of.username, me.id());
            auth::record(&web, "records_export", &text);
        }
    }
    let (lines, reader) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let _turn = turn;
        let mut export = Export {
            web: &web,
            of: &of,
            is_own,
            lines,
            written: 0,
        };
        if let Err(Broken::Failed(failure)) = export.run().await {
            tracing::warn!(why = %failure.message, "an export of a user's data broke off");
            let broken = std::io::Error::other(failure.message);
            let _ = export.lines.send(Err(broken)).await;
        }
    });
    let stream = futures_util::stream::unfold(reader, |mut reader| async move {
        let line = reader.recv().await?;
        Some((line, reader))
    });
    let headers = [
        (CONTENT_TYPE, "application/x-ndjson"),
        (
            CONTENT_DISPOSITION,
            "attachment; filename=\"comity-export.jsonl\"",
        ),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(stream)).into_response())
}

struct Export<'a> {
    web: &'a Arc<Web>,
    of: &'a Account,
    /// Whether the user takes it along.
    is_own: bool,
    lines: mpsc::Sender<std::io::Result<Bytes>>,
    written: u64,
}

impl Export<'_> {
    async fn run(&mut self) -> Result<(), Broken> {
        self.settings().await?;
        for room in self.web.home.feed.rooms() {
            self.channel(&room).await?;
        }
        self.files().await?;
        let lines = self.written;
        self.line("end", json!(lines)).await
    }

    /// One line: its type, and what it says under a key of that name.
    async fn line(&mut self, kind: &str, said: Value) -> Result<(), Broken> {
        let mut text = json!({"type": kind, kind: said}).to_string();
        text.push('\n');
        self.written += 1;
        let sent = self.lines.send(Ok(text.into())).await;
        sent.map_err(|_| Broken::Gone)
    }

    async fn settings(&mut self) -> Result<(), Broken> {
        let (home, user) = (&self.web.home, self.of.id);
        self.line("profile", shapes::user(self.of, self.is_own))
            .await?;
        if !self.is_own {
            return Ok(());
        }
        for session in home.people.sessions_of(user) {
            match session.kind {
                SessionKind::Device => self.line("session", shapes::session(&session)).await?,
                SessionKind::AccessToken { .. } => {
                    self.line("access_token", shapes::access_token(&session))
                        .await?;
                }
            }
        }
        for preference in home.people.preferences(user) {
            self.line("preference", shapes::preference(&user, &preference))
                .await?;
        }
        for draft in home.people.drafts(user)? {
            self.line("draft", drafts::shape(self.web, user, &draft))
                .await?;
        }
        for bot in home.people.bots_of(user) {
            let account = home.account(&bot);
            let name = account.map_or_else(String::new, |it| it.username);
            self.line("bot", json!({"id": bot, "username": name}))
                .await?;
        }
        Ok(())
    }

    /// The user's posts and reactions in a channel, also in one that the user has left.
    async fn channel(&mut self, room: &Room) -> Result<(), Broken> {
        let home = &self.web.home;
        let user = self.of.id;
        let name = shapes::display_name(home, room, Some(&user));
        let mut after = None;
        loop {
            let page = home.own_page(room, &self.of.username, after).await?;
            for post in home.own_posts(room, &page).await? {
                let audience = post.props.get("comity_audience");
                let said = json!({
                    "id": post.id, "channel_id": room.id, "channel": name,
                    "create_at": post.create_at, "edit_at": post.edit_at,
                    "root_id": post.root_id, "message": post.message, "file_ids": post.file_ids,
                    "audience": audience,
                });
                self.line("post", said).await?;
            }
            for post in home.own_reacted(room, &page).await? {
                let own = post
                    .metadata
                    .reactions
                    .iter()
                    .filter(|it| it.user_id == user);
                for reaction in own {
                    let said = json!({
                        "post_id": post.id, "channel_id": room.id, "channel": name,
                        "emoji_name": reaction.emoji_name, "create_at": reaction.create_at,
                    });
                    self.line("reaction", said).await?;
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn files(&mut self) -> Result<(), Broken> {
        let mut after = None;
        loop {
            let files = self.web.home.files.of_user(&self.of.id, after, FILES);
            for file in &files {
                self.line("file", file.shape()).await?;
            }
            match files.last() {
                Some(last) => after = Some(last.id),
                None => return Ok(()),
            }
        }
    }
}
