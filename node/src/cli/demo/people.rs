//! Users of the demonstration's partners: two each, who can log in.

use std::path::Path;

use serde::Serialize;

use super::super::failure;
use super::fleet::{Fleet, Member};
use crate::api::{ApiError, Request, UserInfo};
use crate::config::Config;
use crate::home::id::Id;
use crate::random;

/// Who has an account at every partner.
const NAMES: [&str; 2] = ["alice", "bob"];

/// Where the nodes are, and who can log in.
#[derive(Debug, Serialize)]
pub struct Ready {
    pub nodes: Vec<ReadyNode>,
}

#[derive(Debug, Serialize)]
pub struct ReadyNode {
    pub partner: String,
    pub url: String,
    /// The team that holds what all partners share.
    pub team: String,
    pub users: Vec<ReadyUser>,
}

#[derive(Debug, Serialize)]
pub struct ReadyUser {
    pub username: String,
    pub password: String,
}

/// Makes the accounts, or gives them new passwords where they were made before.
pub async fn admit(fleet: &mut Fleet) -> Result<Ready, ApiError> {
    let mut partners: Vec<String> = fleet.members.iter().map(|it| it.name.clone()).collect();
    partners.sort_unstable();
    let team = partners.join("-");
    let mut nodes = Vec::new();
    for member in &mut fleet.members {
        let Some(url) = url(&member.dir)? else {
            continue;
        };
        let mut users = Vec::new();
        for name in NAMES {
            users.push(account(member, name).await?);
        }
        nodes.push(ReadyNode {
            partner: member.name.clone(),
            url,
            team: team.clone(),
            users,
        });
    }
    Ok(Ready { nodes })
}

fn url(dir: &Path) -> Result<Option<String>, ApiError> {
    let listen = Config::load(dir)?.http.listen;
    Ok(listen.map(|address| format!("http://{address}")))
}

async fn account(member: &mut Member, name: &str) -> Result<ReadyUser, ApiError> {
    let password = Id(random::bytes()).to_string();
    let held: Vec<UserInfo> = member.admin.ask_all(&Request::UserList).await?;
    let request = match held.iter().any(|user| user.name == name) {
        true => Request::UserPassword {
            name: name.into(),
            password: password.clone(),
        },
        false => Request::UserAdd {
            name: name.into(),
            password: password.clone(),
            email: String::new(),
            roles: Vec::new(),
        },
    };
    let _: UserInfo = member.admin.ask_one(&request).await?;
    Ok(ReadyUser {
        username: name.into(),
        password,
    })
}

/// Writes it where programs wait for it: whole or not at all.
pub fn write(ready: &Ready, path: &Path) -> Result<(), ApiError> {
    let text = serde_json::to_string(ready).map_err(|error| failure::node("internal", error))?;
    let beside = path.with_extension("part");
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|error| failure::file(path, &error))
}

/// Who can log in where, for people.
pub fn text(ready: &Ready) -> String {
    let mut text = String::from("\nUsers log in with any Mattermost client:\n");
    for node in &ready.nodes {
        for user in &node.users {
            text += &format!(
                "  {:<8} {:<24} user {:<6} password {}\n",
                node.partner, node.url, user.username, user.password
            );
        }
    }
    text
}
