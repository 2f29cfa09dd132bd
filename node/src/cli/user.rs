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
use crate::api::{ApiError, Request, UserInfo};

pub async fn run(dir: &Path, command: UserCommand, output: &Output) -> Result<Exit, ApiError> {
    let request = match command {
        UserCommand::List => return list(dir, output).await,
        UserCommand::Add(args) => Request::UserAdd {
            name: args.name,
            password: password(&args.password)?,
            email: args.email,
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

async fn list(dir: &Path, output: &Output) -> Result<Exit, ApiError> {
    let mut node = Node::open(dir).await?;
    let users: Vec<UserInfo> = node.ask_all(Request::UserList).await?;
    if output.is_json() {
        users.iter().try_for_each(|user| output.object(user))?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new([left("USER"), left("MAIL"), left("STATE"), left("SESSIONS")]);
    for user in &users {
        let state = if user.active { "active" } else { "disabled" };
        table.row([
            escape(&user.name).into_owned(),
            escape(&user.email).into_owned(),
            state.into(),
            user.sessions.to_string(),
        ]);
    }
    output.text(&table.render())?;
    Ok(Exit::Ok)
}
