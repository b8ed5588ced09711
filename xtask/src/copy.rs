//! `cargo xtask copy`: a new Cargo project from one example.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::{Dependency, DependencyKind, Edition, MetadataCommand};

use crate::dependencies::{self, Crates};
use crate::files::{make_folder, read, replace};
use crate::workspace::{Example, Workspace};

/// What `cargo new` writes into a `main.rs`.
const HELLO: &str = "fn main() {\n    println!(\"Hello, world!\");\n}\n";

/// Makes a Cargo project in `dir` that has the example as its `src/main.rs`, unchanged,
/// and depends on the crates and features that the file uses. Returns what to tell the
/// user. A project that `cargo new` has just made is taken as well.
///
/// # Errors
///
/// When `dir` exists and is not empty, when it is inside of a workspace that would take
/// the project for a member, when the example uses a crate that its section does not
/// depend on, or when a file cannot be written. Nothing is left behind then.
pub fn copy(workspace: &Workspace, example: &Example, dir: &Path) -> Result<String> {
    let (manifest, main) = (dir.join("Cargo.toml"), dir.join("src/main.rs"));
    if fs::read_to_string(&main).is_ok_and(|text| text == HELLO) {
        let (edition, source, block) = parts(workspace, example)?;
        let before = read(&manifest)?;
        let (package, rest) = before.split_once("[dependencies]").unwrap_or_default();
        ensure!(
            rest.trim().is_empty()
                && package.contains(&format!("edition = \"{edition}\"")),
            "{} is not as `cargo new` makes it for edition {edition}; nothing was touched",
            manifest.display()
        );
        replace(&manifest, &format!("{package}{block}"))?;
        replace(&main, &source).inspect_err(|_| drop(replace(&manifest, &before)))?;
    } else {
        let files = project(workspace, example, &example.name)?;
        make_folder(dir, &files, || check_workspace_above(dir))?;
    }
    let (manifest, main, dir) = (manifest.display(), main.display(), dir.display());
    Ok(format!(
        "made {manifest}\nmade {main}\nNow:\n    cd {dir}\n    cargo run\n"
    ))
}

/// Refuses a folder inside of a workspace that cargo then cannot work with.
fn check_workspace_above(dir: &Path) -> Result<()> {
    let absolute = fs::canonicalize(dir)?;
    let mut manifests = absolute
        .ancestors()
        .skip(1)
        .map(|above| above.join("Cargo.toml"));
    let is_workspace = |manifest: &PathBuf| {
        fs::read_to_string(manifest).is_ok_and(|text| text.contains("[workspace]"))
    };
    let Some(outer) = manifests.find(is_workspace) else {
        return Ok(());
    };
    let mut command = MetadataCommand::new();
    command.no_deps().manifest_path(&outer);
    let said = match command.other_options(["--offline".to_owned()]).exec() {
        Ok(_) => return Ok(()),
        Err(cargo_metadata::Error::CargoMetadata { stderr }) => stderr,
        Err(other) => other.to_string(),
    };
    bail!(
        "{} is inside of the workspace {}, which would take it for a member; choose a \
         folder outside of it. cargo says: {}",
        dir.display(),
        outer.display(),
        said.trim()
    )
}

/// The files of the project, as path and text; `name` is the name of its package.
///
/// # Errors
///
/// When the example cannot be read, is not Rust, or uses a crate that its section does
/// not depend on.
pub fn project(
    workspace: &Workspace,
    example: &Example,
    name: &str,
) -> Result<Vec<(&'static str, String)>> {
    let (edition, source, block) = parts(workspace, example)?;
    let manifest = format!(
        "[package]
name = \"{name}\"
version = \"0.1.0\"
edition = \"{edition}\"
publish = false

{block}
# A workspace of its own, so that the project also works inside of another one.
[workspace]
"
    );
    Ok(vec![("Cargo.toml", manifest), ("src/main.rs", source)])
}

/// The part of a manifest that the example needs: the edition, and the crates that it
/// uses.
pub fn dependency_block(workspace: &Workspace, example: &Example) -> Result<String> {
    let (edition, _, block) = parts(workspace, example)?;
    Ok(format!("[package]\nedition = \"{edition}\"\n\n{block}"))
}

/// The edition, the source, and a block of the crates that it uses.
fn parts(workspace: &Workspace, example: &Example) -> Result<(Edition, String, String)> {
    let section = workspace.section(&example.section)?;
    let path = &example.source;
    let source = read(path)?;
    let uses = dependencies::find(&source)
        .with_context(|| format!("{} is not Rust", path.display()))?;
    let block = |title: &str, crates: &Crates, is_test: bool| -> Result<String> {
        let mut lines = Vec::new();
        for (name, features) in crates {
            let is_used = |dependency: &&Dependency| {
                let kind = dependency.kind;
                dependency.path.is_none()
                    && code_name(dependency) == *name
                    && (kind == DependencyKind::Normal
                        || is_test && kind == DependencyKind::Development)
            };
            let dependency = section.dependencies.iter().find(is_used);
            let dependency = dependency.with_context(|| {
                format!(
                    "{} uses the crate `{name}`, which is none that {} depends on",
                    workspace.relative(path),
                    workspace.relative(&section.dir.join("Cargo.toml"))
                )
            })?;
            let features = features.as_ref().map(|some| some.iter().cloned().collect());
            let features: Vec<String> =
                features.unwrap_or_else(|| dependency.features.clone());
            lines.push(entry(dependency, &features));
        }
        lines.sort();
        Ok(format!("[{title}]\n{}", lines.concat()))
    };
    let mut text = block("dependencies", &uses.normal, false)?;
    if !uses.test.is_empty() {
        text.push('\n');
        text.push_str(&block("dev-dependencies", &uses.test, true)?);
    }
    Ok((section.edition, source, text))
}

/// The name that a dependency has in the section's manifest.
fn key(dependency: &Dependency) -> &str {
    dependency.rename.as_ref().unwrap_or(&dependency.name)
}

/// The name that a dependency has in the section's code.
pub fn code_name(dependency: &Dependency) -> String {
    key(dependency).replace('-', "_")
}

/// One line of a manifest.
pub fn entry(dependency: &Dependency, features: &[String]) -> String {
    let name = key(dependency);
    let version = dependency.req.to_string();
    let version = version.trim_start_matches('^');
    let mut parts = vec![format!("version = \"{version}\"")];
    if !dependency.uses_default_features {
        parts.push("default-features = false".to_owned());
    }
    if !features.is_empty() {
        let mut features = features.to_vec();
        features.sort();
        parts.push(format!("features = {features:?}"));
    }
    if dependency.rename.is_some() {
        parts.push(format!("package = \"{}\"", dependency.name));
    }
    match parts.as_slice() {
        [_version_alone] => format!("{name} = \"{version}\"\n"),
        parts => format!("{name} = {{ {} }}\n", parts.join(", ")),
    }
}
