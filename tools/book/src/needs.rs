//! What a program needs, which takes long to read off its tokens.

use anyhow::Result;
use xtask::copy;
use xtask::dependencies::{self, Crates};
use xtask::files::read;
use xtask::workspace::{Example, Workspace};

use crate::cache::Cache;

/// The dependencies of an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// What `cargo xtask copy --print-manifest` prints.
    pub manifest: String,
    /// The crates that the program itself uses.
    pub crates: Crates,
}

impl Needs {
    /// Finds them, or has them from before: they change with the source, with the
    /// section's manifest, and with the versions that the workspace's manifest names.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or written, when the source is not Rust, or when it
    /// uses a crate that its section does not depend on.
    pub fn of(workspace: &Workspace, example: &Example, source: &str) -> Result<Self> {
        let section = workspace.section(&example.section)?;
        let manifest = read(&section.dir.join("Cargo.toml"))?;
        let versions = read(&workspace.root.join("Cargo.toml"))?;
        let from = [source, &manifest, &versions];
        let cache = Cache::new(workspace);
        let known = cache.get("needs", &from);
        if let Some(needs) = known.and_then(|text| serde_json::from_str(&text).ok()) {
            let (manifest, crates) = needs;
            return Ok(Self { manifest, crates });
        }
        let manifest = copy::dependency_block(workspace, example)?;
        let crates = dependencies::find(source)?.normal;
        cache.put(
            "needs",
            &from,
            &serde_json::to_string(&(&manifest, &crates))?,
        )?;
        Ok(Self { manifest, crates })
    }
}
