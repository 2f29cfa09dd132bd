//! Outgoing webhooks: programs elsewhere are told of posts, and what they say is an answer in the
//! post's thread. Only what goes to all readers of its channel is told: a post for some of the partners
//! leaves this node for nobody else. The tasks here hold no post up: what waits for too long a queue is
//! dropped, on record.

use std::sync::{Arc, OnceLock, Weak};

use comity_protocol::lane::LaneForm;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

use super::calling::{Call, CallError, Question};
use super::feed::{Place, Room};
use super::id::Id;
use super::people::{Account, OutgoingHook};
use super::posting::{MESSAGE_CHARACTERS, NewPost};
use super::shapes::{self, Post};
use super::{Home, is_direct};

/// Posts that wait to be told of.
const WAITING: usize = 256;
/// Programs that are told at a time.
const WORKERS: usize = 4;

/// What is to be told of.
struct Job {
    hook: Id,
    word: String,
    post: Post,
}

/// The posts that wait.
#[derive(Default)]
pub struct Outgoing {
    queue: OnceLock<mpsc::Sender<Job>>,
}

impl Home {
    /// Begins to tell programs, where the operator lists any.
    pub(super) fn tell_programs(self: &Arc<Home>) {
        if !self.caller.has_hosts() {
            return;
        }
        let (sender, receiver) = mpsc::channel(WAITING);
        if self.outgoing.queue.set(sender).is_err() {
            return;
        }
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..WORKERS {
            tokio::spawn(work(Arc::downgrade(self), receiver.clone()));
        }
    }

    /// Notes a post that hooks may wait for. Of other partners' posts those that begin a thread are
    /// for hooks: what their hooks answer is an answer, and two hooks that answer each other end here.
    pub fn offer_to_programs(&self, room: &Room, post: &Post) {
        let Some(queue) = self.outgoing.queue.get() else {
            return;
        };
        let is_answer_of_other = post.remote_id.is_some() && !post.root_id.is_empty();
        if is_direct(room) || post.delete_at != 0 || is_answer_of_other {
            return;
        }
        let team = self.team_of(room).id;
        for (hook, word) in self.people.waiting_for(&team, &room.id, &post.message) {
            let job = Job {
                hook,
                word,
                post: post.clone(),
            };
            if queue.try_send(job).is_err() && self.caller.is_news(&Id::default()) {
                tracing::warn!("too many posts wait for webhooks: some are not told of");
                self.record("webhook_overflow", &format!("from {hook} on"));
            }
        }
    }

    fn record(&self, action: &str, text: &str) {
        if let Err(error) = self.node.audit.record_all([(action, text)]) {
            tracing::error!(%error, "what became of a webhook is not on record");
        }
    }

    /// Whether a post goes to all readers of its channel, as the machine has it.
    async fn is_for_all(&self, place: &Place) -> bool {
        let (channel, pos) = (place.channel, place.pos);
        let looked = self.node.handle.look(move |replica| {
            let channel = replica.channels().get(&channel)?;
            Some(channel.lane(&channel.lane_of(pos))?.form == LaneForm::Open)
        });
        looked.await.ok().flatten().unwrap_or(false)
    }

    async fn tell_program(&self, job: &Job) {
        let Some(hook) = self.people.outgoing(&job.hook) else {
            return;
        };
        let owner = self.account(&hook.user).filter(Account::is_active);
        let readable = self.post_for(&hook.user, &job.post.id);
        let (Some(owner), Some((room, place))) = (owner, readable) else {
            return;
        };
        if !self.is_for_all(&place).await || !self.people.may_use(&hook.id) {
            return;
        }
        for url in &hook.urls {
            match self.ask(&hook, &room, job, url).await {
                Ok(answer) => self.answer(&owner, &room, job, &answer).await,
                Err(error) => {
                    tracing::info!(%error, hook = %hook.id, "a webhook's program was not told");
                    if self.caller.is_news(&hook.id) {
                        self.record("webhook_failed", &format!("{}: {error}", hook.id));
                    }
                }
            }
        }
    }

    async fn ask(
        &self,
        hook: &OutgoingHook,
        room: &Room,
        job: &Job,
        url: &str,
    ) -> Result<String, CallError> {
        let url = self.caller.admit(url)?;
        let post = &job.post;
        let files: Vec<String> = post.file_ids.iter().map(ToString::to_string).collect();
        let fields = vec![
            ("token", hook.token.clone()),
            ("team_id", hook.team.to_string()),
            ("team_domain", self.team_of(room).name),
            ("channel_id", room.id.to_string()),
            ("channel_name", shapes::channel_name(self, room)),
            ("timestamp", post.create_at.to_string()),
            ("user_id", post.user_id.to_string()),
            (
                "user_name",
                self.account_name(&post.user_id).unwrap_or_default(),
            ),
            ("post_id", post.id.to_string()),
            ("text", post.message.clone()),
            ("trigger_word", job.word.clone()),
            ("file_ids", files.join(",")),
        ];
        let question = match hook.json {
            true => {
                let mut value: Value = fields.into_iter().collect();
                value["timestamp"] = json!(post.create_at);
                Question::Json(value)
            }
            false => Question::Form(fields),
        };
        let token = hook.token.clone();
        let call = Call {
            url,
            question,
            token,
        };
        self.caller.call(call).await
    }

    /// What a program says is said in its hook's owner's name, in the thread of the post.
    async fn answer(&self, owner: &Account, room: &Room, job: &Job, answer: &str) {
        let message = said(answer);
        if message.is_empty() {
            return;
        }
        let post = NewPost {
            message,
            root: Some(job.post.id),
            ..NewPost::default()
        };
        if let Err(error) = self.post(owner, room, post).await {
            tracing::info!(error = %error.what, "what a webhook's program said is not posted");
        }
    }
}

/// The text of a program's answer: JSON with `text` or attachments; else nothing.
fn said(answer: &str) -> String {
    let Ok(Value::Object(message)) = serde_json::from_str(answer) else {
        return String::new();
    };
    let text = shapes::program_text(&message);
    text.trim().chars().take(MESSAGE_CHARACTERS).collect()
}

async fn work(home: Weak<Home>, queue: Arc<Mutex<mpsc::Receiver<Job>>>) {
    loop {
        let job = queue.lock().await.recv().await;
        let (Some(job), Some(home)) = (job, home.upgrade()) else {
            return;
        };
        home.tell_program(&job).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_json_with_a_text() {
        assert_eq!(said(r#"{"text": " open "}"#), "open");
        assert_eq!(
            said(r#"{"attachments": [{"title": "Gate", "text": "open"}]}"#),
            "Gate\nopen"
        );
        for nothing in ["", "ok", "[]", "{}", r#"{"text": 3}"#] {
            assert_eq!(said(nothing), "", "{nothing}");
        }
    }
}
