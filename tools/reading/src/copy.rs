//! `cargo xtask copy`: a new Cargo project from one example.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use catalog::dependencies;
use catalog::files::{make_folder, read};
use catalog::workspace::{Example, Section, Workspace};

/// A file of a project: its path and its text.
pub type File = (String, String);

/// Makes a Cargo project in `dir` that has the example as its `src/main.rs`, unchanged but for
/// what only checks read, and depends on the crates that the file uses. A module of Python
/// becomes a project of maturin. Returns what to tell the user.
///
/// # Errors
///
/// When `dir` exists and is not empty, or when a file cannot be written; nothing is left behind
/// then.
pub fn copy(workspace: &Workspace, example: &Example, dir: &Path) -> Result<String> {
    let mut modules = workspace.modules.iter();
    let section = modules.find(|section| section.name == example.section);
    let files = match section {
        Some(section) => module(workspace, section, example)?,
        None => project(workspace, example)?,
    };
    let run = if section.is_some() { VENV } else { "cargo run" };
    make_folder(dir, &files)?;
    let made = files
        .iter()
        .map(|(path, _)| format!("made {}\n", dir.join(path).display()));
    let made: String = made.collect();
    let needs = example.platform.as_ref().map_or(String::new(), |it| {
        let (name, needs) = (&example.name, &it.needs);
        format!("{name} needs {needs}, and was tried on {it}\n")
    });
    Ok(format!(
        "{made}{needs}Now:\n    cd {}\n    {run}\n",
        quoted(&dir.display().to_string())
    ))
}

/// What builds a module of Python and runs its program.
const VENV: &str = "python3 -m venv .venv && . .venv/bin/activate
    pip install maturin
    maturin develop && python main.py";

/// The files of a project of maturin: the module, the runtime that it uses, the program, and
/// the test of both.
fn module(
    workspace: &Workspace,
    section: &Section,
    example: &Example,
) -> Result<Vec<File>> {
    let (name, source) = (&example.name, example.pasted()?);
    let (mut files, mut root) = (Vec::new(), String::new());
    let mut parts: Vec<_> = section.beside(&source).chain([example]).collect();
    parts.sort_unstable_by_key(|part| &part.name);
    for part in parts {
        root += &format!("mod {};\n", part.name);
        files.push((format!("src/{}.rs", part.name), part.pasted()?));
    }
    let sources: Vec<&str> = files.iter().map(|(_, text)| text.as_str()).collect();
    let library = format!(
        "[lib]\nname = \"{name}_rs\"\ncrate-type = [\"cdylib\"]\n\n[dependencies]"
    );
    let manifest = manifest(workspace, example, &sources)?;
    let manifest = manifest.replace("[dependencies]", &library);
    let template = |file| read(&section.dir.join("copy").join(file));
    let own = |text: String| text.replace("NAME", name);
    files.extend([
        ("src/lib.rs".to_owned(), root),
        ("Cargo.toml".to_owned(), manifest),
        (
            "pyproject.toml".to_owned(),
            own(template("pyproject.toml")?),
        ),
        ("main.py".to_owned(), read(&example.twin)?),
        ("test_main.py".to_owned(), own(template("test_main.py")?)),
    ]);
    Ok(files)
}

/// Returns the path as a shell reads it as one word, and no command as an option.
fn quoted(path: &str) -> String {
    if path.starts_with('-') {
        return quoted(&format!("./{path}"));
    }
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
