//! A conversation with a running node over its admin socket, for tests that must know exactly
//! what was handed over and what was acknowledged.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use comity_node::api::{ApiError, Item, Reply, Request};

use crate::PATIENCE;

/// The admin socket inside a node's directory.
pub const SOCKET: &str = "admin.sock";

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The connection is gone: whether the request was done is unknown.
    Lost(io::Error),
    /// The node says why not.
    Refused(ApiError),
}

/// An open conversation.
pub struct Admin {
    reader: BufReader<UnixStream>,
}

impl Admin {
    /// Connects to the node in `dir`.
    pub fn connect(dir: &Path) -> io::Result<Admin> {
        let stream = UnixStream::connect(dir.join(SOCKET))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Admin {
            reader: BufReader::new(stream),
        })
    }

    /// Asks what has one answer.
    pub fn ask<T: TryFrom<Item>>(&mut self, request: &Request) -> Result<T, NoAnswer> {
        self.send(request).map_err(NoAnswer::Lost)?;
        self.answer()
    }

    /// Asks what has any number of answers.
    pub fn ask_all<T: TryFrom<Item>>(&mut self, request: &Request) -> Result<Vec<T>, NoAnswer> {
        self.send(request).map_err(NoAnswer::Lost)?;
        let mut found = Vec::new();
        loop {
            match self.receive().map_err(NoAnswer::Lost)? {
                Reply::Item { item } => found.extend(T::try_from(item).ok()),
                Reply::Done => return Ok(found),
                Reply::Failed { error } => return Err(NoAnswer::Refused(error)),
            }
        }
    }

    /// Hands a request over.
    pub fn send(&mut self, request: &Request) -> io::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.send_raw(&line)
    }

    /// Hands bytes over, whatever they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Waits for the one answer to the request handed over last.
    pub fn answer<T: TryFrom<Item>>(&mut self) -> Result<T, NoAnswer> {
        let mut found = None;
        loop {
            match self.receive().map_err(NoAnswer::Lost)? {
                Reply::Item { item } => found = T::try_from(item).ok(),
                Reply::Done => return Ok(found.expect("an answer of the kind asked for")),
                Reply::Failed { error } => return Err(NoAnswer::Refused(error)),
            }
        }
    }

    /// Waits for one line of an answer.
    pub fn receive(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}
