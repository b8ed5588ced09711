//! Checks that the files of the workspace belong together.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::files::read;
use crate::report::Failure;
use crate::workspace::{Example, Section, Workspace, read_golden};
use crate::{dependencies as uses, fails, nearest, questions};

/// The widest line of an example or a twin, in columns.
const WIDEST: usize = 90;

/// What a paused clock would run ahead of, or does not see: an example that names one of
/// these says `clock: real`.
const REAL: &str = "reqwest std::net std::process::Command std::thread::Builder \
                    std::thread::scope std::thread::sleep std::thread::spawn \
                    std::time::Instant tokio::net tokio::process tokio::signal";

/// Everything that is wrong with the files whose `section/example` contains the filter.
///
/// Looked for: sources that no section lists; goldens, twins, claims and programs under
/// `fails/` without an example; examples without a twin; malformed headers; names of
/// Python that are not in `docs/asyncio-api.tsv`; examples on the virtual clock that do
/// what takes no time there; lines that are too long; rows of `docs/questions.tsv` that
/// are no question with its examples. An example without a golden is reported where it is
/// run.
pub fn check(workspace: &Workspace, filter: &str) -> Result<Vec<Failure>> {
    let mut problems = Problems {
        workspace,
        filter: filter.to_lowercase(),
        failures: Vec::new(),
    };
    let names = python_names(workspace)?;
    for section in &workspace.sections {
        problems.check_sources(section)?;
        problems.check_strays(section, &section.dir.join("python"), "py", "twin")?;
        let claims = section.dir.join("claims");
        problems.check_strays(section, &claims, "rs", "file of claims")?;
        let goldens = workspace.root.join("tests/golden").join(&section.name);
        problems.check_strays(section, &goldens, "txt", "golden")?;
        for (path, fail) in fails::find(section)? {
            let id = format!("{}/{}", section.name, stem(&path));
            problems.check_width(&id, &path)?;
            if let Err(problem) = fail {
                problems.report(&id, &path, problem);
            }
        }
        for example in &section.examples {
            problems.check_example(example, &names)?;
        }
    }
    for path in entries(&workspace.root.join("tests/golden"))? {
        let name = stem(&path);
        if !workspace
            .sections
            .iter()
            .any(|section| section.name == name)
        {
            problems.report(&name, &path, "goldens without a section of this name");
        }
    }
    let path = workspace.root.join(questions::PATH);
    for question in questions::find(workspace)? {
        if let Err(problem) = question {
            problems.report(questions::PATH, &path, problem);
        }
    }
    Ok(problems.failures)
}

/// The names and constructs of Python that headers may answer: the first column of
/// `docs/asyncio-api.tsv`.
fn python_names(workspace: &Workspace) -> Result<BTreeSet<String>> {
    let path = workspace.root.join("docs/asyncio-api.tsv");
    let text = read(&path)?;
    let rows = text.lines().skip(1);
    let names = rows.filter_map(|row| row.split('\t').next());
    Ok(names.map(str::to_owned).collect())
}

struct Problems<'a> {
    workspace: &'a Workspace,
    filter: String,
    failures: Vec<Failure>,
}

impl Problems<'_> {
    /// Reports the file unless the filter leaves it out.
    fn report(&mut self, id: &str, path: &Path, problem: impl Into<String>) {
        if id.contains(&self.filter) {
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
        let (section, examples) = (&section.name, &section.examples);
        for path in entries(dir)? {
            let stem = stem(&path);
            // The twin's golden where the two differ, and what lists the claims.
            let name = stem.strip_suffix(".python").unwrap_or(&stem);
            let is_known = extension == "rs" && name == "main"
                || examples.iter().any(|example| {
                    let differs = example.header.differs.is_some();
                    example.name == name && (name == stem || differs)
                });
            let problem = if path.extension() != Some(OsStr::new(extension)) {
                format!("not a {kind}: its name does not end in .{extension}")
            } else if !is_known {
                format!("a {kind} without an example: {section} lists no `{stem}`")
            } else {
                continue;
            };
            self.report(&format!("{section}/{stem}"), &path, problem);
        }
        Ok(())
    }

    fn check_example(
        &mut self,
        example: &Example,
        names: &BTreeSet<String>,
    ) -> Result<()> {
        let (id, header) = (example.id(), &example.header);
        let unknown = header.asyncio.iter().filter(|name| !names.contains(*name));
        let mut problems: Vec<String> =
            unknown.map(|name| unknown_name(name, names)).collect();
        problems.extend(clock_problems(example)?);
        if header.differs.is_some()
            && let Ok(rust) = read_golden(&example.golden)
            && read_golden(&example.twin_golden).is_ok_and(|python| rust == python)
        {
            let problem = "the header says `differs:`, but both transcripts are the same";
            problems.push(problem.to_owned());
        }
        problems.extend_from_slice(&example.header_problems);
        for problem in problems {
            self.report(&id, &example.source, problem);
        }
        self.check_width(&id, &example.source)?;
        if example.listed_send != header.not_send.is_none() {
            let problem = match example.listed_send {
                true => {
                    "its header says `send: no`, but the section does not list it as \
                     `(not Send)`"
                }
                false => {
                    "the section lists it as `(not Send)`; its header has to say \
                     `send: no (why)`"
                }
            };
            self.report(&id, &example.source, problem);
        }
        let problem = match (example.has_twin(), example.twin.exists()) {
            (true, true) => return self.check_width(&id, &example.twin),
            (false, false) => return Ok(()),
            (true, false) => {
                "the twin is missing; an example that has none says `twin: none (why)`"
            }
            (false, true) => {
                "there is a twin, but the example's header says `twin: none`"
            }
        };
        self.report(&id, &example.twin, problem);
        Ok(())
    }

    fn check_width(&mut self, id: &str, path: &Path) -> Result<()> {
        for (number, line) in (1..).zip(read(path)?.lines()) {
            let width = line.chars().count();
            if width > WIDEST {
                let problem =
                    format!("line {number} has {width} columns, {WIDEST} are the most");
                self.report(id, path, problem);
            }
        }
        Ok(())
    }
}

/// Says that Python has no such name, and which may be meant.
fn unknown_name(name: &str, names: &BTreeSet<String>) -> String {
    let all = || names.iter().map(String::as_str);
    let suffix = format!(".{name}");
    let near = all().filter(|known| known.ends_with(&suffix));
    let near = near.min_by_key(|known| known.len());
    let near = near.or_else(|| nearest(name, all()));
    let near = near.map_or(String::new(), |near| format!("; is it `{near}`?"));
    format!("`{name}` is not in docs/asyncio-api.tsv{near}")
}

/// What takes no time on the virtual clock, or what it would run ahead of.
fn clock_problems(example: &Example) -> Result<Vec<String>> {
    if example.header.real_clock {
        return Ok(Vec::new());
    }
    // What is no Rust does not compile either; that is told where it is built.
    let paths = uses::full_paths(&read(&example.source)?).unwrap_or_default();
    let is_used = |name: &&str| {
        let mut rests = paths.iter().filter_map(|path| path.strip_prefix(*name));
        rests.any(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let used = REAL.split(' ').filter(is_used);
    let problems = used
        .map(|name| format!("it uses `{name}`, so its header has to say `clock: real`"));
    Ok(problems.collect())
}

/// What is in the folder, in the order of names; nothing if there is no folder.
pub fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
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

/// The file's name without its ending.
pub fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
