//! `cargo xtask check-all --record`: what `docs/platforms.tsv` says of where examples were tried.

use std::collections::BTreeMap;
use std::env;

use anyhow::Result;
use catalog::files::replace;
use catalog::platforms::{Needs, SYSTEMS};
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
    let (system, needs) = (system(), Needs::read(workspace)?);
    let mut text = "example\tgolden\tcompiled\tneeds\n".to_owned();
    for example in workspace.examples() {
        let id = example.id();
        let (mut golden, mut compiled) = match &example.platform {
            Some(Platform {
                golden, compiled, ..
            }) => (golden.clone(), compiled.clone()),
            None => (Vec::new(), Vec::new()),
        };
        if examples.iter().any(|it| it.id() == id) {
            let was_met = golden.iter().any(|it| it == system);
            let is_met = *printed.get(&id).unwrap_or(&was_met);
            golden.retain(|it| it != system);
            compiled.retain(|it| it != system);
            let met_or_not = if is_met { &mut golden } else { &mut compiled };
            met_or_not.push(system.to_owned());
        }
        let in_order = |mut systems: Vec<String>| {
            systems.sort_by_key(|system| SYSTEMS.iter().position(|it| it == system));
            systems.join(" ")
        };
        let (golden, compiled) = (in_order(golden), in_order(compiled));
        let needs = needs.of(workspace, example)?;
        text += &format!("{id}\t{golden}\t{compiled}\t{needs}\n");
    }
    replace(&workspace.root.join(Platform::PATH), &text)
}
