//! `cargo xtask list`: every example with its summary.

use std::io::{self, Write as _};

use anyhow::Result;

use crate::workspace::Workspace;

/// Prints every example with its summary.
///
/// # Errors
///
/// When standard output cannot be written.
pub fn list(workspace: &Workspace) -> Result<()> {
    let width = workspace.examples().map(|example| example.id().len()).max();
    let width = width.unwrap_or_default();
    let mut stdout = io::stdout().lock();
    for example in workspace.examples() {
        writeln!(
            stdout,
            "{:width$}  {}",
            example.id(),
            example.header.summary
        )?;
    }
    Ok(())
}
