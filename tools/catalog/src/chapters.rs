//! The headings of the chapters, `docs/chapters/NN-title.md`.

use std::path::PathBuf;

use anyhow::Result;

use crate::files::{entries, read, stem};
use crate::workspace::Workspace;

/// A heading of a chapter.
#[derive(Debug, Clone)]
pub struct Heading {
    /// As tables name it: `choosing-crates` for the chapter, or with the anchor of the heading,
    /// `choosing-crates#by-hand-or-from-a-crate`.
    pub id: String,
    /// The file of its chapter, below the root.
    pub file: String,
    /// Its words.
    pub words: String,
    /// The heading of its chapter.
    pub title: String,
    /// What stands under it.
    pub body: String,
}

impl Heading {
    /// Whether it is that of the whole chapter.
    pub fn is_title(&self) -> bool {
        !self.id.contains('#')
    }
}

/// Returns the files of the chapters, in their order.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn files(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let mut paths = entries(&workspace.root.join("docs/chapters"))?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    Ok(paths)
}

/// Returns the name of a chapter's page: its file's without the number.
pub fn page(file: &str) -> &str {
    file.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-')
}

/// Returns the headings of all chapters, in the order of the book.
///
/// # Errors
///
/// When a chapter cannot be read.
pub fn headings(workspace: &Workspace) -> Result<Vec<Heading>> {
    let mut headings = Vec::new();
    for path in files(workspace)? {
        let (text, name) = (read(&path)?, stem(&path));
        let page = page(&name);
        let title = text.lines().find_map(|line| line.strip_prefix("# "));
        let title = title.unwrap_or_default();
        for section in format!("\n{text}").split("\n#").skip(1) {
            let (words, body) = section.split_once('\n').unwrap_or((section, ""));
            let words = words.trim_start_matches(['#', ' ']);
            headings.push(Heading {
                id: match words == title {
                    true => page.to_owned(),
                    false => format!("{page}#{}", slug(words)),
                },
                file: workspace.relative(&path),
                words: words.to_owned(),
                title: title.to_owned(),
                body: body.to_owned(),
            });
        }
    }
    Ok(headings)
}

/// Returns the anchor that mdBook gives a heading.
pub fn slug(heading: &str) -> String {
    let words = heading.to_lowercase().replace(' ', "-");
    let is_kept = |c: &char| c.is_alphanumeric() || "-_".contains(*c);
    words.chars().filter(is_kept).collect()
}
