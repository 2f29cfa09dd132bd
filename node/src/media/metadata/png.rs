//! PNG: chunks, each with its checksum.

use std::io::Cursor;

use image::codecs::png::PngDecoder;
use image::{ImageDecoder as _, Limits};

use super::{MediaError, Parts, icc, upright};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

pub(super) fn strip(bytes: &[u8]) -> Result<Vec<u8>, MediaError> {
    let mut parts = Parts {
        rest: bytes,
        format: "PNG",
    };
    let mut clean = parts.take(SIGNATURE.len())?.to_vec();
    let mut seen = Seen::default();
    let header = chunk(&mut parts)?;
    if header.name != *b"IHDR" || header.content.len() != 13 {
        return Err(parts.malformed("it does not begin with its header"));
    }
    clean.extend(header.whole);
    loop {
        let chunk = chunk(&mut parts)?;
        if seen.pixels == Pixels::Now && chunk.name != *b"IDAT" {
            seen.pixels = Pixels::Over;
        }
        match &chunk.name {
            b"IEND" => break,
            b"IDAT" if seen.pixels == Pixels::Over => {
                return Err(parts.malformed("its pixels are in two places"));
            }
            b"IDAT" => {
                seen.pixels = Pixels::Now;
                clean.extend(chunk.whole);
            }
            b"iCCP" if seen.pixels == Pixels::Ahead && !seen.profile => {
                seen.profile = true;
                clean.extend(profile(bytes).unwrap_or_default());
            }
            b"eXIf" if !seen.exif => {
                seen.exif = true;
                let block = upright(chunk.content);
                clean.extend(
                    block
                        .map(|block| written(b"eXIf", &block))
                        .unwrap_or_default(),
                );
            }
            name if is_kept(name, chunk.content.len()) => clean.extend(chunk.whole),
            // A capital first letter marks a chunk without which the image cannot be shown.
            name if name[0].is_ascii_uppercase() => {
                return Err(parts.malformed("it has a part that is not known"));
            }
            _ => {}
        }
    }
    if seen.pixels == Pixels::Ahead {
        return Err(parts.malformed("it holds no image"));
    }
    clean.extend(written(b"IEND", b""));
    Ok(clean)
}

#[derive(Default)]
struct Seen {
    pixels: Pixels,
    profile: bool,
    exif: bool,
}

#[derive(Default, PartialEq)]
enum Pixels {
    #[default]
    Ahead,
    Now,
    Over,
}

struct Chunk<'a> {
    name: [u8; 4],
    content: &'a [u8],
    whole: &'a [u8],
}

fn chunk<'a>(parts: &mut Parts<'a>) -> Result<Chunk<'a>, MediaError> {
    let start = parts.rest;
    let length = u32::from_be_bytes(parts.array()?) as usize;
    let name = parts.array()?;
    let content = parts.take(length)?;
    let sum = u32::from_be_bytes(parts.array()?);
    if sum != checksum(&start[4..8 + length]) {
        return Err(parts.malformed("a checksum is wrong"));
    }
    Ok(Chunk {
        name,
        content,
        whole: &start[..12 + length],
    })
}

/// Whether a chunk helps to show the pixels and is no longer than it may be, so that nothing
/// hides in it.
fn is_kept(name: &[u8; 4], length: usize) -> bool {
    match name {
        b"PLTE" => length <= 768,
        b"tRNS" => length <= 256,
        b"gAMA" | b"cICP" => length == 4,
        b"cHRM" => length == 32,
        b"sRGB" => length == 1,
        b"sBIT" => length <= 4,
        b"bKGD" => length <= 6,
        b"pHYs" => length == 9,
        b"mDCV" => length == 24,
        b"cLLI" | b"acTL" => length == 8,
        b"fcTL" => length == 26,
        b"fdAT" => length >= 4,
        _ => false,
    }
}

/// The colour profile as a chunk. It is compressed; the decoder unpacks it within a limit.
fn profile(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(4 * icc::MAX_BYTES as u64);
    let mut decoder = PngDecoder::with_limits(Cursor::new(bytes), limits).ok()?;
    let profile = icc::anonymous(&decoder.icc_profile().ok()??)?;
    // A name of one character, its end, and the only method of compression.
    let mut content = b"-\0\0".to_vec();
    content.extend(stored(&profile));
    Some(written(b"iCCP", &content))
}

/// A zlib stream that holds the bytes as they are.
fn stored(bytes: &[u8]) -> Vec<u8> {
    /// Longest block without compression: its length has 16 bits.
    const BLOCK: usize = 0xffff;
    let mut stream = vec![0x78, 0x01];
    let count = bytes.len().div_ceil(BLOCK);
    for (index, block) in bytes.chunks(BLOCK).enumerate() {
        let length = block.len() as u16;
        stream.push(u8::from(index + 1 == count));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend_from_slice(block);
    }
    let (mut low, mut high) = (1u32, 0u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65521;
        high = (high + low) % 65521;
    }
    stream.extend(((high << 16) | low).to_be_bytes());
    stream
}

fn written(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut chunk = (content.len() as u32).to_be_bytes().to_vec();
    chunk.extend(name);
    chunk.extend_from_slice(content);
    chunk.extend(checksum(&chunk[4..]).to_be_bytes());
    chunk
}

/// The checksum of a chunk's name and content (CRC-32, as PNG's annex D defines it).
pub(in crate::media) fn checksum(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        TABLE[usize::from(sum as u8 ^ byte)] ^ (sum >> 8)
    })
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = (value >> 1) ^ (0xedb8_8320 * (value & 1));
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}
