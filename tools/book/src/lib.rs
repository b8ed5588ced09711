//! The book: a folder of static pages made from the files that were checked, so that it
//! cannot disagree with them. Only the chapters are written by hand.
//!
//! [`material`] reads everything and refuses what does not belong together, [`sources`]
//! writes it as Markdown, and [`site`] has mdBook make pages from that.

pub mod cache;
pub mod chapters;
pub mod cli;
pub mod html;
pub mod material;
pub mod needs;
pub mod page;
pub mod playground;
pub mod record;
pub mod refusals;
pub mod serve;
pub mod site;
pub mod sources;
pub mod speed;
pub mod tables;
pub mod timeline;
pub mod versions;
pub mod ways;

use std::path::{Path, PathBuf};

use anyhow::Result;
use xtask::workspace::Workspace;

use crate::material::Material;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The folder of the pages.
    pub out: PathBuf,
    /// How many examples have a page.
    pub examples: usize,
    /// How many pages are not as they were before.
    pub changed: usize,
    /// The names of asyncio that have a counterpart which no example shows.
    pub open_names: Vec<String>,
}

/// Makes the book of the workspace in `out`, or in `target/book`. Without `may_run`
/// nothing is built or run, and what only that could tell is left out.
///
/// # Errors
///
/// When something refers to what is not there, naming every such place; when an example
/// cannot be run; when a file cannot be read or written.
pub fn make(
    workspace: &mut Workspace,
    out: Option<&Path>,
    may_run: bool,
) -> Result<Made> {
    let root = workspace.target.join("book-src");
    let default = workspace.target.join("book");
    let out = out.unwrap_or(&default).to_owned();
    let material = Material::collect(workspace, may_run)?;
    let changed = sources::write(&material, &root.join("src"))?;
    site::make(&root, &out)?;
    Ok(Made {
        out,
        examples: material.entries().count(),
        changed,
        open_names: material
            .open_names()
            .into_iter()
            .map(str::to_owned)
            .collect(),
    })
}
