//! `comity user`: accounts of the partner's own users.

use std::path::Path;

use super::args::{PasswordSource, UserCommand};
use super::client::Node;
use super::escape::escape;
use super::exit::Exit;
use super::failure;
use super::output::Output;
use super::peer::read_text;
use super::table::{Table, left};
use super::time::utc;
use crate::api::{ApiError, ProvisioningToken, Request, UserInfo, UserSessionInfo};

pub async fn run(dir: &Path, command: UserCommand, output: &Output) -> Result<Exit, ApiError> {
    let request = match command {
        UserCommand::List => return list(dir, output).await,
        UserCommand::Sessions(args) => return sessions(dir, args.name, output).await,
        UserCommand::Logout(args) => Request::UserLogout {
            name: args.name,
            session: args.session,
        },
        UserCommand::ProvisioningToken(args) => {
            return provisioning_token(dir, args.lasts.as_secs(), output).await;
        }
        UserCommand::Add(args) => Request::UserAdd {
            name: args.name,
            password: password(&args.password)?,
            email: args.email,
            roles: args.roles,
        },
        UserCommand::Roles(args) => Request::UserRoles {
            name: args.name,
            roles: args.roles,
        },
        UserCommand::Link(args) => Request::UserLink {
            name: args.name,
            source: args.source,
            subject: args.subject,
        },
        UserCommand::Password(args) => Request::UserPassword {
            name: args.name,
            password: password(&args.password)?,
        },
        UserCommand::Disable(args) => Request::UserActive {
            name: args.name,
            active: false,
        },
        UserCommand::Enable(args) => Request::UserActive {
            name: args.name,
            active: true,
        },
    };
    let mut node = Node::open(dir).await?;
    let user: UserInfo = node.ask_one(request).await?;
    output.answer(&user, |user| {
        let standing = if user.active {
            "may log in"
        } else {
            "may not log in"
        };
        format!("{} {standing}\n", escape(&user.name))
    })?;
    Ok(Exit::Ok)
}

/// The first line of the file, or of standard input: a password on the command line would be seen
/// by everybody on the machine.
fn password(source: &PasswordSource) -> Result<String, ApiError> {
    let text = match &source.password_file {
        Some(path) => read_text(path)?,
        None => {
            let mut line = String::new();
            std::io::stdin()
                .read_line(&mut line)
                .map_err(|error| failure::node("no_input", error))?;
            line
        }
    };
    Ok(text.lines().next().unwrap_or_default().to_string())
}

async fn sessions(dir: &Path, name: String, output: &Output) -> Result<Exit, ApiError> {
    let mut node = Node::open(dir).await?;
    let sessions: Vec<UserSessionInfo> = node.ask_all(Request::UserSessions { name }).await?;
    if output.is_json() {
        sessions.iter().try_for_each(|it| output.object(it))?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(["SESSION", "KIND", "DEVICE", "ADDRESS", "LAST USED"].map(left));
    for session in &sessions {
        table.row([
            session.id.clone(),
            escape(&session.kind).into_owned(),
            escape(&session.device).into_owned(),
            escape(&session.address).into_owned(),
            utc(session.used_ms),
        ]);
    }
    output.text(&table.render())?;
    Ok(Exit::Ok)
}

async fn provisioning_token(dir: &Path, lasts_s: u64, output: &Output) -> Result<Exit, ApiError> {
    let mut node = Node::open(dir).await?;
    let token: ProvisioningToken = node.ask_one(Request::ProvisioningToken { lasts_s }).await?;
    output.answer(&token, |it| {
        format!(
            "{}\nlets provisioning in until {} UTC; it is not shown again, and the one before has ended\n",
            it.token,
            utc(it.until_ms)
        )
    })?;
    Ok(Exit::Ok)
}

async fn list(dir: &Path, output: &Output) -> Result<Exit, ApiError> {
    let mut node = Node::open(dir).await?;
    let users: Vec<UserInfo> = node.ask_all(Request::UserList).await?;
    if output.is_json() {
        users.iter().try_for_each(|user| output.object(user))?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new([
        left("USER"),
        left("MAIL"),
        left("ROLES"),
        left("SOURCE"),
        left("STATE"),
        left("SESSIONS"),
    ]);
    for user in &users {
        let state = if user.active { "active" } else { "disabled" };
        table.row([
            escape(&user.name).into_owned(),
            escape(&user.email).into_owned(),
            user.roles
                .iter()
                .map(|role| role.name())
                .collect::<Vec<_>>()
                .join(" "),
            escape(&user.source).into_owned(),
            state.into(),
            user.sessions.to_string(),
        ]);
    }
    output.text(&table.render())?;
    Ok(Exit::Ok)
}
