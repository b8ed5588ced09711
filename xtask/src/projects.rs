//! `check-all --only projects`: each example as a project of its own.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result};
use catalog::files::make_folder;
use catalog::process::printed;
use catalog::report::Failure;
use catalog::workspace::{Example, Workspace, cargo};
use checks::Report;
use reading::copy::{dependency_block, project};

/// Lets cargo check the project of each example, as a user makes it. Those that depend on
/// the same crates are checked as programs of one project; if one of them fails, each is
/// checked alone.
///
/// # Errors
///
/// When a source cannot be read, or `report` cannot be written.
pub fn check_projects(
    workspace: &Workspace,
    examples: &[&Example],
    report: &mut Report,
) -> Result<()> {
    let mut groups: BTreeMap<String, Vec<&Example>> = BTreeMap::new();
    for &example in examples {
        let block = dependency_block(workspace, example)?;
        let lines = block.lines().filter(|line| !line.starts_with('#'));
        groups.entry(lines.collect()).or_default().push(example);
    }
    for group in groups.into_values() {
        let is_right = group.len() > 1 && check_project(workspace, &group).is_ok();
        for example in group {
            let checked = match is_right {
                true => Ok(()),
                false => check_project(workspace, &[example]),
            };
            let checked = checked.map_err(|error| {
                let failure = Failure::new(example.id(), "its project does not compile");
                failure.with(format!("{error:#}"))
            });
            report.count(&example.id(), checked)?;
        }
    }
    Ok(())
}

/// Makes the project of an example, or of several with the same manifest, and lets cargo
/// check it.
fn check_project(workspace: &Workspace, examples: &[&Example]) -> Result<()> {
    let first = examples.first().context("an example")?;
    let dir = workspace.target.join("projects").join(first.id());
    let _ = std::fs::remove_dir_all(&dir);
    let mut files = project(workspace, first)?;
    files[0].1 += "\n[lints.rust]\nwarnings = \"deny\"\n";
    for other in &examples[1..] {
        let path = format!("src/bin/{}-{}.rs", other.section, other.name);
        files.push((path, other.pasted()?));
    }
    make_folder(&dir, &files)?;
    std::fs::copy(workspace.root.join("Cargo.lock"), dir.join("Cargo.lock"))?;
    let mut command = Command::new(cargo());
    command
        .args(["check", "--quiet", "--offline"])
        .current_dir(&dir);
    // Like the workspace's own profile, so that crates which it has checked are used again.
    command
        .env("CARGO_TARGET_DIR", &workspace.target)
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "false");
    printed(&mut command).map(drop)
}
