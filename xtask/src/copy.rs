//! `cargo xtask copy`: a new Cargo project from one example.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use catalog::files::{make_folder, read};
use catalog::process::printed;
use catalog::report::{Failure, Report};
use catalog::workspace::{Example, Workspace, cargo};
use catalog::{dependencies, refuse};

/// A file of a project: its path and its text.
type File = (String, String);

/// Makes a Cargo project in `dir` that has the example as its `src/main.rs`, unchanged but for
/// what only checks read, and depends on the crates that the file uses. With tests or a second example, the files are
/// modules. Returns what to tell the user.
///
/// # Errors
///
/// [`WrongCall`](catalog::WrongCall) when the example has no tests, or no demonstration
/// that uses the second one. Any other error when `dir` exists and is not empty, or when a
/// file cannot be written; nothing is left behind then.
pub fn copy(
    workspace: &Workspace,
    example: &Example,
    with: Option<&Example>,
    with_tests: bool,
    dir: &Path,
) -> Result<String> {
    let files = match (with, with_tests) {
        (None, false) => project(workspace, example)?,
        _ => modules(workspace, example, with, with_tests)?,
    };
    make_folder(dir, &files)?;
    let made = files
        .iter()
        .map(|(path, _)| format!("made {}\n", dir.join(path).display()));
    let made: String = made.collect();
    let next = if with_tests {
        "cargo test"
    } else {
        "cargo run"
    };
    Ok(format!(
        "{made}Now:\n    cd {}\n    {next}\n",
        dir.display()
    ))
}

/// The files of a project whose `main.rs` is the example.
fn project(workspace: &Workspace, example: &Example) -> Result<Vec<File>> {
    let source = example.pasted()?;
    let manifest = manifest(workspace, example, &[&source], &[])?;
    Ok(files([("Cargo.toml", manifest), ("src/main.rs", source)]))
}

fn files<const N: usize>(files: [(&str, String); N]) -> Vec<File> {
    files.map(|(path, text)| (path.to_owned(), text)).into()
}

/// The files of a project in which the example is a module, as in its section.
fn modules(
    workspace: &Workspace,
    example: &Example,
    with: Option<&Example>,
    with_tests: bool,
) -> Result<Vec<File>> {
    let name = &example.name;
    // Public, so that nothing in it is an unused item but its `main`.
    let module = |name: &str| format!("#[allow(dead_code)]\npub mod {name};\n");
    let mut main = module(name);
    let mut files = vec![(format!("src/{name}.rs"), example.pasted()?)];
    let mut runs = String::new();
    if let Some(with) = with {
        let uses = format!("crate::{}::", with.name);
        let demo = match &example.demo {
            Some(demo) if with.section == example.section => read(demo)?,
            _ => String::new(),
        };
        if !demo.contains(&uses) {
            refuse!("`{name}` has no demonstration that uses `{}`", with.name);
        }
        main += &module(&with.name);
        main += &format!("\nmod demos {{\n    pub mod {name};\n}}\n");
        files.push((format!("src/{}.rs", with.name), with.pasted()?));
        files.push((format!("src/demos/{name}.rs"), demo));
        runs = format!("demos::{name}::run().await");
    }
    // Whatever `run` returns is what `main` returns. Without a demonstration the program is
    // the example itself, and what is tested a library.
    let (root, program) = match runs.is_empty() {
        true => (
            "lib",
            format!("\n[[bin]]\nname = \"{name}\"\npath = \"src/{name}.rs\"\n"),
        ),
        false => ("main", String::new()),
    };
    if root == "main" {
        main += "\n#[tokio::main]\nasync fn main() -> impl std::process::Termination {\n";
        main += &format!("    {runs}\n}}\n");
    }
    if with_tests {
        let Some(tests) = &example.tests else {
            refuse!("`{name}` has no tests");
        };
        if example.section == "services" {
            refuse!(
                "the tests of `{name}` need the servers that only this workspace starts"
            );
        }
        let tests = read(tests)?;
        let mut list = format!("    mod {name};\n");
        let dir = example.source.with_file_name("tests");
        let mut uses = tests.clone();
        for module in ["limiters", "support"] {
            if !uses.contains(&format!("super::{module}")) {
                continue;
            }
            list += &format!("    mod {module};\n");
            // Sections may have it in common.
            let mods = read(&dir.join("mod.rs"))?;
            let (before, _) = mods
                .split_once(&format!("\nmod {module};"))
                .unwrap_or_default();
            let path = before
                .lines()
                .last()
                .and_then(|it| it.strip_prefix("#[path = \"")?.strip_suffix("\"]"));
            let file = format!("{module}.rs");
            let shared = read(&dir.join(path.unwrap_or(&file)))?;
            uses += &shared;
            files.push((format!("src/tests/{file}"), shared));
        }
        main += &format!("\n#[cfg(test)]\nmod tests {{\n{list}}}\n");
        files.push((format!("src/tests/{name}.rs"), tests));
    }
    let texts = |of_tests| {
        let texts = files
            .iter()
            .filter(move |(path, _)| path.starts_with("src/tests/") == of_tests);
        texts.map(|(_, text)| text.as_str()).collect::<Vec<_>>()
    };
    let manifest = manifest(workspace, example, &texts(false), &texts(true))? + &program;
    files.insert(0, (format!("src/{root}.rs"), main));
    files.insert(0, ("Cargo.toml".to_owned(), manifest));
    Ok(files)
}

/// The manifest of a project with these sources and tests.
fn manifest(
    workspace: &Workspace,
    example: &Example,
    sources: &[&str],
    tests: &[&str],
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
        block(workspace, example, sources, tests)?.replace("[package]\n", "")
    ))
}

/// Returns the part of a manifest that the example needs: the edition, and the crates that
/// it uses.
///
/// # Errors
///
/// When the example cannot be read.
pub fn dependency_block(workspace: &Workspace, example: &Example) -> Result<String> {
    block(workspace, example, &[&example.pasted()?], &[])
}

/// Returns the lines of a manifest for the crates that sources of these examples use. Of
/// two lines for one crate, it is that with more features.
///
/// # Errors
///
/// When a source is not Rust.
pub fn dependency_lines<'a>(
    workspace: &Workspace,
    sources: impl Iterator<Item = (&'a Example, &'a str)>,
    is_test: bool,
) -> Result<BTreeMap<String, String>> {
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    for (example, source) in sources {
        let section = workspace.section(&example.section)?;
        let found = dependencies::find(section, source, is_test).with_context(|| {
            format!("{} is not Rust", workspace.relative(&example.source))
        })?;
        for (name, line) in found {
            let known = lines.entry(name).or_default();
            if line.len() > known.len() {
                *known = line;
            }
        }
    }
    Ok(lines)
}

fn block(
    workspace: &Workspace,
    example: &Example,
    sources: &[&str],
    tests: &[&str],
) -> Result<String> {
    let section = workspace.section(&example.section)?;
    let find = |sources: &[&str], is_test| {
        let sources = sources.iter().map(|source| (example, *source));
        dependency_lines(workspace, sources, is_test)
    };
    let needed = find(sources, false)?;
    let mut only_tests = find(tests, true)?;
    only_tests.retain(|name, line| needed.get(name) != Some(line));
    let mut text = format!(
        "[package]\nedition = \"{}\"\n\n[dependencies]\n{}",
        section.edition,
        String::from_iter(needed.into_values())
    );
    if !only_tests.is_empty() {
        let lines = String::from_iter(only_tests.into_values());
        text += &format!("\n[dev-dependencies]\n{lines}");
    }
    Ok(text)
}

/// Lets cargo check the project of each example, as a user makes it. Those that depend on
/// the same crates are checked as programs of one project; if one of them fails, each is
/// checked alone.
///
/// # Errors
///
/// When `report` cannot be written.
pub fn check_projects(
    workspace: &Workspace,
    examples: &[&Example],
    report: &mut Report,
) -> Result<()> {
    let mut groups: BTreeMap<String, Vec<&Example>> = BTreeMap::new();
    for &example in examples {
        // What cannot be read is told when it is checked alone.
        let block = dependency_block(workspace, example).unwrap_or_default();
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
