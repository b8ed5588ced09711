//! Running a program for what it prints.

use std::process::Command;

use anyhow::{Context as _, ensure};

/// Returns what the command prints on standard output.
///
/// # Errors
///
/// When it cannot be run, or fails; then with all that it printed.
pub fn printed(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output();
    let output = output.with_context(|| format!("cannot run {command:?}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?} failed:\n{stdout}{stderr}"
    );
    Ok(stdout.into_owned())
}
