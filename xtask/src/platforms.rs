//! `cargo xtask check-all --record`: what `docs/platforms.tsv` says of where examples were tried.

use std::collections::BTreeMap;
use std::env;

use anyhow::Result;
use catalog::files::replace;
use catalog::platforms;
use catalog::tables::{Platform, Row as _};
use catalog::workspace::{Example, Workspace};

/// Returns the system that the sections are built for.
fn system() -> &'static str {
    let target = env::var("CARGO_BUILD_TARGET");
    match target.as_deref().unwrap_or(env::consts::OS) {
        target if target.contains("windows") => "Windows",
        target if target.contains("darwin") || target == "macos" => "macOS",
        _ => "Linux",
    }
}

/// Writes which of the examples printed their goldens on this system. The others were
/// compiled for it.
///
/// # Errors
///
/// When the table cannot be written, or cargo does not say what the crates need.
pub fn record(
    workspace: &Workspace,
    examples: &[&Example],
    printed: &BTreeMap<String, bool>,
) -> Result<()> {
    let tried = |example: &Example| {
        let is_tried = examples.iter().any(|it| it.id() == example.id());
        is_tried.then(|| (system(), printed.get(&example.id()).copied()))
    };
    let text = platforms::table(workspace, tried)?;
    replace(&workspace.root.join(Platform::PATH), &text)
}
