//! GIF: a screen, then images and extensions made of small blocks.

use super::{MediaError, Parts};

const IMAGE: u8 = 0x2c;
const EXTENSION: u8 = 0x21;
const TRAILER: u8 = 0x3b;
const CONTROL: u8 = 0xf9;
const APPLICATION: u8 = 0xff;

pub(super) fn strip(bytes: &[u8]) -> Result<Vec<u8>, MediaError> {
    let mut parts = Parts {
        rest: bytes,
        format: "GIF",
    };
    let mut clean = parts.take(6)?.to_vec();
    let screen: [u8; 7] = parts.array()?;
    clean.extend(screen);
    clean.extend(parts.take(colours(screen[4]))?);
    let mut images = 0;
    // A control belongs to the image that follows it, and goes when none does.
    let mut control: Option<&[u8]> = None;
    loop {
        match parts.byte()? {
            IMAGE => {
                if let Some(control) = control.take() {
                    clean.push(EXTENSION);
                    clean.extend(control);
                }
                clean.push(IMAGE);
                let place: [u8; 9] = parts.array()?;
                clean.extend(place);
                clean.extend(parts.take(colours(place[8]))?);
                clean.push(parts.byte()?);
                clean.extend(blocks(&mut parts)?);
                images += 1;
            }
            EXTENSION => {
                let whole = parts.rest;
                let kind = parts.byte()?;
                let content = blocks(&mut parts)?;
                match kind {
                    CONTROL if content.len() == 6 && content[0] == 4 => control = Some(&whole[..7]),
                    APPLICATION if is_loop(content) => {
                        clean.extend([EXTENSION, APPLICATION]);
                        clean.extend(content);
                    }
                    _ => {}
                }
            }
            TRAILER if images > 0 => break,
            TRAILER => return Err(parts.malformed("it holds no image")),
            _ => return Err(parts.malformed("there is something between its blocks")),
        }
    }
    clean.push(TRAILER);
    Ok(clean)
}

/// Bytes of the colour table that these flags announce.
fn colours(flags: u8) -> usize {
    if flags & 0x80 == 0 {
        return 0;
    }
    3 << ((flags & 7) + 1)
}

/// The blocks up to and with the empty one that ends them.
fn blocks<'a>(parts: &mut Parts<'a>) -> Result<&'a [u8], MediaError> {
    let whole = parts.rest;
    loop {
        let length = usize::from(parts.byte()?);
        parts.take(length)?;
        if length == 0 {
            return Ok(&whole[..whole.len() - parts.rest.len()]);
        }
    }
}

/// Whether the extension says how often an animation repeats, and nothing else.
fn is_loop(content: &[u8]) -> bool {
    let known = content.starts_with(b"\x0bNETSCAPE2.0") || content.starts_with(b"\x0bANIMEXTS1.0");
    known && matches!(content[12..], [3, 1, _, _, 0])
}
