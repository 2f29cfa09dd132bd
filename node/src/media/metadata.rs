//! Takes out of images what tells about their author, and leaves the pixels as they are.
//!
//! Each format is walked part by part with a list of the parts that are needed to show the image;
//! what is not on the list goes, known or not. Two things are rewritten rather than taken out:
//! the orientation, in an EXIF block that holds nothing else, and the colour profile.

mod gif;
mod icc;
mod jpeg;
mod png;
mod webp;

use image::metadata::Orientation;
#[cfg(test)]
pub(super) use png::checksum as png_checksum;

use super::sniff::by_signature;
use super::{MAX_IMAGE_BYTES, MediaError, MediaType};

/// Removes the metadata of an image, and what follows its end, without encoding its pixels anew.
/// `None` where the file is to be kept as it is: it is no image, or has nothing to remove. An error
/// means that the image is malformed or too large, and must be served as an attachment only.
pub fn strip(bytes: &[u8]) -> Result<Option<Vec<u8>>, MediaError> {
    let clean = match by_signature(bytes) {
        Some(kind) if kind.is_image() && bytes.len() > MAX_IMAGE_BYTES => {
            return Err(MediaError::TooLarge { bytes: bytes.len() });
        }
        Some(MediaType::Jpeg) => jpeg::strip(bytes)?,
        Some(MediaType::Png) => png::strip(bytes)?,
        Some(MediaType::Webp) => webp::strip(bytes)?,
        Some(MediaType::Gif) => gif::strip(bytes)?,
        _ => return Ok(None),
    };
    Ok((clean != bytes).then_some(clean))
}

/// The EXIF block, from its TIFF header on, that says only how to turn the image; none where it
/// stands upright already.
fn upright(exif: &[u8]) -> Option<Vec<u8>> {
    let orientation = Orientation::from_exif_chunk(exif)?;
    if orientation == Orientation::NoTransforms {
        return None;
    }
    // Big-endian header, first directory at 8 with one entry: tag 0x0112, one short; no further
    // directory.
    let mut block = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    block.extend([orientation.to_exif(), 0, 0, 0, 0, 0, 0]);
    Some(block)
}

/// Reads a file from the front; every step past its end is the same error.
struct Parts<'a> {
    rest: &'a [u8],
    format: &'static str,
}

impl<'a> Parts<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], MediaError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.malformed("it ends too early"));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, MediaError> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MediaError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn malformed(&self, what: &'static str) -> MediaError {
        MediaError::Malformed {
            format: self.format,
            what,
        }
    }
}
