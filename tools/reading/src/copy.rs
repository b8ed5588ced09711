//! `cargo xtask copy`: a new Cargo project from one example.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use catalog::files::{make_folder, read};
use catalog::workspace::{Example, Workspace};
use catalog::{dependencies, refuse};

/// A file of a project: its path and its text.
pub type File = (String, String);

/// Makes a Cargo project in `dir` that has the example as its `src/main.rs`, unchanged but for
/// what only checks read, and depends on the crates that the file uses. With a second example,
/// the files are modules. Returns what to tell the user.
///
/// # Errors
///
/// [`WrongCall`](catalog::WrongCall) when the example has no demonstration that uses the
/// second one. Any other error when `dir` exists and is not empty, or when a file cannot be
/// written; nothing is left behind then.
pub fn copy(
    workspace: &Workspace,
    example: &Example,
    with: Option<&Example>,
    dir: &Path,
) -> Result<String> {
    let files = match with {
        None => project(workspace, example)?,
        Some(with) => joined(workspace, example, with)?,
    };
    make_folder(dir, &files)?;
    let made = files
        .iter()
        .map(|(path, _)| format!("made {}\n", dir.join(path).display()));
    let made: String = made.collect();
    Ok(format!(
        "{made}Now:\n    cd {}\n    cargo run\n",
        quoted(&dir.display().to_string())
    ))
}

/// Returns the path as a shell reads it as one word.
fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/\\._-+:~".contains(c);
    match path.chars().all(is_plain) {
        true => path.to_owned(),
        false if cfg!(windows) => format!("\"{path}\""),
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

/// Returns the files of a project whose `main.rs` is the example, its manifest first.
///
/// # Errors
///
/// When the example cannot be read.
pub fn project(workspace: &Workspace, example: &Example) -> Result<Vec<File>> {
    let source = example.pasted()?;
    let manifest = manifest(workspace, example, &[&source])?;
    Ok(vec![
        ("Cargo.toml".to_owned(), manifest),
        ("src/main.rs".to_owned(), source),
    ])
}

/// The files of a project in which both examples are modules, as in their section, and the
/// first one's demonstration joins them.
fn joined(workspace: &Workspace, example: &Example, with: &Example) -> Result<Vec<File>> {
    let (name, other) = (&example.name, &with.name);
    let demo = match &example.demo {
        Some(demo) if with.section == example.section => read(demo)?,
        _ => String::new(),
    };
    if !demo.contains(&format!("crate::{other}::")) {
        refuse!("`{name}` has no demonstration that uses `{other}`");
    }
    let (source, of_other) = (example.pasted()?, with.pasted()?);
    // The modules are public, so that nothing in them is an unused item but their `main`.
    // Whatever the demonstration returns is what `main` returns.
    let main = format!(
        "#[allow(dead_code)]
pub mod {name};
#[allow(dead_code)]
pub mod {other};

mod demos {{
    pub mod {name};
}}

#[tokio::main]
async fn main() -> impl std::process::Termination {{
    demos::{name}::run().await
}}
"
    );
    let manifest = manifest(workspace, example, &[&source, &of_other, &demo, &main])?;
    Ok(vec![
        ("Cargo.toml".to_owned(), manifest),
        ("src/main.rs".to_owned(), main),
        (format!("src/{name}.rs"), source),
        (format!("src/{other}.rs"), of_other),
        (format!("src/demos/{name}.rs"), demo),
    ])
}

/// The manifest of a project with these sources.
fn manifest(
    workspace: &Workspace,
    example: &Example,
    sources: &[&str],
) -> Result<String> {
    Ok(format!(
        "[package]
name = \"{}\"
version = \"0.1.0\"
publish = false
{}
# A workspace of its own, so that the project also works inside of another one.
[workspace]
",
        example.name,
        block(workspace, example, sources)?.replace("[package]\n", "")
    ))
}

/// Returns the part of a manifest that the example needs: the edition, and the crates that
/// it uses.
///
/// # Errors
///
/// When the example cannot be read.
pub fn dependency_block(workspace: &Workspace, example: &Example) -> Result<String> {
    block(workspace, example, &[&example.pasted()?])
}

fn block(workspace: &Workspace, example: &Example, sources: &[&str]) -> Result<String> {
    let section = workspace.section(&example.section)?;
    let mut lines = BTreeMap::new();
    for source in sources {
        let found = dependencies::find(section, source);
        lines.extend(found.with_context(|| {
            format!("{} is not Rust", workspace.relative(&example.source))
        })?);
    }
    let lines = String::from_iter(lines.into_values());
    Ok(format!(
        "[package]\nedition = \"{}\"\n\n[dependencies]\n{lines}",
        section.edition
    ))
}
