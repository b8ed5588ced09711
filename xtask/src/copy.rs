//! `cargo xtask copy`: a new Cargo project from one example.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use cargo_metadata::semver::Version;
use cargo_metadata::{Dependency, DependencyKind};

use crate::dependencies::{self, Crates};
use crate::scaffold::{Interrupt, make_folder};
use crate::workspace::{Example, Workspace};

/// Makes a Cargo project in `dir` that has the example as its `src/main.rs`, unchanged,
/// and depends on the crates and features that the file uses.
///
/// # Errors
///
/// When `dir` exists and is not empty, when the example uses a crate that its section
/// does not depend on, or when a file cannot be written. Nothing is left behind then.
pub fn copy(workspace: &Workspace, example: &Example, dir: &Path) -> Result<()> {
    let files = project(workspace, example, &example.name)?;
    let interrupt = Interrupt::listen()?;
    make_folder(dir, &files, &|| interrupt.check())
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
    let section = workspace.section(&example.section)?;
    let source = read_source(example)?;
    let rust_version = match &section.rust_version {
        Some(version) => format!("rust-version = \"{version}\"\n"),
        None => String::new(),
    };
    let dependencies = block_for(workspace, example, &source)?;
    let edition = section.edition;
    let manifest = format!(
        "[package]
name = \"{name}\"
version = \"0.1.0\"
edition = \"{edition}\"
{rust_version}publish = false

{dependencies}
# A workspace of its own, so that the project also works inside of another one.
[workspace]
"
    );
    Ok(vec![("Cargo.toml", manifest), ("src/main.rs", source)])
}

/// The part of the manifest that names the crates which the example uses.
///
/// # Errors
///
/// As [`project`].
pub fn dependency_block(workspace: &Workspace, example: &Example) -> Result<String> {
    block_for(workspace, example, &read_source(example)?)
}

fn read_source(example: &Example) -> Result<String> {
    fs::read_to_string(&example.source)
        .with_context(|| format!("cannot read {}", example.source.display()))
}

fn block_for(workspace: &Workspace, example: &Example, source: &str) -> Result<String> {
    let section = workspace.section(&example.section)?;
    let path = &example.source;
    let uses = dependencies::find(source)
        .with_context(|| format!("{} is not Rust", path.display()))?;
    let locked = locked_versions(workspace)?;
    let block = |title: &str, crates: &Crates, kinds: &[DependencyKind]| -> Result<_> {
        let mut lines = Vec::new();
        for (name, features) in crates {
            let dependency = section
                .dependencies
                .iter()
                .filter(|dependency| kinds.contains(&dependency.kind))
                .find(|dependency| code_name(dependency) == *name)
                .filter(|dependency| dependency.path.is_none())
                .ok_or_else(|| {
                    anyhow!(
                        "{} uses the crate `{name}`, which is none that {} depends on",
                        workspace.relative(path),
                        workspace.relative(&section.dir.join("Cargo.toml"))
                    )
                })?;
            let features = match features {
                Some(features) => features.iter().cloned().collect(),
                None => dependency.features.clone(),
            };
            lines.push(entry(dependency, &features, &locked)?);
        }
        lines.sort();
        Ok(format!("[{title}]\n{}", lines.concat()))
    };
    let mut text = block("dependencies", &uses.normal, &[DependencyKind::Normal])?;
    if !uses.test.is_empty() {
        text.push('\n');
        text.push_str(&block(
            "dev-dependencies",
            &uses.test,
            &[DependencyKind::Normal, DependencyKind::Development],
        )?);
    }
    Ok(text)
}

/// The name that a dependency has in Rust code.
fn code_name(dependency: &Dependency) -> String {
    dependency
        .rename
        .as_ref()
        .unwrap_or(&dependency.name)
        .replace('-', "_")
}

/// One line of the manifest.
fn entry(
    dependency: &Dependency,
    features: &[String],
    locked: &[(String, Version)],
) -> Result<String> {
    let name = &dependency.name;
    let version = locked
        .iter()
        .filter(|(locked, version)| locked == name && dependency.req.matches(version))
        .map(|(_, version)| version)
        .max();
    let Some(version) = version else {
        bail!(
            "Cargo.lock has no version of {name} that meets {}",
            dependency.req
        );
    };
    // The part behind a `+` tells builds apart, not versions.
    let version = Version {
        build: Default::default(),
        ..version.clone()
    };
    let mut parts = vec![format!("version = \"{version}\"")];
    if !dependency.uses_default_features {
        parts.push("default-features = false".to_owned());
    }
    if !features.is_empty() {
        let mut features: Vec<String> = features
            .iter()
            .map(|feature| format!("{feature:?}"))
            .collect();
        features.sort();
        parts.push(format!("features = [{}]", features.join(", ")));
    }
    if let Some(rename) = &dependency.rename {
        parts.push(format!("package = \"{name}\""));
        return Ok(format!("{rename} = {{ {} }}\n", parts.join(", ")));
    }
    Ok(match parts.as_slice() {
        [_version_alone] => format!("{name} = \"{version}\"\n"),
        parts => format!("{name} = {{ {} }}\n", parts.join(", ")),
    })
}

/// Every package in `Cargo.lock`.
fn locked_versions(workspace: &Workspace) -> Result<Vec<(String, Version)>> {
    let path = workspace.root.join("Cargo.lock");
    let read = || -> Result<Vec<(String, Version)>> {
        let lock: toml::Table = fs::read_to_string(&path)?.parse()?;
        let packages = lock.get("package").and_then(toml::Value::as_array);
        let mut versions = Vec::new();
        for package in packages.into_iter().flatten() {
            let text = |key: &str| {
                package
                    .get(key)
                    .and_then(toml::Value::as_str)
                    .with_context(|| format!("a package without {key}"))
            };
            versions.push((text("name")?.to_owned(), text("version")?.parse()?));
        }
        Ok(versions)
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}
