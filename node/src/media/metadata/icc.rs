//! Colour profiles: kept, since without them colours shift, but without the names, dates and
//! serial numbers that the profile of a screen or a camera tells.

/// Largest profile kept. Those of screens have a few kilobytes, those of printing presses up to
/// about 700.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Most tags in a profile; the standard defines about 60.
const MAX_TAGS: usize = 100;
const HEADER_BYTES: usize = 128;
const TAG_BYTES: usize = 12;

/// The tags that convert colours; all others describe.
const KEPT: [&[u8; 4]; 19] = [
    b"wtpt", b"bkpt", b"chad", b"cicp", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC",
    b"kTRC", b"A2B0", b"A2B1", b"A2B2", b"B2A0", b"B2A1", b"B2A2", b"gamt", b"lumi",
];
/// What is kept of the header: version, class and spaces; the signature; intent and white point.
const KEPT_HEADER: [std::ops::Range<usize>; 3] = [8..24, 36..40, 64..80];

/// The same profile with nothing in it but the conversion of colours; none where there is no
/// profile that can be read.
pub(super) fn anonymous(profile: &[u8]) -> Option<Vec<u8>> {
    if profile.len() > MAX_BYTES || profile.get(36..40)? != b"acsp" {
        return None;
    }
    let count = word(profile, HEADER_BYTES)?;
    if count > MAX_TAGS {
        return None;
    }
    let newer = profile[8] >= 4;
    let mut tags: Vec<([u8; 4], Vec<u8>)> =
        vec![(*b"desc", description(newer)), (*b"cprt", copyright(newer))];
    let mut total = 0;
    for index in 0..count {
        let at = HEADER_BYTES + 4 + index * TAG_BYTES;
        let name = *profile.get(at..)?.first_chunk::<4>()?;
        if !KEPT.contains(&&name) {
            continue;
        }
        let (from, length) = (word(profile, at + 4)?, word(profile, at + 8)?);
        // Tags may share their content, so that a small profile could grow here.
        total += length;
        if total > MAX_BYTES {
            return None;
        }
        let content = profile.get(from..from.checked_add(length)?)?;
        tags.push((name, content.to_vec()));
    }
    Some(assembled(profile, &tags)).filter(|profile| profile.len() <= MAX_BYTES)
}

fn assembled(original: &[u8], tags: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut profile = vec![0; HEADER_BYTES];
    for range in KEPT_HEADER {
        profile[range.clone()].copy_from_slice(&original[range]);
    }
    profile.extend((tags.len() as u32).to_be_bytes());
    let mut contents = Vec::new();
    let start = HEADER_BYTES + 4 + tags.len() * TAG_BYTES;
    for (name, content) in tags {
        profile.extend(name);
        profile.extend(((start + contents.len()) as u32).to_be_bytes());
        profile.extend((content.len() as u32).to_be_bytes());
        contents.extend_from_slice(content);
        // Contents begin at multiples of four.
        contents.resize(contents.len().next_multiple_of(4), 0);
    }
    profile.extend(contents);
    let size = profile.len() as u32;
    profile[..4].copy_from_slice(&size.to_be_bytes());
    profile
}

/// A description that every profile must have and that says nothing.
fn description(newer: bool) -> Vec<u8> {
    if newer {
        return unicode();
    }
    /// Empty names in two further scripts.
    const OTHERS: usize = 4 + 4 + 2 + 1 + 67;
    let mut text = b"desc\0\0\0\0\0\0\0\x02-\0".to_vec();
    text.resize(text.len() + OTHERS, 0);
    text
}

fn copyright(newer: bool) -> Vec<u8> {
    if newer {
        unicode()
    } else {
        b"text\0\0\0\0-\0".to_vec()
    }
}

/// One record, in English, of the one character `-`.
fn unicode() -> Vec<u8> {
    b"mluc\0\0\0\0\0\0\0\x01\0\0\0\x0cenUS\0\0\0\x02\0\0\0\x1c\0-".to_vec()
}

fn word(profile: &[u8], at: usize) -> Option<usize> {
    let bytes = profile.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes) as usize)
}
