//! What the examples were verified with.

use std::process::Command;

use anyhow::{Context, Result};
use xtask::files::read;
use xtask::python::Python;
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
        let tokio = locked(&lock, "tokio")
            .context("Cargo.lock has no package tokio")?
            .to_owned();
        let rustc =
            printed(Command::new("rustc").arg("-V")).context("cannot run rustc")?;
        let python = Python::find().ok();
        let python = python.and_then(|python| {
            let version = printed(Command::new(python.program()).arg("-V"));
            Some(version?.replacen("Python", "CPython", 1))
        });
        let rustc = rustc.split(" (").next().unwrap_or_default().to_owned();
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

/// The version of a package in the lock file.
fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let (_, after) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    after.split('"').next()
}

/// What a command prints, if it can be run.
fn printed(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned())
}
