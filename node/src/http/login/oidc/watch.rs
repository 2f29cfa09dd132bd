//! Sessions whose provider can be asked are asked about again and again, so that whoever is disabled
//! there is out here a minute later. A provider that cannot be reached ends none of them for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::claims::{self, source};
use super::provider::{Provider, ProviderError};
use crate::home::id::Id;
use crate::home::people::Session;
use crate::http::login::admit;
use crate::http::{Web, auth};

/// How often a session is asked about. With an answer's time it has ended within a minute.
const ASK_EVERY: Duration = Duration::from_secs(45);
/// How often it is looked which are due.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// For how long a provider that did not answer is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(10);
/// Sessions that one provider is asked about at a time; the others wait, those longest due first. One
/// that hangs holds up no other.
const ASKED: usize = 32;
/// For how long a session goes on whose provider the configuration no longer names.
const UNNAMED: Duration = Duration::from_secs(15 * 60);

/// What is known of a session.
struct Watched {
    due: Instant,
    /// When its provider last vouched for it. After a start of the node, the start.
    sure: Instant,
    is_asked: bool,
}

/// What a provider said of a session.
enum Word {
    Sure,
    /// Nobody could say: a reason for people.
    Unsure(String),
    /// It is over, and why.
    Over(String),
}

#[derive(Default)]
struct Watch {
    sessions: BTreeMap<Id, Watched>,
    /// Providers that are left alone until then.
    silent: BTreeMap<String, Instant>,
    questions: JoinSet<(Session, String, Word)>,
}

/// Asks for as long as the node serves.
pub async fn watch(web: Arc<Web>) {
    let mut watch = Watch::default();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = looks.tick() => watch.look(&web),
            Some(answer) = watch.questions.join_next() => match answer {
                Ok((session, provider, word)) => watch.heard(&web, &session, provider, word),
                Err(error) => tracing::error!(%error, "a question to a provider was not finished"),
            },
        }
    }
}

impl Watch {
    /// Asks about the sessions that are due, and ends those that were vouched for too long ago.
    fn look(&mut self, web: &Arc<Web>) {
        let now = Instant::now();
        let mut due = Vec::new();
        let mut seen = BTreeMap::new();
        let mut asked: BTreeMap<String, usize> = BTreeMap::new();
        for session in web.home.people.sessions() {
            let Some(name) = asked_at(web, &session) else {
                continue;
            };
            let watched = self.sessions.remove(&session.id);
            let watched = watched.unwrap_or_else(|| Watched {
                due: now + share(&session.id),
                sure: now,
                is_asked: false,
            });
            let provider = web.oidc.providers.get(&name).cloned();
            let patience = provider.as_ref().map_or(UNNAMED, |it| patience(it));
            if now.duration_since(watched.sure) >= patience {
                let minutes = patience.as_secs() / 60;
                let why = format!("oidc:{name} could not be asked for {minutes} minutes");
                end(web, &session, &why);
                continue;
            }
            *asked.entry(name.clone()).or_default() += usize::from(watched.is_asked);
            let is_silent = self.silent.get(&name).is_some_and(|until| now < *until);
            if let Some(provider) = provider
                && watched.due <= now
                && !watched.is_asked
                && !is_silent
            {
                due.push((watched.due, session.clone(), provider));
            }
            seen.insert(session.id, watched);
        }
        self.sessions = seen;
        self.ask(web, due, asked, now);
    }

    /// Asks about those that have waited longest.
    fn ask(
        &mut self,
        web: &Arc<Web>,
        mut due: Vec<(Instant, Session, Arc<Provider>)>,
        mut asked: BTreeMap<String, usize>,
        now: Instant,
    ) {
        due.sort_by_key(|(since, ..)| *since);
        for (_, session, provider) in due {
            let asked = asked.entry(provider.config.name.clone()).or_default();
            if *asked >= ASKED {
                continue;
            }
            *asked += 1;
            if let Some(watched) = self.sessions.get_mut(&session.id) {
                watched.is_asked = true;
                watched.due = now + ASK_EVERY;
            }
            let web = web.clone();
            self.questions.spawn(async move {
                let word = word(&web, &provider, &session).await;
                (session, provider.config.name.clone(), word)
            });
        }
    }

    fn heard(&mut self, web: &Web, session: &Session, provider: String, word: Word) {
        let now = Instant::now();
        let Some(watched) = self.sessions.get_mut(&session.id) else {
            return;
        };
        watched.is_asked = false;
        match word {
            Word::Sure => {
                watched.sure = now;
                self.silent.remove(&provider);
            }
            Word::Unsure(why) => {
                watched.due = now + LEFT_ALONE;
                tracing::warn!(provider, why, "a session cannot be asked about");
                self.silent.insert(provider, now + LEFT_ALONE);
            }
            Word::Over(why) => {
                self.sessions.remove(&session.id);
                end(web, session, &format!("oidc:{provider}: {why}"));
            }
        }
    }
}

/// The name of the provider that can be asked about a session.
fn asked_at(web: &Web, session: &Session) -> Option<String> {
    session.origin.refresh.as_ref()?;
    let subject = web.home.people.account(&session.user)?.subject?;
    subject.source.strip_prefix("oidc:").map(Into::into)
}

fn patience(provider: &Provider) -> Duration {
    Duration::from_secs(provider.config.offline_minutes * 60)
}

/// When in the round a session is asked about first, so that not all are at once.
fn share(session: &Id) -> Duration {
    ASK_EVERY.mul_f64(f64::from(session.0[0]) / 256.0)
}

/// Asks the provider about a session, and brings its account up to date.
async fn word(web: &Web, provider: &Provider, session: &Session) -> Word {
    let account = web.home.people.account(&session.user);
    let subject = account.and_then(|it| it.subject);
    let (Some(refresh), Some(subject)) = (&session.origin.refresh, subject) else {
        return Word::Over("nobody can be asked about it".into());
    };
    if subject.source != source(&provider.config.name) {
        return Word::Over("the account is another provider's now".into());
    }
    let now_ms = web.home.node.now_ms();
    let vouched = match provider.ask_again(refresh, &subject.name, now_ms).await {
        Ok(vouched) => vouched,
        Err(ProviderError::Unreachable(why)) => return Word::Unsure(why),
        Err(ProviderError::Secret(error)) => return Word::Unsure(error.to_string()),
        Err(error) => return Word::Over(error.to_string()),
    };
    // The old one may be worth nothing now, so this comes first.
    if let Some(next) = vouched.refresh.filter(|next| next != refresh)
        && let Err(error) = web.home.people.set_refresh(session.id, &next)
    {
        return Word::Unsure(error.to_string());
    }
    // Nothing but who it is: no groups that could have changed.
    if vouched.said.len() <= 1 {
        return Word::Sure;
    }
    match admit(
        web,
        &provider.config.rules,
        claims::claims(&provider.config, &vouched.said),
    ) {
        Ok(_) => Word::Sure,
        Err(failure) if failure.status.is_server_error() => Word::Unsure(failure.message),
        Err(failure) => Word::Over(failure.message),
    }
}

fn end(web: &Web, session: &Session, why: &str) {
    let text = format!("{} of {}: {why}", session.id, session.user);
    match auth::end(web, session.user, session.id) {
        Ok(true) => auth::record(web, "session_ended", &text),
        // It has ended by itself meanwhile.
        Ok(false) => {}
        Err(failure) => tracing::error!(why = failure.message, "a session could not be ended"),
    }
}
