//! Posts the batches of an import at one home node.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::super::client::Node;
use crate::api::{ApiError, ImportPost, ImportProgress, Imported, Request};

/// What the batches of an import came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Imports {
    pub posted: u64,
    /// Posted by an earlier import.
    pub skipped: u64,
}

impl AddAssign for Imports {
    fn add_assign(&mut self, other: Self) {
        self.posted += other.posted;
        self.skipped += other.skipped;
    }
}

/// Posts batch after batch, passing over what an earlier import posted; `progress` counts both.
///
/// The next batch is asked for only when the one before has been acknowledged: a node that
/// refused one and took the next would move its mark past posts that it does not have.
pub async fn post(
    node: &mut Node,
    import: &str,
    mut batches: mpsc::Receiver<Vec<ImportPost>>,
    progress: &AtomicU64,
) -> Result<Imports, ApiError> {
    let marks = marks(node, import).await?;
    let mut total = Imports::default();
    while let Some(batch) = batches.recv().await {
        let imports = post_batch(node, import, batch, &marks).await?;
        progress.fetch_add(imports.posted + imports.skipped, Ordering::Relaxed);
        total += imports;
    }
    Ok(total)
}

/// The last line imported of each channel.
type Marks = BTreeMap<String, u64>;

async fn marks(node: &mut Node, import: &str) -> Result<Marks, ApiError> {
    let request = Request::ImportStatus {
        import: import.into(),
    };
    let progress: Vec<ImportProgress> = node.ask_all(request).await?;
    Ok(progress
        .into_iter()
        .map(|mark| (mark.channel, mark.line))
        .collect())
}

async fn post_batch(
    node: &mut Node,
    import: &str,
    mut posts: Vec<ImportPost>,
    marks: &Marks,
) -> Result<Imports, ApiError> {
    let whole = posts.len() as u64;
    posts.retain(|post| is_new(post, marks));
    let mut imports = Imports {
        posted: 0,
        skipped: whole - posts.len() as u64,
    };
    if posts.is_empty() {
        return Ok(imports);
    }
    let request = Request::Import {
        import: import.into(),
        posts,
    };
    let imported: Imported = node.ask_one(request).await?;
    imports += Imports {
        posted: imported.posted,
        skipped: imported.skipped,
    };
    Ok(imports)
}

fn is_new(post: &ImportPost, marks: &Marks) -> bool {
    marks
        .get(&post.channel)
        .is_none_or(|mark| post.line > *mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_above_the_mark_are_new() {
        let marks = Marks::from([("room".into(), 7)]);
        assert!(!is_new(&line("room", 7), &marks));
        assert!(is_new(&line("room", 8), &marks));
        assert!(is_new(&line("other", 1), &marks));
    }

    fn line(channel: &str, line: u64) -> ImportPost {
        ImportPost {
            line,
            channel: channel.into(),
            user: "ann".into(),
            message: "m".into(),
            create_at_ms: 1,
        }
    }
}
