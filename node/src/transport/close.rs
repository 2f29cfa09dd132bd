//! Why connections are closed, in code and in words.

use quinn::{Connection, ConnectionError, Endpoint, TransportErrorCode, VarInt};

/// Tells a peer why its connection was closed; the wire carries the number.
///
/// Zero is what QUIC sends when a connection is simply dropped, such as a dial given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum CloseCode {
    /// The node is shutting down.
    Shutdown = 1,
    /// Another connection of this pair was chosen.
    NotChosen = 2,
    /// A newer connection took this one's place.
    Replaced = 3,
    /// The peer or its key is not listed (any more).
    Unlisted = 4,
    /// The peer sent a frame above the limit.
    FrameTooLarge = 5,
    /// The peer broke the transport's own rules.
    Misbehaved = 6,
    /// The layer above wanted the peer away.
    Disconnected = 7,
    /// Too many connections of the peer wait for the choice.
    Busy = 8,
}

/// Closes a connection with a code and a reason that the peer can log.
pub(super) fn connection(connection: &Connection, code: CloseCode, reason: &str) {
    connection.close(VarInt::from_u32(code as u32), reason.as_bytes());
}

/// Closes whatever is left on an endpoint.
pub(super) fn endpoint(endpoint: &Endpoint) {
    endpoint.close(VarInt::from_u32(CloseCode::Shutdown as u32), b"shutdown");
}

/// Whether a client merely abandoned its handshake, as a peer does whose other dial won.
pub(super) fn is_given_up(error: &ConnectionError) -> bool {
    matches!(error, ConnectionError::ConnectionClosed(close)
        if close.error_code == TransportErrorCode::APPLICATION_ERROR)
}

/// Says for a log or a status why a connection ended.
pub(super) fn describe(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(close) => format!(
            "closed by the peer: {} (code {})",
            printable(&close.reason),
            close.error_code
        ),
        ConnectionError::TimedOut => "nothing received for too long".into(),
        ConnectionError::LocallyClosed => "closed here".into(),
        other => printable(other.to_string().as_bytes()),
    }
}

/// A peer's words, cut and cleaned so that they cannot forge a log line.
fn printable(bytes: &[u8]) -> String {
    const REASON_CHARS_MAX: usize = 160;
    String::from_utf8_lossy(bytes)
        .chars()
        .take(REASON_CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
