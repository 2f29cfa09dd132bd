//! Puts the page's files into the program: each with its type, a tag of its bytes, and its Brotli form.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use sha2::{Digest as _, Sha256};

/// Where the page is, and what of it a browser may be sent.
const ROOT: &str = "web";
const KINDS: [(&str, &str); 6] = [
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("json", "application/json"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
];
/// Brotli's best: it is done once, and the page is small.
const QUALITY: u32 = 11;
const WINDOW: u32 = 22;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={ROOT}");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let mut paths = Vec::new();
    list(Path::new(ROOT), &mut paths)?;
    paths.sort();
    let mut table = String::from("static FILES: &[File] = &[\n");
    for (number, path) in paths.iter().enumerate() {
        let Some(kind) = kind_of(path) else { continue };
        let plain = fs::canonicalize(Path::new(ROOT).join(path))?;
        let bytes = fs::read(&plain)?;
        let short = brotli(&bytes)?;
        let brotli = if short.len() < bytes.len() {
            let to = out.join(format!("page_{number}.br"));
            fs::write(&to, short)?;
            format!("Some(include_bytes!({to:?}))")
        } else {
            "None".into()
        };
        let digest = Sha256::digest(&bytes);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let tag = format!("\"{hex}\"");
        writeln!(
            table,
            "    File {{ path: {path:?}, kind: {kind:?}, tag: {tag:?}, plain: include_bytes!({plain:?}), brotli: {brotli} }},"
        )
        .map_err(io::Error::other)?;
    }
    table.push_str("];\n");
    fs::write(out.join("page_files.rs"), table)
}

/// The paths of all files below a directory, as browsers name them.
fn list(directory: &Path, paths: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, paths)?;
        } else if let Ok(inner) = path.strip_prefix(ROOT) {
            paths.push(inner.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}

/// The type of a file that is for browsers; none for licences and settings of tools.
fn kind_of(path: &str) -> Option<&'static str> {
    let ending = path.rsplit_once('.')?.1;
    let is_tool = path == "jsconfig.json" || path == "vendor/manifest.json";
    let kind = KINDS.iter().find(|(own, _)| *own == ending)?;
    (!is_tool).then_some(kind.1)
}

fn brotli(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut short = Vec::new();
    let mut writer = brotli::CompressorWriter::new(&mut short, 4096, QUALITY, WINDOW);
    io::Write::write_all(&mut writer, bytes)?;
    drop(writer);
    Ok(short)
}
