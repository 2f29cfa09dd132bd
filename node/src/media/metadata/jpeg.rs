//! JPEG: segments, each begun by a marker, with compressed data after each start of a scan.

use super::{MediaError, Parts, icc, upright};

/// Most scans in one image. Progressive encoders write about ten; each costs a pass over all
/// pixels, so a small file of many scans would keep a processor busy for minutes.
const MAX_SCANS: usize = 32;
/// Longest content of one segment: its length has 16 bits and counts itself.
const SEGMENT_BYTES: usize = 0xffff - 2;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const EXIF: &[u8] = b"Exif\0\0";
const ICC: &[u8] = b"ICC_PROFILE\0";
/// The identifier and the colour transform of Adobe's segment; decoders read nothing beyond.
const ADOBE_BYTES: usize = 12;
/// The JFIF segment up to its thumbnail's size.
const JFIF_BYTES: usize = 12;

/// Keeps what decodes the pixels, and writes the rest anew.
#[derive(Default)]
struct Walk {
    jfif: Option<Vec<u8>>,
    adobe: Option<Vec<u8>>,
    exif: Option<Vec<u8>>,
    /// Parts of the colour profile with their numbers.
    profile: Vec<(u8, Vec<u8>)>,
    frames: usize,
    scans: usize,
    pixels: Vec<u8>,
}

pub(super) fn strip(bytes: &[u8]) -> Result<Vec<u8>, MediaError> {
    let mut parts = Parts {
        rest: bytes,
        format: "JPEG",
    };
    if parts.array::<2>()? != [0xff, SOI] {
        return Err(parts.malformed("it does not begin with a start of image"));
    }
    let mut walk = Walk::default();
    while let Some(marker) = next_marker(&mut parts)? {
        walk.segment(marker, &mut parts)?;
    }
    if walk.frames != 1 || walk.scans == 0 {
        return Err(parts.malformed("it does not hold exactly one image"));
    }
    Ok(walk.assembled())
}

impl Walk {
    fn segment(&mut self, marker: u8, parts: &mut Parts) -> Result<(), MediaError> {
        if matches!(marker, 0x00..=0x01 | 0xd0..=SOI) {
            return Err(parts.malformed("it has a marker where none belongs"));
        }
        let length = usize::from(u16::from_be_bytes(parts.array()?));
        let Some(length) = length.checked_sub(2) else {
            return Err(parts.malformed("a segment is shorter than its own length"));
        };
        let content = parts.take(length)?;
        match marker {
            // Lossless, hierarchical and arithmetic images: no browser shows them.
            0xc3 | 0xc5..=0xcf | 0xde | 0xdf => {
                return Err(parts.malformed("it is of a kind that browsers do not show"));
            }
            0xc0..=0xc2 => {
                self.frames += 1;
                push(&mut self.pixels, marker, content);
            }
            0xc4 | 0xdb..=0xdd => push(&mut self.pixels, marker, content),
            SOS => {
                self.scans += 1;
                if self.scans > MAX_SCANS {
                    return Err(parts.malformed("it has too many scans"));
                }
                push(&mut self.pixels, marker, content);
                self.scan(parts)?;
            }
            _ => self.application(marker, content),
        }
        Ok(())
    }

    /// Copies compressed data up to the next marker that is not part of it.
    fn scan(&mut self, parts: &mut Parts) -> Result<(), MediaError> {
        let data = parts.rest;
        let mut end = 0;
        loop {
            match data.get(end..end + 2) {
                Some([0xff, 0x00 | 0xd0..=0xd7]) => end += 2,
                Some([0xff, _]) => break,
                Some(_) => end += 1,
                None => return Err(parts.malformed("it ends too early")),
            }
        }
        self.pixels.extend_from_slice(parts.take(end)?);
        Ok(())
    }

    fn application(&mut self, marker: u8, content: &[u8]) {
        match marker {
            0xe0 if content.starts_with(b"JFIF\0") && content.len() >= JFIF_BYTES => {
                let mut jfif = content[..JFIF_BYTES].to_vec();
                // No thumbnail follows.
                jfif.extend([0, 0]);
                self.jfif.get_or_insert(jfif);
            }
            0xe1 if content.starts_with(EXIF) && self.exif.is_none() => {
                self.exif = Some(content[EXIF.len()..].to_vec());
            }
            0xe2 if content.starts_with(ICC) => {
                if let [number, _, part @ ..] = &content[ICC.len()..] {
                    self.profile.push((*number, part.to_vec()));
                }
            }
            0xee if content.starts_with(b"Adobe") && content.len() >= ADOBE_BYTES => {
                let mut adobe = content[..ADOBE_BYTES].to_vec();
                // Version and flags tell only of the program that wrote the file.
                adobe[5..11].copy_from_slice(&[0, 100, 0, 0, 0, 0]);
                self.adobe.get_or_insert(adobe);
            }
            _ => {}
        }
    }

    fn assembled(mut self) -> Vec<u8> {
        let mut image = vec![0xff, SOI];
        if let Some(jfif) = &self.jfif {
            push(&mut image, 0xe0, jfif);
        }
        if let Some(block) = self.exif.as_deref().and_then(upright) {
            push(&mut image, 0xe1, &[EXIF, block.as_slice()].concat());
        }
        if let Some(adobe) = &self.adobe {
            push(&mut image, 0xee, adobe);
        }
        self.profile.sort_by_key(|(number, _)| *number);
        let profile: Vec<u8> = self
            .profile
            .into_iter()
            .flat_map(|(_, part)| part)
            .collect();
        if let Some(profile) = icc::anonymous(&profile) {
            push_profile(&mut image, &profile);
        }
        image.extend(self.pixels);
        image.extend([0xff, EOI]);
        image
    }
}

/// The next marker; none at the end of the image.
fn next_marker(parts: &mut Parts) -> Result<Option<u8>, MediaError> {
    if parts.byte()? != 0xff {
        return Err(parts.malformed("there is something between its segments"));
    }
    let mut marker = parts.byte()?;
    // A marker may be filled up from the left.
    while marker == 0xff {
        marker = parts.byte()?;
    }
    Ok((marker != EOI).then_some(marker))
}

fn push(image: &mut Vec<u8>, marker: u8, content: &[u8]) {
    // No content is longer than the segment it came from, or was made here and is short.
    let length = content.len().min(SEGMENT_BYTES);
    image.extend([0xff, marker]);
    image.extend((length as u16 + 2).to_be_bytes());
    image.extend_from_slice(&content[..length]);
}

fn push_profile(image: &mut Vec<u8>, profile: &[u8]) {
    let parts = profile.chunks(SEGMENT_BYTES - ICC.len() - 2);
    // A profile has at most `icc::MAX_BYTES`, which is far less than 255 parts.
    let count = parts.len() as u8;
    for (number, part) in (1..=count).zip(parts) {
        push(
            image,
            0xe2,
            &[ICC, [number, count].as_slice(), part].concat(),
        );
    }
}
