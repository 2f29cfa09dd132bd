//! `comity init`: makes a node.

use std::path::Path;

use serde::Serialize;

use super::args::InitArgs;
use super::escape::escape;
use super::exit::Exit;
use super::output::Output;
use crate::api::ApiError;
use crate::service::{self, InitOptions};

/// What a new node is called.
#[derive(Serialize)]
struct Made {
    partner: String,
    partner_id: String,
    dir: String,
}

pub fn run(dir: &Path, args: InitArgs, output: &Output) -> Result<Exit, ApiError> {
    let options = InitOptions {
        partner: args.partner.clone(),
        listen: args.listen.to_string(),
        addresses: args.addresses,
        http: args.http,
    };
    let report = service::init(dir, &options)?;
    let made = Made {
        partner: args.partner,
        partner_id: report.partner_id,
        dir: dir.display().to_string(),
    };
    output.answer(&made, text)?;
    Ok(Exit::Ok)
}

fn text(made: &Made) -> String {
    let dir = escape(&made.dir);
    format!(
        "{partner} has a node in {dir}\nid      {id}\nnext    look at {dir}/comity.toml, then: \
         comity serve --dir {dir}",
        partner = escape(&made.partner),
        id = made.partner_id,
    )
}
