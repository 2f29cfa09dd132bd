//! WebP: chunks within a RIFF file, and chunks within the frames of an animation.

use super::{MediaError, Parts, icc, upright};

/// Flags of the extended header.
const HAS_PROFILE: u8 = 0x20;
const HAS_EXIF: u8 = 0x08;
const HAS_ALPHA_OR_ANIMATION: u8 = 0x12;
const HEADER_BYTES: usize = 10;
/// Place, size and duration at the front of a frame.
const FRAME_BYTES: usize = 16;

pub(super) fn strip(bytes: &[u8]) -> Result<Vec<u8>, MediaError> {
    let mut parts = parts_of(bytes);
    parts.take(4)?;
    let length = u32::from_le_bytes(parts.array()?) as usize;
    // What follows the announced length is not part of the image.
    let mut parts = parts_of(parts.take(length)?);
    if parts.array::<4>()? != *b"WEBP" {
        return Err(parts.malformed("it is no WebP file"));
    }
    let (name, content) = chunk(&mut parts)?;
    let body = match &name {
        b"VP8 " | b"VP8L" => written(&name, content),
        b"VP8X" if content.len() == HEADER_BYTES => extended(content, parts)?,
        _ => return Err(parts.malformed("its first chunk is no image")),
    };
    let mut clean = b"RIFF".to_vec();
    clean.extend((body.len() as u32 + 4).to_le_bytes());
    clean.extend(b"WEBP");
    clean.extend(body);
    Ok(clean)
}

fn extended(header: &[u8], mut parts: Parts) -> Result<Vec<u8>, MediaError> {
    let (mut pixels, mut profile, mut exif) = (Vec::new(), None, None);
    let mut images = 0;
    while !parts.rest.is_empty() {
        let (name, content) = chunk(&mut parts)?;
        match &name {
            b"VP8 " | b"VP8L" => {
                images += 1;
                pixels.extend(written(&name, content));
            }
            b"ANMF" => {
                images += 1;
                pixels.extend(written(&name, &frame(content)?));
            }
            b"ALPH" | b"ANIM" => pixels.extend(written(&name, content)),
            b"ICCP" if profile.is_none() => profile = icc::anonymous(content),
            b"EXIF" if exif.is_none() => {
                exif = upright(content.strip_prefix(b"Exif\0\0").unwrap_or(content));
            }
            _ => {}
        }
    }
    if images == 0 {
        return Err(parts.malformed("it holds no image"));
    }
    let mut header = header.to_vec();
    header[0] &= HAS_ALPHA_OR_ANIMATION;
    header[1..4].fill(0);
    let mut body = Vec::new();
    if let Some(profile) = &profile {
        header[0] |= HAS_PROFILE;
        body.extend(written(b"ICCP", profile));
    }
    body.extend(pixels);
    if let Some(exif) = &exif {
        header[0] |= HAS_EXIF;
        body.extend(written(b"EXIF", exif));
    }
    Ok([written(b"VP8X", &header), body].concat())
}

/// A frame of an animation with nothing but its pixels.
fn frame(content: &[u8]) -> Result<Vec<u8>, MediaError> {
    let mut parts = parts_of(content);
    let mut clean = parts.take(FRAME_BYTES)?.to_vec();
    while !parts.rest.is_empty() {
        let (name, content) = chunk(&mut parts)?;
        if matches!(&name, b"ALPH" | b"VP8 " | b"VP8L") {
            clean.extend(written(&name, content));
        }
    }
    Ok(clean)
}

fn parts_of(bytes: &[u8]) -> Parts<'_> {
    Parts {
        rest: bytes,
        format: "WebP",
    }
}

fn chunk<'a>(parts: &mut Parts<'a>) -> Result<([u8; 4], &'a [u8]), MediaError> {
    let name = parts.array()?;
    let length = u32::from_le_bytes(parts.array()?) as usize;
    let content = parts.take(length)?;
    // Some programs leave out the last chunk's padding.
    if length % 2 == 1 && !parts.rest.is_empty() {
        parts.take(1)?;
    }
    Ok((name, content))
}

fn written(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut chunk = name.to_vec();
    // Every content comes from a file of at most `MAX_IMAGE_BYTES`.
    chunk.extend((content.len() as u32).to_le_bytes());
    chunk.extend_from_slice(content);
    chunk.resize(chunk.len().next_multiple_of(2), 0);
    chunk
}
