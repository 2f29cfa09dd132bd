//! `comity export`: every post and file, one JSON object a line, as it comes from the node.

use std::path::Path;

use super::args::ExportArgs;
use super::client::Node;
use super::exit::Exit;
use super::output::Output;
use crate::api::{ApiError, Item, Request};

pub async fn run(dir: &Path, args: ExportArgs, output: &Output) -> Result<Exit, ApiError> {
    let mut node = Node::open(dir).await?;
    let request = Request::Export {
        channel: args.channel,
    };
    let mut sink = |item| match item {
        Item::Post(post) => output.object(&post),
        Item::File(file) => output.object(&file),
        _ => Ok(()),
    };
    node.ask(request, &mut sink).await?;
    Ok(Exit::Ok)
}
