//! What stands between the directory's line and the library that reads LDAP: each message is looked at
//! before the library sees it, so that none is larger or deeper than an answer can be.

use std::io;

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The largest message that is read: one entry with its groups.
const MESSAGE_BYTES: usize = 1 << 20;
/// All that one connection may bring: a batch of entries with all their groups.
const CONNECTION_BYTES: usize = 32 << 20;
/// How deep elements may lie in one another; a result with controls and values takes six (RFC 4511).
const DEPTH: usize = 16;
const SEQUENCE: u8 = 0x30;
/// The bit of a tag that says that elements lie within.
const CONSTRUCTED: u8 = 0x20;
/// A request to go on under TLS (RFC 4511, section 4.14): message 1, and the operation's name.
const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
/// The operation's answer.
const EXTENDED_RESPONSE: u8 = 0x78;

/// Carries both directions until one side ends.
pub async fn carry<L, D>(library: L, directory: D) -> io::Result<()>
where
    L: AsyncRead + AsyncWrite,
    D: AsyncRead + AsyncWrite,
{
    let (mut asks, mut reads) = tokio::io::split(library);
    let (mut answers, mut takes) = tokio::io::split(directory);
    tokio::select! {
        ended = inward(&mut answers, &mut reads) => ended,
        ended = tokio::io::copy(&mut asks, &mut takes) => ended.map(drop),
    }
}

async fn inward(
    answers: &mut (impl AsyncRead + Unpin),
    reads: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut left = CONNECTION_BYTES;
    loop {
        let message = message(answers).await?;
        left = left.checked_sub(message.len()).ok_or_else(refused)?;
        reads.write_all(&message).await?;
    }
}

/// Asks the directory to go on under TLS; the next byte is TLS's.
pub async fn start_tls(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.write_all(START_TLS).await?;
    let answer = message(stream).await?;
    let (_, inside, _) = element(&answer).ok_or_else(refused)?;
    let (_, _, rest) = element(inside).ok_or_else(refused)?;
    let (tag, response, _) = element(rest).ok_or_else(refused)?;
    let (_, result, _) = element(response).ok_or_else(refused)?;
    match (tag, result) {
        (EXTENDED_RESPONSE, [0]) => Ok(()),
        _ => Err(io::Error::other("the directory does not go on under TLS")),
    }
}

/// One whole message.
async fn message(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut message = vec![0; 2];
    stream.read_exact(&mut message).await?;
    let length = match (message[0], message[1]) {
        (SEQUENCE, short @ ..=0x7f) => usize::from(short),
        (SEQUENCE, long @ 0x81..=0x84) => {
            let mut digits = vec![0; usize::from(long & 0x7f)];
            stream.read_exact(&mut digits).await?;
            message.extend_from_slice(&digits);
            number(&digits)
        }
        _ => return Err(refused()),
    };
    if length > MESSAGE_BYTES {
        return Err(refused());
    }
    let head = message.len();
    message.resize(head + length, 0);
    stream.read_exact(&mut message[head..]).await?;
    match is_shallow(&message[head..], DEPTH) {
        true => Ok(message),
        false => Err(refused()),
    }
}

/// Whether all is made of whole elements, none deeper than so many levels.
fn is_shallow(mut bytes: &[u8], levels: usize) -> bool {
    while !bytes.is_empty() {
        let Some((tag, inside, rest)) = element(bytes) else {
            return false;
        };
        let is_constructed = tag & CONSTRUCTED != 0;
        if is_constructed && (levels == 0 || !is_shallow(inside, levels - 1)) {
            return false;
        }
        bytes = rest;
    }
    true
}

/// The first element: its tag, what is in it, and what follows. LDAP has no long tags, and no lengths
/// that are left open (RFC 4511, section 5.1).
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        ..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (number(digits), rest)
        }
        _ => return None,
    };
    let (inside, rest) = rest.split_at_checked(length)?;
    (tag & 0x1f != 0x1f).then_some((tag, inside, rest))
}

fn number(digits: &[u8]) -> usize {
    digits.iter().fold(0, |sum, it| sum << 8 | usize::from(*it))
}

fn refused() -> io::Error {
    tracing::warn!("the directory sends what is no answer, or too much");
    Errno::PROTO.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> Vec<u8> {
        (0..levels).fold(Vec::new(), |inside, _| {
            let mut whole = vec![SEQUENCE, 0x82];
            whole.extend_from_slice(&(inside.len() as u16).to_be_bytes());
            whole.extend_from_slice(&inside);
            whole
        })
    }

    #[tokio::test]
    async fn what_is_too_deep_too_long_or_no_message_is_refused() {
        let read = async |bytes: Vec<u8>| message(&mut bytes.as_slice()).await;
        assert!(read(nested(DEPTH)).await.is_ok());
        assert!(read(nested(10_000)).await.is_err());
        assert!(read(b"\x30\x84\xff\xff\xff\xff".to_vec()).await.is_err());
        assert!(read(b"\x30\x80\x00\x00".to_vec()).await.is_err());
        assert!(read(b"\x30\x03\x04\x05a".to_vec()).await.is_err());
        assert!(read(b"HTTP/1.1 400".to_vec()).await.is_err());
        assert!(read(Vec::new()).await.is_err());
    }

    #[tokio::test]
    async fn tls_begins_only_where_the_directory_agrees() {
        for (code, agrees) in [(0, true), (2, false), (52, false)] {
            let (mut near, mut far) = tokio::io::duplex(256);
            far.write_all(&[0x30, 12, 2, 1, 1, 0x78, 7, 10, 1, code, 4, 0, 4, 0])
                .await
                .unwrap();
            assert_eq!(start_tls(&mut near).await.is_ok(), agrees);
        }
    }
}
