//! Writes a file's name into a header so that it cannot be anything but a name.

use std::fmt::Write as _;

/// Longest name written, in bytes: what every common file system takes (255), less what a browser
/// appends to a name it already has.
const NAME_BYTES: usize = 200;
/// Longest ending of a name that is kept when the name is cut.
const EXTENSION_BYTES: usize = 16;

/// The value of `Content-Disposition` for a file of any name, after RFC 6266: a name in ASCII for
/// old browsers, then the whole name in UTF-8 after RFC 8187.
pub fn content_disposition(inline: bool, name: &str) -> String {
    let name = safe_name(name);
    let kind = if inline { "inline" } else { "attachment" };
    // Some browsers decode a percent sign within the quotes.
    let plain = |c: char| (c == ' ' || c.is_ascii_graphic()) && c != '%';
    let ascii: String = name
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    let mut value = format!("{kind}; filename=\"{ascii}\"; filename*=UTF-8''");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            value.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(value, "%{byte:02X}");
        }
    }
    value
}

/// The name without what misleads: invisible characters go, those with a meaning to a header or a
/// file system become an underscore.
fn safe_name(name: &str) -> String {
    let name: String = name
        .chars()
        .filter(|c| !is_invisible(*c))
        .map(|c| {
            if c.is_control() || r#""\/:*?<>|;"#.contains(c) {
                '_'
            } else {
                c
            }
        })
        .collect();
    // Leading dots hide a file, trailing dots and spaces vanish on some systems.
    let name = name
        .trim_start_matches(['.', ' '])
        .trim_end_matches(['.', ' ']);
    if name.is_empty() {
        return "file".to_owned();
    }
    shortened(name)
}

/// Controls of writing direction and characters of no width: with them a name reads unlike it is.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{61c}'
            | '\u{ad}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

fn shortened(name: &str) -> String {
    if name.len() <= NAME_BYTES {
        return name.to_owned();
    }
    let extension = match name.rfind('.') {
        Some(dot) if name.len() - dot <= EXTENSION_BYTES => &name[dot..],
        _ => "",
    };
    let stem = &name[..name.len() - extension.len()];
    let end = stem.floor_char_boundary(NAME_BYTES - extension.len());
    format!("{}{extension}", &stem[..end])
}
