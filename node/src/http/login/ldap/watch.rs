//! Keeps the accounts of the directory as it has them now: whoever is gone from it, disabled or in no
//! group that may log in is out, and roles and channels follow the groups.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::directory::{BATCH, Directory};
use super::{LdapConfig, SOURCE};
use crate::home::id::Id;
use crate::home::people::Account;
use crate::http::login::admit;
use crate::http::{Web, accounts, auth};

/// How often those are looked up who have sessions: ending takes less than a minute.
const EVERY: Duration = Duration::from_secs(30);
/// How long somebody stays who cannot be looked up, because the directory does not answer: it is
/// restarted or moved within that. After it nobody knows any more who may be here.
const UNREACHABLE: Duration = Duration::from_secs(15 * 60);

/// Goes on as long as the node serves its users.
pub async fn watch(web: Weak<Web>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Seen::default();
    loop {
        ticks.tick().await;
        let Some(web) = web.upgrade() else { return };
        let Some(config) = web.login.ldap.clone() else {
            return;
        };
        look(&web, &config, &mut seen).await;
    }
}

/// When each account was found in the directory last.
#[derive(Default)]
struct Seen {
    last: BTreeMap<Id, Instant>,
}

impl Seen {
    /// Knows these and no others; who is new counts as found now.
    fn keep(&mut self, present: &BTreeMap<Id, Account>) {
        self.last.retain(|id, _| present.contains_key(id));
        for id in present.keys() {
            self.last.entry(*id).or_insert_with(Instant::now);
        }
    }

    fn note(&mut self, id: Id) {
        self.last.insert(id, Instant::now());
    }

    /// Whether nobody knows any more if the account may be here.
    fn is_lost(&self, id: &Id) -> bool {
        let last = self.last.get(id);
        last.is_none_or(|last| last.elapsed() >= UNREACHABLE)
    }
}

async fn look(web: &Arc<Web>, config: &LdapConfig, seen: &mut Seen) {
    let present = present(web);
    seen.keep(&present);
    let directory = Directory::of(config, &web.home.node.dir);
    let accounts: Vec<&Account> = present.values().collect();
    for batch in accounts.chunks(BATCH) {
        let ids: Vec<String> = batch.iter().filter_map(|it| subject(it)).collect();
        let mut found = match directory.look_up(&ids).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "accounts of the directory cannot be looked up");
                let lost = batch.iter().filter(|it| seen.is_lost(&it.id));
                lost.for_each(|account| suspend(web, account));
                continue;
            }
        };
        for account in batch {
            let claims = subject(account).and_then(|id| found.remove(&id));
            let is_in = match claims {
                Some(claims) => admit(web, &config.rules, claims).is_ok(),
                None => false,
            };
            seen.note(account.id);
            if !is_in {
                end(web, account);
            }
        }
    }
}

/// The accounts of the directory that have sessions or tokens, their own or a bot's of theirs.
fn present(web: &Web) -> BTreeMap<Id, Account> {
    let people = &web.home.people;
    let users = people.sessions().into_iter().filter_map(|session| {
        let account = people.account(&session.user)?;
        match account.bot_of {
            Some(owner) => people.account(&owner),
            None => Some(account),
        }
    });
    let kept = users.filter(|it| subject(it).is_some());
    kept.map(|account| (account.id, account)).collect()
}

fn subject(account: &Account) -> Option<String> {
    let subject = account.subject.as_ref();
    let own = subject.filter(|it| it.source == SOURCE)?;
    Some(own.name.clone())
}

/// The directory says that this user is not to be here.
fn end(web: &Web, account: &Account) {
    let text = format!("{} by {SOURCE}: gone, disabled or not admitted", account.id);
    auth::record(web, "sessions_ended", &text);
    if let Err(failure) = accounts::end_with_programs(web, account.id) {
        tracing::error!(
            why = failure.message,
            "sessions of the directory's user go on"
        );
    }
}

/// Nobody knows whether this user may be here: sessions and tokens end, also those of bots, which stay
/// as they are for the user to come back to.
fn suspend(web: &Web, account: &Account) {
    let text = format!("{} by {SOURCE}: the directory does not answer", account.id);
    auth::record(web, "sessions_ended", &text);
    let bots = web.home.people.bots_of(account.id);
    for user in bots.into_iter().chain([account.id]) {
        if let Err(failure) = auth::end_all(web, user) {
            tracing::error!(
                why = failure.message,
                "sessions of the directory's user go on"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_cannot_be_looked_up_stays_for_a_while_and_no_longer() {
        let (alice, bob) = (Id([1; 16]), Id([2; 16]));
        let both = BTreeMap::from([alice, bob].map(|id| (id, Account::default())));
        let mut seen = Seen::default();
        seen.keep(&both);
        tokio::time::advance(UNREACHABLE - EVERY).await;
        seen.keep(&both);
        seen.note(bob);
        assert!(!seen.is_lost(&alice));
        tokio::time::advance(EVERY).await;
        seen.keep(&both);
        assert!(seen.is_lost(&alice));
        assert!(!seen.is_lost(&bob));
    }
}
