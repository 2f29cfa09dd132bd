//! Files made here by hand and by the encoders, then damaged, disguised and burdened.

use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Rgb, RgbImage};

use super::metadata::png_checksum;
use super::*;

/// Stands for a place in the metadata; none of it may survive.
const SECRET: &[u8] = b"50.0875N 14.4213E";
const FORMATS: [ImageFormat; 4] = [
    ImageFormat::Jpeg,
    ImageFormat::Png,
    ImageFormat::WebP,
    ImageFormat::Gif,
];

#[test]
fn no_place_survives_and_no_pixel_changes() {
    for format in FORMATS {
        let plain = encoded(64, 48, format);
        let burdened = burdened(&plain, format, 1);
        assert!(
            holds(&burdened, SECRET),
            "{format:?}: the test must begin with a secret"
        );

        let clean = strip(&burdened)
            .unwrap()
            .expect("there was something to remove");

        assert!(
            !holds(&clean, SECRET),
            "{format:?}: the place is still there"
        );
        assert!(
            !holds(&clean, b"Exif"),
            "{format:?}: an upright image needs no EXIF"
        );
        assert_eq!(pixels(&clean), pixels(&plain), "{format:?}");
        assert_eq!(strip(&clean).unwrap(), None, "{format:?}: clean is clean");
    }
}

#[test]
fn a_turned_image_keeps_its_turn_and_nothing_else() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        let burdened = burdened(&encoded(64, 48, format), format, 6);

        let clean = strip(&burdened)
            .unwrap()
            .expect("there was something to remove");

        assert!(!holds(&clean, SECRET), "{format:?}");
        let reader = ImageReader::with_format(Cursor::new(&clean), format);
        let orientation = reader.into_decoder().unwrap().orientation().unwrap();
        assert_eq!(orientation, Orientation::Rotate90, "{format:?}");
        let preview = preview(&burdened).unwrap();
        assert_eq!((preview.width, preview.height), (48, 64), "{format:?}");
        let thumbnail = image::load_from_memory(&preview.thumbnail).unwrap();
        assert_eq!(
            (thumbnail.width(), thumbnail.height()),
            (48, 64),
            "{format:?}"
        );
        // Turned to the right, the dark left edge is the upper one.
        let thumbnail = thumbnail.to_luma8();
        assert!(
            thumbnail.get_pixel(24, 2).0 < thumbnail.get_pixel(24, 60).0,
            "{format:?}"
        );
    }
}

#[test]
fn a_preview_is_made_only_of_a_larger_image() {
    let small = preview(&encoded(640, 480, ImageFormat::Png)).unwrap();
    assert_eq!(small.preview, None);
    assert_eq!(size(&small.thumbnail), (120, 90));
    assert_eq!(
        size(&STANDARD.decode(&small.placeholder).unwrap()),
        (16, 12)
    );

    let large = preview(&encoded(2500, 1000, ImageFormat::Jpeg)).unwrap();
    assert_eq!((large.width, large.height), (2500, 1000));
    assert_eq!(size(&large.preview.unwrap()), (1920, 768));
    assert_eq!(size(&large.thumbnail), (120, 48));
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    let mut bomb = encoded(8, 8, ImageFormat::Png);
    bomb[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let sum = png_checksum(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&sum.to_be_bytes());

    let refused = preview(&bomb);

    let (width, height) = (60_000, 60_000);
    assert_eq!(refused, Err(MediaError::TooManyPixels { width, height }));
}

#[test]
fn a_truncated_image_is_an_error_at_every_length() {
    for format in FORMATS {
        let whole = encoded(24, 16, format);
        preview(&whole).unwrap();
        for length in 12..whole.len() {
            let cut = &whole[..length];
            assert!(strip(cut).is_err(), "{format:?} cut at {length}");
            assert!(preview(cut).is_err(), "{format:?} cut at {length}");
        }
    }
}

#[test]
fn a_damaged_image_never_brings_the_decoder_down() {
    let mut seed: u64 = 0x5eed;
    println!("seed {seed:#x}");
    for format in FORMATS {
        let whole = burdened(&encoded(64, 48, format), format, 6);
        preview(&whole).unwrap();
        for round in 0..300 {
            let mut damaged = whole.clone();
            for _ in 0..=round % 4 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = (seed >> 33) as usize % damaged.len();
                damaged[at] ^= 1u8 << ((seed >> 30) & 7);
            }
            let result = preview(&damaged);
            assert_ne!(
                result,
                Err(MediaError::DecoderPanicked),
                "{format:?} {round}"
            );
        }
    }
}

#[test]
fn what_follows_an_image_is_dropped() {
    for format in FORMATS {
        let plain = encoded(8, 8, format);
        let polyglot = [plain.as_slice(), b"PK\x03\x04<script>alert(1)</script>"].concat();
        let clean = strip(&polyglot)
            .unwrap()
            .expect("there was something to remove");
        assert_eq!(pixels(&clean), pixels(&plain), "{format:?}");
        assert!(!holds(&clean, b"<script>"), "{format:?}");
    }
}

#[test]
fn only_what_cannot_run_is_shown_in_place() {
    let gif = b"GIF89a/*\0\0\0\0\0<html><script>alert(1)</script>".as_slice();
    let png = encoded(8, 8, ImageFormat::Png);
    let cases: [(&[u8], &str, MediaType, bool); 12] = [
        (&png, "evil.html", MediaType::Png, true),
        (
            b"<!DOCTYPE html><script>",
            "cat.png",
            MediaType::Other,
            false,
        ),
        (b"<html>", "notes.txt", MediaType::Other, false),
        (
            b"<svg onload='alert(1)'/>",
            "cat.svg",
            MediaType::Other,
            false,
        ),
        (b"<?xml version='1.0'?>", "a.xml", MediaType::Other, false),
        (b"alert(1)", "a.js", MediaType::Other, false),
        (gif, "cat.gif", MediaType::Other, false),
        (b"%PDF-1.7\n", "a.pdf", MediaType::Pdf, false),
        (b"na zdrav\xc3\xad", "notes.txt", MediaType::PlainText, true),
        (b"na zdrav\xc3", "notes.txt", MediaType::Other, false),
        (b"MZ\x90\0", "notes.txt", MediaType::Other, false),
        (b"ID3\x03\0\0\0", "song", MediaType::Mp3, true),
    ];
    for (bytes, name, kind, inline) in cases {
        assert_eq!(sniff(bytes, name), kind, "{name}");
        assert_eq!(kind.served_as().inline, inline, "{name}");
    }
    assert_eq!(MediaType::Other.served_as(), Served::ATTACHMENT);
}

#[test]
fn a_name_is_nothing_but_a_name_in_a_header() {
    let names = [
        "a\r\nSet-Cookie: x=1.txt",
        "../../etc/\"passwd\"",
        "photo\u{202e}gnp.exe",
        "C:\\x;y=%22.png",
        "\u{17e}lu\u{165}ou\u{10d}k\u{fd} k\u{16f}\u{148}.txt",
    ];
    for name in names {
        let value = content_disposition(false, name);
        assert!(
            value.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{value}"
        );
        assert_eq!(value.matches('"').count(), 2, "{value}");
        assert_eq!(value.matches(';').count(), 2, "{value}");
        assert!(!value.contains(['/', '\\']), "{value}");
        assert!(!value.contains("%E2%80%AE"), "{value}");
    }
    let czech = content_disposition(true, "k\u{16f}\u{148}.txt");
    assert_eq!(
        czech,
        "inline; filename=\"k__.txt\"; filename*=UTF-8''k%C5%AF%C5%88.txt"
    );
    assert!(content_disposition(false, "..").contains("filename=\"file\""));
    let long = content_disposition(false, &format!("{}.jpeg", "\u{17e}".repeat(500)));
    assert!(long.len() < 1000 && long.ends_with(".jpeg"), "{long}");
}

fn encoded(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let shade = |x: u32, y: u32| {
        Rgb([
            (x * 255 / width) as u8,
            (x * 255 / width) as u8,
            (y % 8) as u8,
        ])
    };
    let image = DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, shade));
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// The image with the secret in every place where its format has one.
fn burdened(plain: &[u8], format: ImageFormat, orientation: u8) -> Vec<u8> {
    let exif = exif(orientation);
    match format {
        ImageFormat::Jpeg => {
            let segment = |marker: u8, content: &[u8]| {
                let length = (content.len() as u16 + 2).to_be_bytes();
                [[0xff, marker].as_slice(), &length, content].concat()
            };
            let head = [
                segment(0xe1, &[b"Exif\0\0".as_slice(), &exif].concat()),
                segment(
                    0xe1,
                    &[b"http://ns.adobe.com/xap/1.0/\0".as_slice(), SECRET].concat(),
                ),
                segment(0xed, &[b"Photoshop 3.0\0".as_slice(), SECRET].concat()),
                segment(0xfe, SECRET),
            ]
            .concat();
            [&plain[..2], &head, &plain[2..]].concat()
        }
        ImageFormat::Png => {
            let chunk = |name: &[u8; 4], content: &[u8]| {
                let body = [name.as_slice(), content].concat();
                let sum = png_checksum(&body).to_be_bytes();
                [(content.len() as u32).to_be_bytes().as_slice(), &body, &sum].concat()
            };
            let head = [
                chunk(b"eXIf", &exif),
                chunk(b"tEXt", &[b"Comment\0".as_slice(), SECRET].concat()),
                chunk(b"prVt", SECRET),
            ]
            .concat();
            [&plain[..33], &head, &plain[33..]].concat()
        }
        ImageFormat::WebP => webp(&plain[12..], &exif),
        _ => {
            let length = SECRET.len() as u8;
            let comment = [[0x21, 0xfe, length].as_slice(), SECRET, &[0]].concat();
            let xmp = [
                b"\x21\xff\x0bXMP DataXMP".as_slice(),
                &[length],
                SECRET,
                &[0],
            ]
            .concat();
            let end = plain.len() - 1;
            [&plain[..end], &comment, &xmp, &plain[end..]].concat()
        }
    }
}

/// Of 64 x 48 pixels, as the extended header must say.
fn webp(image: &[u8], exif: &[u8]) -> Vec<u8> {
    let chunk = |name: &[u8; 4], content: &[u8]| {
        let mut chunk = [
            name.as_slice(),
            &(content.len() as u32).to_le_bytes(),
            content,
        ]
        .concat();
        chunk.resize(chunk.len().next_multiple_of(2), 0);
        chunk
    };
    let header = [0x0c, 0, 0, 0, 63, 0, 0, 47, 0, 0];
    let body = [
        b"WEBP".to_vec(),
        chunk(b"VP8X", &header),
        image.to_vec(),
        chunk(b"EXIF", exif),
        chunk(b"XMP ", SECRET),
    ]
    .concat();
    chunk(b"RIFF", &body)
}

/// A TIFF block with an orientation, and a GPS directory that points at the secret.
fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"MM\0\x2a\0\0\0\x08\0\x02".to_vec();
    block.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]);
    block.extend([0x88, 0x25, 0, 4, 0, 0, 0, 1, 0, 0, 0, 38, 0, 0, 0, 0]);
    block.extend([
        0,
        1,
        0,
        2,
        0,
        2,
        0,
        0,
        0,
        SECRET.len() as u8,
        0,
        0,
        0,
        56,
        0,
        0,
        0,
        0,
    ]);
    block.extend(SECRET);
    block
}

fn pixels(bytes: &[u8]) -> Vec<u8> {
    image::load_from_memory(bytes)
        .unwrap()
        .into_rgba8()
        .into_raw()
}

fn size(jpeg: &[u8]) -> (u32, u32) {
    let image = image::load_from_memory_with_format(jpeg, ImageFormat::Jpeg).unwrap();
    (image.width(), image.height())
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
