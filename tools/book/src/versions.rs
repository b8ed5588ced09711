//! What the examples were verified with.

use anyhow::{Context, Result};
use xtask::files::read;
use xtask::python::Python;
use xtask::versions;
use xtask::workspace::Workspace;

/// The versions that a page names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// The text of `Cargo.lock`.
    pub lock: String,
    /// As in `Cargo.lock`.
    pub tokio: String,
    /// What `rustc -V` prints.
    pub rustc: String,
    /// What `python -V` prints; nothing where there is no CPython that can run the twins.
    pub python: Option<String>,
}

impl Versions {
    /// Asks the tools.
    ///
    /// # Errors
    ///
    /// When `Cargo.lock` cannot be read or has no tokio, or when rustc cannot be run.
    pub fn find(workspace: &Workspace) -> Result<Self> {
        let lock = read(&workspace.root.join("Cargo.lock"))?;
        let tokio = versions::locked(&lock, "tokio")
            .context("Cargo.lock has no package tokio")?
            .to_owned();
        let rustc = versions::rustc()?;
        let python = Python::find().ok();
        let python = python.and_then(|python| versions::cpython(python.program()).ok());
        Ok(Self {
            lock,
            tokio,
            rustc,
            python,
        })
    }

    /// As one line.
    pub fn line(&self) -> String {
        let python = self
            .python
            .as_deref()
            .unwrap_or("no CPython on this machine");
        format!("tokio {}, {}, {python}", self.tokio, self.rustc)
    }
}
