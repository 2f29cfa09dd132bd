//! Tells other partners of this partner's users: a roster in each shared channel, of what changed
//! since the last. What was said before is read from the channel itself, so nothing is kept beside
//! it, and a node that was restored or killed says what is missing.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use comity_protocol::body::RosterUser;
use comity_protocol::event::UserName;
use comity_protocol::id::LaneId;
use comity_protocol::lane::{History, LaneForm};
use comity_protocol::limits;
use comity_protocol::replica::Command;

use super::Home;
use super::feed::Room;
use super::people::Account;
use super::roster::digest;
use crate::api::ApiError;
use crate::service::{audience, failure};

/// How long changes are gathered, so that a hundred new users are one event.
const GATHERED: Duration = Duration::from_secs(2);
/// When it is tried again what could not be said: a channel with a partner whose pact is suspended,
/// or a node that may not write.
const AGAIN: Duration = Duration::from_secs(60);
/// How long what was written may take until it is known here.
const PATIENCE: Duration = Duration::from_secs(30);

/// Goes on until the node ends.
pub async fn run(home: Weak<Home>) {
    let mut left = true;
    loop {
        let Some(changed) = home.upgrade().map(|home| home.people.changed.clone()) else {
            return;
        };
        // At the start all is looked at once.
        match left {
            true => drop(tokio::time::timeout(GATHERED, changed.notified()).await),
            false => changed.notified().await,
        }
        tokio::time::sleep(GATHERED).await;
        loop {
            let Some(home) = home.upgrade() else { return };
            left = publish_all(&home).await;
            drop(home);
            if !left {
                break;
            }
            let _ = tokio::time::timeout(AGAIN, changed.notified()).await;
        }
    }
}

/// Says in all channels what is new; whether something is left to be said later.
async fn publish_all(home: &Arc<Home>) -> bool {
    let withheld = audience::withheld(&home.node).await;
    let mut left = false;
    for room in home.feed.rooms() {
        if !home.is_open(&room) || room.members().count() < 2 {
            continue;
        }
        // Others may hand on to it what all members may read: nothing is said meanwhile.
        if room.members().any(|partner| withheld.contains_key(partner)) {
            left = true;
            continue;
        }
        match publish(home, &room).await {
            Ok(()) => {}
            Err(error) => {
                left = true;
                tracing::warn!(%error, channel = %room.name, "this partner's users are not told of in a channel");
            }
        }
    }
    left
}

async fn publish(home: &Home, room: &Room) -> Result<(), ApiError> {
    let due = due(home, room, &lanes_that_count(home, room).await?);
    for users in due.chunks(limits::ROSTER_USERS) {
        let command = Command::Roster {
            channel: room.channel,
            claimed_ms: home.node.now_ms(),
            users: users.to_vec(),
        };
        let written = home.node.handle.command(command).await;
        written
            .map_err(failure::stopped)?
            .map_err(failure::command)?;
    }
    match due.last() {
        Some(last) => known_soon(home, room, last).await,
        None => Ok(()),
    }
}

/// The open lanes of which all present members have what was said.
async fn lanes_that_count(home: &Home, room: &Room) -> Result<BTreeSet<LaneId>, ApiError> {
    let id = room.channel;
    let lanes = home.node.handle.look(move |replica| {
        let Some(channel) = replica.channels().get(&id) else {
            return BTreeSet::new();
        };
        let members = channel.present().active();
        let to_all = channel.history() == History::All;
        let open = channel.lanes().filter(|(_, lane)| {
            lane.form == LaneForm::Open && (to_all || members.is_subset(&lane.audience))
        });
        open.map(|(lane, _)| *lane).collect()
    });
    lanes.await.map_err(failure::stopped)
}

/// Own users of whom something else is to be said than was said last.
fn due(home: &Home, room: &Room, lanes: &BTreeSet<LaneId>) -> Vec<RosterUser> {
    let mut due = Vec::new();
    for account in home.people.accounts() {
        let Ok(name) = UserName::try_from(account.username.clone()) else {
            continue;
        };
        let user = RosterUser {
            name,
            display_name: display_name(&account),
            present: account.is_active() && home.is_member(&account.id, room),
        };
        let said = home.feed.roster_word(&account.id, &room.id);
        let said = said.filter(|word| lanes.contains(&word.lane));
        let is_new = match &said {
            Some(word) if !user.present => word.present,
            Some(word) => !word.present || word.display != digest(&user.display_name),
            None => user.present,
        };
        if is_new {
            due.push(user);
        }
    }
    due.sort_by(|a, b| a.name.cmp(&b.name));
    due
}

/// First and last name, as far as a roster has room for them.
fn display_name(account: &Account) -> String {
    let whole = format!("{} {}", account.first_name, account.last_name);
    let mut name = whole.trim();
    while name.len() > limits::DISPLAY_NAME_BYTES {
        name = &name[..name.floor_char_boundary(limits::DISPLAY_NAME_BYTES)];
    }
    name.to_string()
}

/// Waits until what was written is known here, so that it is not said again.
async fn known_soon(home: &Home, room: &Room, last: &RosterUser) -> Result<(), ApiError> {
    let user = super::id::Id::of_user(&home.node.partner, last.name.as_str());
    let display = digest(&last.display_name);
    loop {
        let told = home.told.notified();
        tokio::pin!(told);
        told.as_mut().enable();
        let word = home.feed.roster_word(&user, &room.id);
        if word.is_some_and(|word| word.present == last.present && word.display == display) {
            return Ok(());
        }
        if tokio::time::timeout(PATIENCE, told).await.is_err() {
            return Err(failure::node(
                "internal",
                "a roster that was written is not in the index",
            ));
        }
    }
}
