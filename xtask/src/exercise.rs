//! `cargo xtask exercise`: examples with a gap, checked each time the reader saves them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use catalog::exercises::{self, check, with_gaps};
use catalog::files::{make_files, replace};
use catalog::report::Report;
use catalog::tables::Exercise;
use catalog::workspace::{Example, Workspace};
use catalog::{nearest, refuse};
use clap::Args;

use xtask::copy::dependency_lines;

/// How often the time of the last save is looked up.
const LOOK: Duration = Duration::from_millis(200);

/// What is done with an exercise.
#[derive(Debug, Args)]
pub struct Options {
    /// The exercise, by its name or number; without it, all of them.
    name: Option<String>,
    /// Print a hint, and do nothing else.
    #[arg(long, requires = "name", conflicts_with_all = ["once", "reset"])]
    hint: bool,
    /// Check once: exit code 0 if it passes, 1 if not.
    #[arg(long, requires = "name")]
    once: bool,
    /// Begin anew; the file is kept as NAME.rs.bak.
    #[arg(long, requires = "name")]
    reset: bool,
}

/// Lists the exercises, or makes the file of one and checks it until it passes.
///
/// # Errors
///
/// A [`WrongCall`](catalog::WrongCall) if there is no such exercise. Any other error when a
/// file cannot be read or written, or the section does not build.
pub fn exercise(workspace: &mut Workspace, options: &Options) -> Result<ExitCode> {
    let (all, out) = (exercises::all(workspace)?, Report::default());
    let dir = workspace.root.join("exercises");
    let Some(name) = &options.name else {
        out.show(&list(workspace, &all, &dir)?)?;
        return Ok(ExitCode::SUCCESS);
    };
    let at = place(&all, name)?;
    let (name, example) = (all[at].name(), workspace.example(&all[at].example)?.clone());
    if options.hint {
        out.show(&format!("{}\n", all[at].hint))?;
        return Ok(ExitCode::SUCCESS);
    }
    let file = dir.join(format!("{name}.rs"));
    let shown = workspace.relative(&file);
    if options.reset && file.exists() {
        fs::rename(&file, file.with_extension("rs.bak"))?;
        out.show(&format!(
            "Begun anew; your file is kept as {shown}.bak.\n\n"
        ))?;
    }
    if !file.exists() {
        make_files(&[(file.clone(), with_gaps(&example.pasted()?, &all[at])?)])?;
        make_project(workspace, &all, &dir)?;
    }
    out.show(&beginning(workspace, &all, at, &example))?;
    workspace.build(&example.id())?;
    loop {
        let saved = modified(&file);
        let result = check(workspace, &example, &file);
        note(&dir, name, result.is_ok())?;
        match result {
            Ok(()) => {
                let next = next(&all, &dir, at);
                out.show(&format!(
                    "PASSED {shown}\nCompare it with ours: `cargo xtask show {name}`.\n{next}"
                ))?;
                return Ok(ExitCode::SUCCESS);
            }
            Err(failure) => out.show(&failure.to_string())?,
        }
        if options.once {
            return Ok(ExitCode::FAILURE);
        }
        out.show("Waiting for the next save; Ctrl-C ends this.\n\n")?;
        // While an editor replaces the file, there may be none.
        while [None, saved].contains(&modified(&file)) {
            sleep(LOOK);
        }
    }
}

fn modified(file: &Path) -> Option<SystemTime> {
    file.metadata().ok()?.modified().ok()
}

/// Returns the place of the exercise with this name or number.
fn place(all: &[Exercise], name: &str) -> Result<usize> {
    let is_meant = |(at, exercise): (usize, &Exercise)| {
        let names = [&*exercise.example, exercise.name(), &(at + 1).to_string()];
        names.contains(&&*name.to_lowercase())
    };
    let Some(at) = all.iter().enumerate().position(is_meant) else {
        match nearest(name, all.iter().map(Exercise::name)) {
            Some(near) => refuse!("no exercise `{name}`; did you mean `{near}`?"),
            None => refuse!(
                "no exercise `{name}`; `cargo xtask exercise` shows which there are"
            ),
        }
    };
    Ok(at)
}

/// Every exercise, one a line, by section.
fn list(workspace: &Workspace, all: &[Exercise], dir: &Path) -> Result<String> {
    let (done, mut text) = (passed(dir), String::new());
    let mut section = "";
    let width = all.iter().map(|it| it.name().len()).max();
    let width = width.unwrap_or_default();
    for (at, exercise) in all.iter().enumerate() {
        let example = workspace.example(&exercise.example)?;
        if example.section != section {
            section = &example.section;
            text += &format!("{}{section}\n", if at == 0 { "" } else { "\n" });
        }
        let name = exercise.name();
        let mark = if done.contains(name) { "done" } else { "" };
        let sentence = exercise.task.split_inclusive(". ").next();
        let sentence = sentence.unwrap_or_default().trim_end();
        text += &format!("{:>4} {mark:4} {name:width$}  {sentence}\n", at + 1);
    }
    Ok(text + "\n" + &next(all, dir, 0))
}

/// What a reader has to know first.
fn beginning(
    workspace: &Workspace,
    all: &[Exercise],
    at: usize,
    example: &Example,
) -> String {
    let name = &example.name;
    let relative = |path: &PathBuf| workspace.relative(path);
    let run = example.demo.as_ref().map(relative);
    let run = run.map_or(String::new(), |demo| format!("    run by:    {demo}\n"));
    format!(
        "Exercise {} of {}: {name}

{}

    file:      exercises/{name}.rs (the folder is a Cargo project)
{run}    expected:  {}
    hint:      cargo xtask exercise {name} --hint

",
        at + 1,
        all.len(),
        all[at].task,
        relative(&example.golden),
    )
}

/// Returns which exercise comes next: the first after this one that is not done, or before.
fn next(all: &[Exercise], dir: &Path, at: usize) -> String {
    let done = passed(dir);
    let mut after = all[at..].iter().chain(&all[..at]).map(Exercise::name);
    match after.find(|name| !done.contains(*name)) {
        Some(next) => format!("Next: `cargo xtask exercise {next}`.\n"),
        None => "All exercises are done.\n".to_owned(),
    }
}

/// The exercises that passed when they were last checked.
fn passed(dir: &Path) -> BTreeSet<String> {
    let names = fs::read_to_string(dir.join("passed.txt")).unwrap_or_default();
    let is_there = |name: &&str| dir.join(format!("{name}.rs")).exists();
    names.lines().filter(is_there).map(str::to_owned).collect()
}

fn note(dir: &Path, name: &str, is_done: bool) -> Result<()> {
    let mut names = passed(dir);
    match is_done {
        true => names.insert(name.to_owned()),
        false => names.remove(name),
    };
    let names: String = names.iter().map(|name| format!("{name}\n")).collect();
    replace(&dir.join("passed.txt"), &names)
}

/// Makes a Cargo project of the files that were begun, for the reader's editor. The checks
/// do not use it.
fn make_project(workspace: &Workspace, all: &[Exercise], dir: &Path) -> Result<()> {
    let (mut bins, mut sources) = (String::new(), Vec::new());
    for exercise in all {
        let name = exercise.name();
        if dir.join(format!("{name}.rs")).exists() {
            bins += &format!("\n[[bin]]\nname = \"{name}\"\npath = \"{name}.rs\"\n");
            let example = workspace.example(&exercise.example)?;
            sources.push((example, example.pasted()?));
        }
    }
    let edition = workspace.sections[0].edition;
    let lines = sources
        .iter()
        .map(|(example, text)| (*example, text.as_str()));
    let lines =
        String::from_iter(dependency_lines(workspace, lines, false)?.into_values());
    let manifest = format!(
        "# Made by `cargo xtask exercise`, so that an editor understands the files here.
[package]
name = \"exercises\"
version = \"0.1.0\"
edition = \"{edition}\"
publish = false

[dependencies]
{lines}
[workspace]
{bins}"
    );
    replace(&dir.join("Cargo.toml"), &manifest)?;
    fs::copy(workspace.root.join("Cargo.lock"), dir.join("Cargo.lock"))
        .context("cannot copy Cargo.lock")?;
    Ok(())
}
