//! `cargo xtask bench`: starts the member of the workspace that measures.

use std::process::Command;

use anyhow::{Context, Result};
use clap::Parser;

use crate::workspace::{Workspace, cargo};

/// What is measured, and how it is told.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// A part of the name of a measurement, or of its example; without it, everything.
    pub filter: Option<String>,
    /// A tenth of the work, and three rounds: for a look.
    #[arg(long)]
    pub quick: bool,
    /// Print the results as JSON.
    #[arg(long)]
    pub json: bool,
    /// Write the results to docs/speed.json, where the book takes them from.
    #[arg(long, conflicts_with = "quick")]
    pub record: bool,
}

/// Builds and runs the tool, in release mode. Returns whether all went well; if not, the
/// tool has said why.
///
/// # Errors
///
/// When cargo cannot be run.
pub fn bench(workspace: &Workspace, options: &Options) -> Result<bool> {
    let mut command = Command::new(cargo());
    command.current_dir(&workspace.root);
    command.args(["run", "--release", "--package", "benches", "--"]);
    let flags = [
        ("--quick", options.quick),
        ("--json", options.json),
        ("--record", options.record),
    ];
    for (flag, given) in flags {
        command.args(given.then_some(flag));
    }
    command.args(&options.filter);
    let status = command.status().context("cannot run cargo")?;
    Ok(status.success())
}
