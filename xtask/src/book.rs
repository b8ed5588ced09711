//! `cargo xtask book`: starts the member of the workspace that makes the book.

use std::io::{self, IsTerminal as _};
use std::path::{PathBuf, absolute};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Parser;

use crate::workspace::{Workspace, cargo};

/// What is done with the book.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// Open it in the browser.
    #[arg(long)]
    pub open: bool,
    /// Serve it on this machine, and make it anew whenever a file changes; pages that
    /// are open reload.
    #[arg(long)]
    pub serve: bool,
    /// Where its pages go [default: target/book].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Builds and runs the tool, which is a package of its own so that nobody else compiles
/// it. Returns whether all went well; if not, the tool has said why.
///
/// # Errors
///
/// When cargo cannot be run, or there is no current directory.
pub fn book(workspace: &Workspace, options: &Options) -> Result<bool> {
    let mut command = Command::new(cargo());
    command.current_dir(&workspace.root).arg("run");
    if !io::stderr().is_terminal() {
        command.arg("--quiet");
    }
    command.args(["--package", "book", "--"]);
    for (flag, given) in [("--open", options.open), ("--serve", options.serve)] {
        command.args(given.then_some(flag));
    }
    if let Some(out) = &options.out {
        let out = absolute(out).context("there is no current directory")?;
        command.arg("--out").arg(out);
    }
    let status = command.status().context("cannot run cargo")?;
    Ok(status.success())
}
