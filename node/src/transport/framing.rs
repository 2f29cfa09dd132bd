//! Frames on a stream: a big-endian u32 length, then as many bytes.

/// The largest frame; a peer that announces a larger one is disconnected.
pub const MAX_FRAME: usize = 1 << 20;

/// How urgent a frame is. Each class has a stream of its own in each direction, and QUIC sends
/// what belongs to an earlier class first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    Control = 0,
    Flash = 1,
    Immediate = 2,
    Priority = 3,
    Routine = 4,
    Backfill = 5,
    Files = 6,
}

impl Class {
    /// All classes, the most urgent first.
    pub const ALL: [Self; CLASSES] = [
        Self::Control,
        Self::Flash,
        Self::Immediate,
        Self::Priority,
        Self::Routine,
        Self::Backfill,
        Self::Files,
    ];

    /// The stream priority for QUIC, in which greater is sooner.
    pub(super) fn stream_priority(self) -> i32 {
        -i32::from(self as u8)
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| *class as u8 == byte)
    }
}

pub(super) const CLASSES: usize = 7;

/// Bytes before each frame.
pub(super) const HEADER: usize = 4;

/// The header of a frame of `length` bytes.
pub(super) fn header(length: usize) -> [u8; HEADER] {
    debug_assert!(length <= MAX_FRAME);
    (length as u32).to_be_bytes()
}

/// A peer announced a frame above [`MAX_FRAME`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FrameTooLarge(pub(super) usize);

/// Cuts a stream of bytes into frames.
///
/// Call [`Decoder::next`] with what was read until it yields `None`; it then holds the
/// unfinished rest. It never holds more than one frame, nor more than has arrived.
#[derive(Default)]
pub(super) struct Decoder {
    header: [u8; HEADER],
    header_len: usize,
    body: Vec<u8>,
}

impl Decoder {
    /// Takes the next whole frame from the front of `input`.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, FrameTooLarge> {
        let wanted = HEADER - self.header_len;
        let header = take(input, wanted);
        self.header[self.header_len..self.header_len + header.len()].copy_from_slice(header);
        self.header_len += header.len();
        if self.header_len < HEADER {
            return Ok(None);
        }

        let length = u32::from_be_bytes(self.header) as usize;
        if length > MAX_FRAME {
            return Err(FrameTooLarge(length));
        }
        let body = take(input, length - self.body.len());
        self.body.extend_from_slice(body);
        if self.body.len() < length {
            return Ok(None);
        }

        self.header_len = 0;
        Ok(Some(std::mem::take(&mut self.body)))
    }
}

/// Splits up to `count` bytes off the front.
fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (front, rest) = input.split_at(count.min(input.len()));
    *input = rest;
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_cut() {
        let frames: [&[u8]; 4] = [b"one", b"", b"three", &[7; 300]];
        let stream = encode(&frames);
        for piece in 1..stream.len() {
            let mut decoder = Decoder::default();
            let mut decoded = Vec::new();
            for mut input in stream.chunks(piece) {
                while let Some(frame) = decoder.next(&mut input).unwrap() {
                    decoded.push(frame);
                }
            }
            assert_eq!(decoded, frames, "cut every {piece} bytes");
        }
    }

    #[test]
    fn a_frame_above_the_limit_is_refused_before_its_body() {
        let mut stream: &[u8] = &(MAX_FRAME as u32 + 1).to_be_bytes();
        let refused = Decoder::default().next(&mut stream);
        assert_eq!(refused, Err(FrameTooLarge(MAX_FRAME + 1)));
    }

    fn encode(frames: &[&[u8]]) -> Vec<u8> {
        let one = |frame: &&[u8]| [&header(frame.len())[..], frame].concat();
        frames.iter().flat_map(one).collect()
    }
}
