//! What takes long to find out, kept below the target folder by what it was found from.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use anyhow::Result;
use xtask::files::replace;
use xtask::workspace::Workspace;

/// Files of text, each named after the texts that it was made from.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// The one of this workspace.
    pub fn new(workspace: &Workspace) -> Self {
        Self {
            dir: workspace.target.join("book-cache"),
        }
    }

    /// What was made from these texts, if it is known.
    pub fn get(&self, kind: &str, from: &[&str]) -> Option<String> {
        fs::read_to_string(self.path(kind, from)).ok()
    }

    /// Keeps what was made from these texts.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn put(&self, kind: &str, from: &[&str], text: &str) -> Result<()> {
        replace(&self.path(kind, from), text)
    }

    fn path(&self, kind: &str, from: &[&str]) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        from.hash(&mut hasher);
        self.dir.join(format!("{kind}-{:016x}", hasher.finish()))
    }
}
