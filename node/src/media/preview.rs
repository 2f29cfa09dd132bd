//! Draws small pictures of an image, within bounds of memory and time.

use std::io::Cursor;
use std::panic::catch_unwind;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::error::ImageResult;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, Limits, Rgb, RgbImage};

use super::sniff::by_signature;
use super::{MediaError, MediaType, strip};

/// Most pixels of an image that is decoded: 7680 x 4320, what Mattermost takes by default.
pub const MAX_PIXELS: u64 = 7680 * 4320;
/// Most memory that a decoder may ask for: [`MAX_PIXELS`] of the widest kind (four channels of 16
/// bits) take 265 MB.
pub const MAX_DECODED_BYTES: u64 = 256 << 20;
/// The box that a thumbnail fits, as Mattermost's clients expect it.
pub const THUMBNAIL: (u32, u32) = (120, 100);
/// The width that a preview fits; the width of most screens.
pub const PREVIEW_WIDTH: u32 = 1920;
/// The box that the placeholder fits: a few hundred bytes that travel with the message.
pub const PLACEHOLDER: (u32, u32) = (16, 16);

const QUALITY: u8 = 85;
/// The placeholder is drawn blurred and a hundred times larger; finer would only cost bytes.
const PLACEHOLDER_QUALITY: u8 = 60;

/// Pictures of an image, upright, as JPEG on white.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Pixels of the image as it is shown, after it is turned upright.
    pub width: u32,
    pub height: u32,
    /// Fits [`THUMBNAIL`].
    pub thumbnail: Vec<u8>,
    /// As wide as [`PREVIEW_WIDTH`]; none where the image is no wider and can be shown itself.
    pub preview: Option<Vec<u8>>,
    /// Fits [`PLACEHOLDER`], in base64.
    pub placeholder: String,
}

/// Draws the pictures of a PNG, JPEG, GIF or WebP image, of its first frame where it has several.
/// Peak memory is about [`MAX_DECODED_BYTES`] and the file three times over; a caller should run
/// few of these at a time, and not on a thread that must answer soon.
pub fn preview(bytes: &[u8]) -> Result<Preview, MediaError> {
    let kind = by_signature(bytes)
        .filter(|kind| kind.is_image())
        .ok_or(MediaError::NotAnImage)?;
    // A decoder gets only files whose structure is whole.
    let clean = strip(bytes)?;
    let bytes = clean.as_deref().unwrap_or(bytes);
    // The decoders are written with care and fuzzed, yet they are large, and one file must not take
    // down the task that serves all users. They share nothing that a panic could leave half done.
    catch_unwind(|| drawn(bytes, kind)).unwrap_or(Err(MediaError::DecoderPanicked))
}

fn drawn(bytes: &[u8], kind: MediaType) -> Result<Preview, MediaError> {
    let input = Cursor::new(bytes);
    let (image, orientation) = match kind {
        MediaType::Jpeg => decoded(JpegDecoder::new(input)),
        MediaType::Png => decoded(PngDecoder::with_limits(input, limits())),
        MediaType::Webp => decoded(WebPDecoder::new(input)),
        MediaType::Gif => decoded(GifDecoder::new(input)),
        _ => Err(MediaError::NotAnImage),
    }?;
    let turned = matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    let shown = |(width, height)| {
        if turned {
            (height, width)
        } else {
            (width, height)
        }
    };
    let (width, height) = shown((image.width(), image.height()));
    // Made small first and turned then: turning the whole image would double its memory.
    let picture = |bounds: (u32, u32), from: &DynamicImage| {
        let (width, height) = shown(fitted((width, height), bounds));
        from.thumbnail_exact(width, height)
    };
    let large = (width > PREVIEW_WIDTH).then(|| picture((PREVIEW_WIDTH, u32::MAX), &image));
    let source = large.as_ref().unwrap_or(&image);
    let small = picture(THUMBNAIL, source);
    let tiny = picture(PLACEHOLDER, &small);
    let jpeg = |picture, quality| encoded(picture, orientation, quality);
    Ok(Preview {
        width,
        height,
        thumbnail: jpeg(small, QUALITY)?,
        placeholder: STANDARD.encode(jpeg(tiny, PLACEHOLDER_QUALITY)?),
        preview: large.map(|large| jpeg(large, QUALITY)).transpose()?,
    })
}

fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    limits
}

/// Decodes after the header has been read and found within the limits.
fn decoded<D: ImageDecoder>(
    decoder: ImageResult<D>,
) -> Result<(DynamicImage, Orientation), MediaError> {
    let mut decoder = decoder.map_err(undecodable)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(MediaError::TooManyPixels { width, height });
    }
    if width == 0 || height == 0 {
        return Err(MediaError::Undecodable("it has no pixels".to_owned()));
    }
    let size = decoder.total_bytes();
    let mut limits = limits();
    limits.reserve(size).map_err(undecodable)?;
    decoder.set_limits(limits).map_err(undecodable)?;
    // An orientation that cannot be read is none.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    Ok((image, orientation))
}

fn undecodable(error: ImageError) -> MediaError {
    match error {
        ImageError::Limits(_) => MediaError::TooMuchMemory,
        error => MediaError::Undecodable(error.to_string()),
    }
}

/// The largest size of the same shape within the bounds; never larger than it was, never nothing.
fn fitted((width, height): (u32, u32), bounds: (u32, u32)) -> (u32, u32) {
    if width <= bounds.0 && height <= bounds.1 {
        return (width, height);
    }
    let scale = |side: u32, bound: u32, by: u32| {
        let scaled = u64::from(side) * u64::from(bound) / u64::from(by);
        // At most `side`, since `bound` is less than `by`.
        u32::try_from(scaled).unwrap_or(side).max(1)
    };
    let wide = u64::from(width) * u64::from(bounds.1) >= u64::from(height) * u64::from(bounds.0);
    if wide {
        (bounds.0, scale(height, bounds.0, width))
    } else {
        (scale(width, bounds.1, height), bounds.1)
    }
}

fn encoded(
    mut picture: DynamicImage,
    orientation: Orientation,
    quality: u8,
) -> Result<Vec<u8>, MediaError> {
    picture.apply_orientation(orientation);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, quality)
        .encode_image(&on_white(&picture))
        .map_err(undecodable)?;
    Ok(jpeg)
}

/// JPEG has no transparency; what is behind a transparent image is mostly white.
fn on_white(picture: &DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let picture = picture.to_rgba8();
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, alpha] = picture.get_pixel(x, y).0;
        let alpha = u16::from(alpha);
        // At most 255, since it lies between the two.
        let mixed = |c: u8| ((u16::from(c) * alpha + 255 * (255 - alpha)) / 255) as u8;
        Rgb([mixed(r), mixed(g), mixed(b)])
    })
}
