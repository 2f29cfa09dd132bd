//! Says what a file is by its content. What its sender declares is never believed.

/// How many bytes of a file's beginning [`sniff`] looks at: enough for every signature and for the
/// place where readers of PDF and HTML still look for a beginning.
pub const SNIFF_BYTES: usize = 4096;

/// Value of `X-Content-Type-Options` on every download: a browser must not guess a type of its own.
pub const X_CONTENT_TYPE_OPTIONS: &str = "nosniff";
/// Value of `Content-Security-Policy` on every download: whatever a browser takes the file for, it
/// runs nothing, loads nothing and has no origin.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; sandbox";

/// The kinds of files that a node tells apart; all others are [`MediaType::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    Png,
    Jpeg,
    Gif,
    Webp,
    Mp4,
    Webm,
    Ogg,
    Mp3,
    Wav,
    Pdf,
    PlainText,
    Other,
}

/// The headers a download of a file gets, beside the two constant ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    pub content_type: &'static str,
    /// Whether a browser may show the file in place.
    pub inline: bool,
}

impl Served {
    /// For files that a browser must save and never show.
    pub const ATTACHMENT: Served = Served {
        content_type: "application/octet-stream",
        inline: false,
    };

    const fn inline(content_type: &'static str) -> Served {
        Served {
            content_type,
            inline: true,
        }
    }
}

impl MediaType {
    /// The headers of a download: in place for a short list of types that cannot run scripts, and
    /// an attachment of no particular type for all others.
    pub fn served_as(self) -> Served {
        match self {
            MediaType::Png => Served::inline("image/png"),
            MediaType::Jpeg => Served::inline("image/jpeg"),
            MediaType::Gif => Served::inline("image/gif"),
            MediaType::Webp => Served::inline("image/webp"),
            MediaType::Mp4 => Served::inline("video/mp4"),
            MediaType::Webm => Served::inline("video/webm"),
            MediaType::Ogg => Served::inline("application/ogg"),
            MediaType::Mp3 => Served::inline("audio/mpeg"),
            MediaType::Wav => Served::inline("audio/wav"),
            MediaType::PlainText => Served::inline("text/plain; charset=utf-8"),
            // A PDF reader runs scripts, so it is never opened within the node's pages.
            MediaType::Pdf => Served {
                content_type: "application/pdf",
                inline: false,
            },
            MediaType::Other => Served::ATTACHMENT,
        }
    }

    /// Whether the file is an image that can be cleaned and pictured.
    pub fn is_image(self) -> bool {
        matches!(
            self,
            MediaType::Png | MediaType::Jpeg | MediaType::Gif | MediaType::Webp
        )
    }
}

/// Says what a file is from its first [`SNIFF_BYTES`] bytes (fewer only where the file is
/// shorter). The name serves only to tell text meant for reading from text meant for a program.
pub fn sniff(first_bytes: &[u8], name: &str) -> MediaType {
    let head = &first_bytes[..first_bytes.len().min(SNIFF_BYTES)];
    let Some(kind) = by_signature(head) else {
        return if is_text(head) && has_text_extension(name) {
            MediaType::PlainText
        } else {
            MediaType::Other
        };
    };
    if is_polyglot(head, kind) {
        return MediaType::Other;
    }
    kind
}

/// What the signature alone says.
pub(super) fn by_signature(head: &[u8]) -> Option<MediaType> {
    const SIGNATURES: [(&[u8], MediaType); 6] = [
        (b"\x89PNG\r\n\x1a\n", MediaType::Png),
        (b"\xff\xd8\xff", MediaType::Jpeg),
        (b"GIF87a", MediaType::Gif),
        (b"GIF89a", MediaType::Gif),
        (b"OggS\0", MediaType::Ogg),
        (b"%PDF-", MediaType::Pdf),
    ];
    for (signature, kind) in SIGNATURES {
        if head.starts_with(signature) {
            return Some(kind);
        }
    }
    if head.starts_with(b"RIFF") {
        return match head.get(8..12)? {
            b"WEBP" => Some(MediaType::Webp),
            b"WAVE" => Some(MediaType::Wav),
            _ => None,
        };
    }
    if is_mp4(head) {
        return Some(MediaType::Mp4);
    }
    if is_webm(head) {
        return Some(MediaType::Webm);
    }
    is_mp3(head).then_some(MediaType::Mp3)
}

fn is_mp4(head: &[u8]) -> bool {
    const BRANDS: [&[u8; 4]; 13] = [
        b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ",
        b"M4A ", b"dash", b"MSNV",
    ];
    head.get(4..8) == Some(b"ftyp".as_slice())
        && BRANDS
            .iter()
            .any(|brand| head.get(8..12) == Some(brand.as_slice()))
}

fn is_webm(head: &[u8]) -> bool {
    /// Where the document type stands at the latest: the header's other fields are a few bytes each.
    const HEADER: usize = 64;
    /// The element for the document type, its length 4, and its value.
    const DOC_TYPE: &[u8] = b"\x42\x82\x84webm";
    head.starts_with(b"\x1a\x45\xdf\xa3") && contains(&head[..head.len().min(HEADER)], DOC_TYPE)
}

fn is_mp3(head: &[u8]) -> bool {
    let Some(&[a, b, c, d]) = head.first_chunk::<4>() else {
        return false;
    };
    if [a, b, c] == *b"ID3" {
        return (2..=4).contains(&d);
    }
    let (version, layer) = ((b >> 3) & 3, (b >> 1) & 3);
    let (bitrate, rate) = (c >> 4, (c >> 2) & 3);
    a == 0xff
        && b & 0xe0 == 0xe0
        && version != 1
        && layer == 1
        && !matches!(bitrate, 0 | 15)
        && rate != 3
}

/// Whether another program would take the same bytes for a page, a script or a document.
fn is_polyglot(head: &[u8], kind: MediaType) -> bool {
    const MARKUP: [&[u8]; 9] = [
        b"<!doctype",
        b"<html",
        b"<head",
        b"<body",
        b"<script",
        b"<svg",
        b"<iframe",
        b"<?php",
        b"<img",
    ];
    if kind == MediaType::Pdf {
        return false;
    }
    let lower = head.to_ascii_lowercase();
    // The beginning of a script that hides the rest of the image in a comment or a string.
    let script =
        kind == MediaType::Gif && matches!(head.get(6..8), Some(b"=\"" | b"='" | b"/*" | b"=1"));
    script || contains(&lower, b"%pdf-") || MARKUP.iter().any(|markup| contains(&lower, markup))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

/// Whether the bytes are UTF-8 without control characters, and do not begin like markup.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character may be cut by the end of what is looked at, and by nothing else.
        Err(error) if error.error_len().is_none() && head.len() == SNIFF_BYTES => {
            let Ok(text) = std::str::from_utf8(&head[..error.valid_up_to()]) else {
                return false;
            };
            text
        }
        Err(_) => return false,
    };
    let binary = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\x0c');
    let begin = text.trim_start_matches('\u{feff}').trim_start();
    !text.contains(binary) && !begin.starts_with('<')
}

fn has_text_extension(name: &str) -> bool {
    const EXTENSIONS: [&str; 36] = [
        "txt", "text", "log", "md", "markdown", "rst", "adoc", "csv", "tsv", "json", "jsonl",
        "toml", "yaml", "yml", "ini", "conf", "cfg", "diff", "patch", "asc", "ics", "srt", "rs",
        "py", "c", "h", "cpp", "hpp", "go", "java", "rb", "sql", "tex", "sh", "geojson", "eml",
    ];
    let Some((_, extension)) = name.rsplit_once('.') else {
        return false;
    };
    EXTENSIONS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(extension))
}
