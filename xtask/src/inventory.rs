//! Checks that the files of the workspace belong together.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::python::{self, dependencies, package_name};
use crate::report::Failure;
use crate::workspace::{Example, Section, Workspace};

/// The widest line of an example or a twin, in columns.
const WIDEST: usize = 90;

/// Everything that is wrong with the files whose `section/example` contains the filter.
///
/// Looked for: sources that no section lists, goldens and twins without an example,
/// examples without a twin, malformed headers, lines that are too long, and twins whose
/// packages are not pinned. An example without a golden is reported where it is run.
///
/// # Errors
///
/// When a folder cannot be read.
pub fn check(workspace: &Workspace, filter: &str) -> Result<Vec<Failure>> {
    let mut problems = Problems {
        workspace,
        filter,
        failures: Vec::new(),
    };
    let pinned = pinned_packages(workspace)?;
    for section in &workspace.sections {
        problems.check_sources(section)?;
        problems.check_strays(section, &section.dir.join("python"), "py", "twin")?;
        let goldens = workspace.root.join("tests/golden").join(&section.name);
        problems.check_strays(section, &goldens, "txt", "golden")?;
        for example in &section.examples {
            problems.check_example(example, &pinned)?;
        }
    }
    problems.check_golden_folders()?;
    Ok(problems.failures)
}

struct Problems<'a> {
    workspace: &'a Workspace,
    filter: &'a str,
    failures: Vec<Failure>,
}

impl Problems<'_> {
    /// Reports the file unless the filter leaves it out.
    fn report(&mut self, id: &str, path: &Path, problem: impl Into<String>) {
        if id.contains(self.filter) {
            self.failures
                .push(Failure::new(self.workspace.relative(path), problem));
        }
    }

    fn check_sources(&mut self, section: &Section) -> Result<()> {
        let name = &section.name;
        for path in entries(&section.dir.join("src"))? {
            let stem = stem(&path);
            let id = format!("{name}/{stem}");
            let listed = section.examples.iter().any(|example| example.name == stem);
            if stem == "main" || listed && path.extension() == Some(OsStr::new("rs")) {
                continue;
            }
            let problem = if path.is_dir() {
                "an example is one file; a folder cannot be copied out as one".to_owned()
            } else {
                format!(
                    "no section lists this file; add `{stem}` to `examples!` in \
                     {name}'s main.rs, or remove it"
                )
            };
            self.report(&id, &path, problem);
        }
        Ok(())
    }

    /// Reports what has no example in a folder that holds a file for each.
    fn check_strays(
        &mut self,
        section: &Section,
        dir: &Path,
        extension: &str,
        kind: &str,
    ) -> Result<()> {
        for path in entries(dir)? {
            let stem = stem(&path);
            let id = format!("{}/{stem}", section.name);
            let example = section.examples.iter().find(|example| example.name == stem);
            if path.extension() != Some(OsStr::new(extension)) {
                let problem =
                    format!("not a {kind}: its name does not end in .{extension}");
                self.report(&id, &path, problem);
            } else if example.is_none() {
                let problem = format!(
                    "a {kind} without an example: {} lists no `{stem}`",
                    section.name
                );
                self.report(&id, &path, problem);
            }
        }
        Ok(())
    }

    fn check_example(
        &mut self,
        example: &Example,
        pinned: &BTreeSet<String>,
    ) -> Result<()> {
        let id = example.id();
        for problem in &example.header_problems {
            self.report(&id, &example.source, problem);
        }
        self.check_width(&id, &example.source)?;
        if example.listed_send != example.header.not_send.is_none() {
            let problem = if example.listed_send {
                "its header says `send: no`, but the section does not list it as \
                 `(not Send)`"
            } else {
                "the section lists it as `(not Send)`; its header has to say \
                 `send: no (why)`"
            };
            self.report(&id, &example.source, problem);
        }
        match (&example.header.no_twin, example.twin.exists()) {
            (None, false) => self.report(
                &id,
                &example.twin,
                "the twin is missing; an example that has none says `twin: none (why)`",
            ),
            (Some(_), true) => self.report(
                &id,
                &example.twin,
                "there is a twin, but the example's header says `twin: none`",
            ),
            (Some(_), false) => {}
            (None, true) => {
                self.check_width(&id, &example.twin)?;
                match dependencies(&fs::read_to_string(&example.twin)?) {
                    Err(problem) => {
                        self.report(&id, &example.twin, problem.to_string());
                    }
                    Ok(needed) => {
                        for package in needed.iter().map(|name| package_name(name)) {
                            if !pinned.contains(&package) {
                                let problem = format!(
                                    "it needs {package}, which \
                                     tests/python/requirements.txt does not pin"
                                );
                                self.report(&id, &example.twin, problem);
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn check_width(&mut self, id: &str, path: &Path) -> Result<()> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        for (index, line) in text.lines().enumerate() {
            let width = line.chars().count();
            if width > WIDEST {
                let number = index + 1;
                self.report(
                    id,
                    path,
                    format!("line {number} has {width} columns, {WIDEST} are the most"),
                );
            }
        }
        Ok(())
    }

    fn check_golden_folders(&mut self) -> Result<()> {
        let workspace = self.workspace;
        for path in entries(&workspace.root.join("tests/golden"))? {
            let name = stem(&path);
            if !workspace
                .sections
                .iter()
                .any(|section| section.name == name)
            {
                self.report(&name, &path, "goldens without a section of this name");
            }
        }
        Ok(())
    }
}

/// What is in the folder, in the order of names; nothing if there is no folder.
fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let read = |dir: &Path| -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut paths =
        read(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    paths.sort();
    paths.retain(|path| path.file_name() != Some(OsStr::new("__pycache__")));
    Ok(paths)
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn pinned_packages(workspace: &Workspace) -> Result<BTreeSet<String>> {
    let path = python::requirements_path(workspace);
    if !path.exists() {
        return Ok(BTreeSet::new());
    }
    let text = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(package_name)
        .filter(|name| !name.is_empty())
        .collect())
}
