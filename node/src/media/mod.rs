//! What a node does with a file before it stores and serves it: it finds out what the file is,
//! takes out what it tells about its author, and draws small pictures of it.
//!
//! Everything here is a pure function over bytes, and the bytes are hostile. A caller goes
//! through [`strip`] first and stores what comes back, then asks [`sniff`] what it has and
//! [`preview`] for its pictures. A file that [`strip`] refuses is stored as it came and served as
//! [`Served::ATTACHMENT`], whatever it looks like.

mod disposition;
mod metadata;
mod preview;
mod sniff;
#[cfg(test)]
mod tests;

pub use disposition::content_disposition;
pub use metadata::strip;
pub use preview::{
    MAX_DECODED_BYTES, MAX_PIXELS, PLACEHOLDER, PREVIEW_WIDTH, Preview, THUMBNAIL, preview,
};
pub use sniff::{
    CONTENT_SECURITY_POLICY, MediaType, SNIFF_BYTES, Served, X_CONTENT_TYPE_OPTIONS, sniff,
};

/// Largest image file that is looked into. Cameras write up to about 40 MB; the decoders hold
/// such a file in memory twice.
pub const MAX_IMAGE_BYTES: usize = 64 << 20;

/// Why a file cannot be cleaned or pictured. It is the file's fault in every case but the last.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    #[error("the file is not a PNG, JPEG, GIF or WebP image, so there is no picture of it")]
    NotAnImage,
    #[error("the {format} image is malformed: {what}; it can only be served as an attachment")]
    Malformed {
        format: &'static str,
        what: &'static str,
    },
    #[error(
        "the image file has {bytes} bytes, over the limit of {limit}; send a smaller one",
        limit = MAX_IMAGE_BYTES
    )]
    TooLarge { bytes: usize },
    #[error("the image has {width} x {height} pixels, over the limit; send a smaller one")]
    TooManyPixels { width: u32, height: u32 },
    #[error("the image would need too much memory to decode; send a smaller one")]
    TooMuchMemory,
    #[error("the image cannot be decoded: {0}")]
    Undecodable(String),
    #[error("the image decoder failed unexpectedly; the file is kept without a picture")]
    DecoderPanicked,
}
