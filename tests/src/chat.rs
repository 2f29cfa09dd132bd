//! The chat that the tests run on: the sample that ships with the project or, where it lies
//! beside the checkout, real chat.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use liblzma::read::XzDecoder;
use serde::Deserialize;

use crate::say;

/// Names the directory of real chat.
const DATA: &str = "COMITY_TEST_DATA";
const SAMPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../node/src/sample/sample.jsonl"
);

/// Posts and where they come from.
pub struct Chat {
    pub path: PathBuf,
    pub posts: Vec<ChatPost>,
}

/// A post of a file in Mattermost's bulk-import format.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct ChatPost {
    pub channel: String,
    pub user: String,
    pub create_at: u64,
    pub message: String,
}

impl Chat {
    /// The sample that ships with the project.
    pub fn sample() -> Chat {
        Chat::read(Path::new(SAMPLE))
    }

    /// Real chat of that name, or the sample, saying so.
    pub fn real(name: &str) -> Chat {
        let path = data().join(name);
        if path.exists() {
            return Chat::read(&path);
        }
        say(&format!(
            "ABSENT: {} ({DATA} names its directory); running on the sample instead",
            path.display()
        ));
        Chat::sample()
    }

    /// Whether this is the sample.
    pub fn is_sample(&self) -> bool {
        self.path == Path::new(SAMPLE)
    }

    /// The rooms, in the order of their first posts.
    pub fn rooms(&self) -> Vec<&str> {
        let mut rooms: Vec<&str> = Vec::new();
        for post in &self.posts {
            if !rooms.contains(&post.channel.as_str()) {
                rooms.push(&post.channel);
            }
        }
        rooms
    }

    fn read(path: &Path) -> Chat {
        #[derive(Deserialize)]
        struct Line {
            post: Option<ChatPost>,
        }

        let text = text(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let line = |line: &str| serde_json::from_str::<Line>(line).expect("a line of the format");
        Chat {
            path: path.into(),
            posts: text.lines().filter_map(|text| line(text).post).collect(),
        }
    }
}

fn data() -> PathBuf {
    std::env::var_os(DATA).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    )
}

fn text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?;
    if path.extension().is_some_and(|extension| extension == "xz") {
        XzDecoder::new(file).read_to_string(&mut text)?;
    } else {
        file.read_to_string(&mut text)?;
    }
    Ok(text)
}
