//! The programs under `fails/`, each of which must not compile, for a reason that its
//! first line gives: `//~ E0277 cannot be unpinned`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use cargo_metadata::diagnostic::{Diagnostic, DiagnosticLevel};
use cargo_metadata::{DependencyKind, Message};

use crate::copy;
use crate::dependencies::{self, Crates};
use crate::files::{read, replace};
use crate::inventory::{entries, stem};
use crate::report::Failure;
use crate::workspace::{Example, Section, Workspace, cargo};

/// A program that must not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fail {
    /// The file.
    pub path: PathBuf,
    /// The error's code or the lint's name; nothing where rustc gives none.
    pub code: Option<String>,
    /// Words of the message that a reader would search for.
    pub words: String,
    /// The example that the program belongs to.
    pub example: String,
}

impl Fail {
    /// The message as the compiler prints it: `error[E0277]: cannot be unpinned`. A lint
    /// has its name in front.
    pub fn message(&self) -> String {
        let words = &self.words;
        match self.code.as_deref() {
            None => format!("error: {words}"),
            Some(code) if code.starts_with('E') => format!("error[{code}]: {words}"),
            Some(lint) => format!("{lint}: {words}"),
        }
    }
}

/// The programs of a section, or what is wrong with one that cannot be read.
pub fn find(section: &Section) -> Result<Vec<(PathBuf, Result<Fail, String>)>> {
    let paths = entries(&section.dir.join("fails"))?.into_iter();
    Ok(paths
        .map(|path| (path.clone(), parse(section, path)))
        .collect())
}

fn parse(section: &Section, path: PathBuf) -> Result<Fail, String> {
    let text = fs::read_to_string(&path).unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let (code, words) = first
        .strip_prefix("//~ ")
        .and_then(|first| first.split_once(' '))
        .filter(|(_, words)| !words.trim().is_empty())
        .ok_or("its first line is not `//~ CODE words of the message`")?;
    let example = text
        .lines()
        .find_map(|line| line.strip_prefix("//! example: "))
        .ok_or("it does not say to which example it belongs: `//! example: NAME`")?
        .trim();
    if !section.examples.iter().any(|own| own.name == example) {
        let section = &section.name;
        return Err(format!("`example: {example}` is none that {section} lists"));
    }
    Ok(Fail {
        code: (code != "error").then(|| code.to_owned()),
        words: words.trim().to_owned(),
        example: example.to_owned(),
        path,
    })
}

/// Compiles the programs that belong to these examples, and says of each whether it fails
/// as it must.
pub fn check(
    workspace: &Workspace,
    examples: &[&Example],
) -> Result<Vec<(String, Result<(), Failure>)>> {
    let mut results = Vec::new();
    for section in &workspace.sections {
        let own = examples.iter().filter(|own| own.section == section.name);
        let belongs = |fail: &Fail| own.clone().any(|own| own.name == fail.example);
        let fails = find(section)?.into_iter().filter_map(|(_, fail)| fail.ok());
        let fails: Vec<Fail> = fails.filter(belongs).collect();
        if fails.is_empty() {
            continue;
        }
        let errors = compile(workspace, section, &fails)?;
        for fail in &fails {
            let path = workspace.relative(&fail.path);
            let errors = errors.get(&stem(&fail.path)).map_or(&[][..], Vec::as_slice);
            let verdict = judge(fail, errors).map_err(|problem| Failure {
                details: errors.iter().filter_map(|e| e.rendered.clone()).collect(),
                ..Failure::new(&path, problem)
            });
            results.push((path, verdict));
        }
    }
    Ok(results)
}

fn judge(fail: &Fail, errors: &[Diagnostic]) -> Result<(), String> {
    let (code, words) = (fail.code.as_deref(), &fail.words);
    let code_of = |error: &Diagnostic| error.code.as_ref().map(|code| code.code.clone());
    let shown = |code: Option<&str>| code.unwrap_or("an error without a code").to_owned();
    if errors.is_empty() {
        return Err(format!("it compiles, but must fail with {}", shown(code)));
    }
    let mut codes = errors.iter().map(code_of);
    if let Some(other) = codes.find(|other| other.as_deref() != code) {
        let other = shown(other.as_deref());
        return Err(format!("it fails with {other}, not with {}", shown(code)));
    }
    let text =
        |error: &Diagnostic| error.rendered.as_ref().unwrap_or(&error.message).clone();
    match errors.iter().any(|error| text(error).contains(words)) {
        true => Ok(()),
        false => Err(format!("the compiler does not say `{words}`")),
    }
}

/// The errors of each program, by its name. They are compiled as the binaries of one
/// package, which has those of the section's dependencies that they use.
///
/// # Errors
///
/// When a program cannot be read, or cargo cannot check the package.
pub fn compile(
    workspace: &Workspace,
    section: &Section,
    fails: &[Fail],
) -> Result<BTreeMap<String, Vec<Diagnostic>>> {
    let dir = workspace.target.join("fails").join(&section.name);
    let mut manifest = format!(
        "[package]\nname = \"{}-fails\"\nversion = \"0.0.0\"\nedition = \"{}\"\n\n\
         [workspace]\n\n[dependencies]\n",
        section.name, section.edition
    );
    let mut used = Crates::new();
    for Fail { path, .. } in fails {
        let uses = dependencies::find(&read(path)?)
            .with_context(|| format!("in {}", path.display()))?;
        for (name, features) in uses.normal {
            let all = used.entry(name).or_default();
            // Without features of its own where the table does not know the crate.
            *all = features.map(|some| &some | &all.take().unwrap_or_default());
        }
    }
    for dependency in &section.dependencies {
        if dependency.kind == DependencyKind::Normal
            && dependency.path.is_none()
            && let Some(features) = used.get(&copy::code_name(dependency))
        {
            let own = || dependency.features.clone();
            let features = features.as_ref().map(|some| some.iter().cloned().collect());
            manifest.push_str(&copy::entry(dependency, &features.unwrap_or_else(own)));
        }
    }
    for Fail { path, .. } in fails {
        let name = stem(path);
        manifest.push_str(&format!("\n[[bin]]\nname = {name:?}\npath = {path:?}\n"));
    }
    let lock = fs::read_to_string(workspace.root.join("Cargo.lock"))?;
    for (name, text) in [("Cargo.toml", &manifest), ("Cargo.lock", &lock)] {
        replace(&dir.join(name), text)?;
    }
    let output = Command::new(cargo())
        .args(["check", "--quiet", "--offline", "--keep-going"])
        .arg("--message-format=json")
        .current_dir(&dir)
        .env("CARGO_TARGET_DIR", workspace.target.join("fails/target"))
        .env("CARGO_INCREMENTAL", "0")
        .output()
        .context("cannot run cargo")?;
    let mut errors: BTreeMap<String, Vec<Diagnostic>> = BTreeMap::new();
    let mut compiled = false;
    for message in Message::parse_stream(&output.stdout[..]) {
        match message? {
            Message::CompilerMessage(message)
                if message.message.level == DiagnosticLevel::Error
                    && !message.message.spans.is_empty() =>
            {
                let of_program = errors.entry(message.target.name).or_default();
                of_program.push(message.message);
            }
            Message::BuildFinished(_) => compiled = true,
            _ => {}
        }
    }
    anyhow::ensure!(
        compiled,
        "cargo cannot check {}:\n{}",
        dir.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(errors)
}
