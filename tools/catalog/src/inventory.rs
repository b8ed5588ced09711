//! Checks that the files of the workspace belong together.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;

use crate::files::{entries, read, stem};
use crate::report::Failure;
use crate::tables::{self, ApiName};
use crate::transcript::SLACK;
use crate::workspace::{Example, Section, Workspace, read_golden};
use crate::{compile_fail, dependencies, nearest};

/// The widest line of an example or a twin, in columns.
const WIDEST: usize = 90;

/// What a paused clock would run ahead of, or does not see: an example that names one of
/// these says `clock: real`.
const REAL: &str = "reqwest std::net std::process::Command std::thread::Builder \
                    std::thread::scope std::thread::sleep std::thread::spawn \
                    std::time::Instant tokio::net tokio::process tokio::signal";

/// What other systems lack or do otherwise: an example that has one of these in its code
/// says under `Platforms:` what differs.
const OF_A_SYSTEM: &str = "cfg( cfg!( net::unix net::Unix rustix:: signal::unix \
                           signal::windows std::os::";

/// The folders of a section that hold a file for each example, the ending of its name, and
/// what it is.
const FOLDERS: [(&str, &str, &str); 5] = [
    ("src", "rs", "source"),
    ("src/demos", "rs", "demonstration"),
    ("src/tests", "rs", "test"),
    ("python", "py", "twin"),
    ("golden", "txt", "golden"),
];

/// Everything that is wrong with the files whose `section/example` contains the filter.
///
/// Looked for: sources that no section lists; goldens, twins, demonstrations, tests and
/// programs under `compile-fail/` without an example; examples without a twin; malformed
/// headers; names of
/// Python that are not in `docs/asyncio-api.tsv`; examples on the virtual clock that do
/// what takes no time there; examples with parts for one system that do not say what differs
/// on others; lines that are too long; rows of tables that lead to no example, and questions
/// that stand twice; traps without a number in `docs/traps.tsv`, and numbers without a trap;
/// crates that `docs/crates.tsv` does not explain. An example without a golden is reported
/// where it is run.
pub fn check(workspace: &Workspace, filter: &str) -> Result<Vec<Failure>> {
    let mut problems = Problems {
        workspace,
        filter: filter.to_lowercase(),
        failures: Vec::new(),
    };
    let names = python_names(workspace)?;
    for section in workspace.sections.iter().chain(&workspace.probes) {
        for (folder, ending, kind) in FOLDERS {
            problems.check_folder(section, folder, ending, kind)?;
        }
        for (path, fail) in compile_fail::find(section)? {
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
    problems.check_links()?;
    Ok(problems.failures)
}

/// The names and constructs of Python that headers may answer: the first column of
/// `docs/asyncio-api.tsv`.
fn python_names(workspace: &Workspace) -> Result<BTreeSet<String>> {
    let rows: Vec<(_, ApiName)> = tables::rows(&workspace.root)?;
    Ok(rows.into_iter().map(|(_, row)| row.name).collect())
}

/// What is wrong so far.
pub(crate) struct Problems<'a> {
    pub(crate) workspace: &'a Workspace,
    filter: String,
    failures: Vec<Failure>,
}

impl Problems<'_> {
    /// Reports the file unless the filter leaves it out.
    pub(crate) fn report(&mut self, id: &str, path: &Path, problem: impl Into<String>) {
        if id.contains(&self.filter) {
            self.failures
                .push(Failure::new(self.workspace.relative(path), problem));
        }
    }

    /// Reports what has no example in a folder that holds a file for each, and what the
    /// folder's `mod.rs` does not list: it is not compiled.
    fn check_folder(
        &mut self,
        section: &Section,
        folder: &str,
        ending: &str,
        kind: &str,
    ) -> Result<()> {
        let dir = section.dir.join(folder);
        let paths = entries(&dir)?;
        let needs_a_list = ["demonstration", "test"].contains(&kind) && !paths.is_empty();
        let list = needs_a_list
            .then(|| read(&dir.join("mod.rs")))
            .transpose()?;
        let others = [
            "src/main.rs",
            "src/demos",
            "src/tests",
            "demos/mod.rs",
            "tests/mod.rs",
        ];
        for path in paths {
            if others.iter().any(|other| path.ends_with(other)) {
                continue;
            }
            let stem = stem(&path);
            // The twin's golden where the two differ.
            let name = stem.strip_suffix(".python").unwrap_or(&stem);
            let is_known = section.examples.iter().any(|example| {
                let differs = example.header.differs.is_some();
                example.name == name && (name == stem || differs)
            });
            let is_file = path.extension() == Some(OsStr::new(ending)) && !path.is_dir();
            let line = format!("mod {stem};");
            let is_listed = list.as_ref().is_none_or(|list| {
                list.lines().any(|it| it.trim_start_matches("pub ") == line)
            });
            let id = format!("{}/{stem}", section.name);
            if !is_file {
                let problem =
                    format!("not a {kind}, which is one file that ends in .{ending}");
                self.report(&id, &path, problem);
            } else if !is_known && kind != "test" {
                // Tests share files, and test several examples together.
                let main = format!("{}'s main.rs has no `{line}`", section.name);
                self.report(&id, &path, format!("a {kind} without an example: {main}"));
            }
            if !is_listed {
                let problem = format!("not compiled: mod.rs beside it has no `{line}`");
                self.report(&id, &path, problem);
            }
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
        problems.extend(platform_problem(example)?);
        let others = header.labelled("See also");
        let others = others.flat_map(|it| it.text.split('`').skip(1).step_by(2));
        let nowhere = others.filter(|name| self.is_nowhere(name));
        problems.extend(
            nowhere
                .map(|name| format!("`See also:` names `{name}`, which is no example")),
        );
        if header.differs.is_some()
            // What is wrong with a golden is told where it is judged.
            && let Ok(rust) = read_golden(&example.golden)
            && let Ok(twin) = read_golden(&example.twin_golden)
            && rust.is_close(&twin, SLACK)
        {
            let problem = "the header says `differs:`, but both transcripts are the same on \
                           the real clock: no other text or order, no time further apart \
                           than 50 ms";
            problems.push(problem.to_owned());
        }
        problems.extend_from_slice(&example.header_problems);
        for problem in problems {
            self.report(&id, &example.source, problem);
        }
        for path in example.sources() {
            self.check_width(&id, path)?;
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

    /// Whether it looks like the name of an example and is none. `dyn` does not.
    fn is_nowhere(&self, name: &str) -> bool {
        let is_small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_name =
            name.len() > 3 && name.chars().all(|c| is_small(c) || "_/".contains(c));
        let is_meant = |it: &Example| it.name == name || it.id() == name;
        is_name && !self.workspace.examples().any(is_meant)
    }

    fn check_width(&mut self, id: &str, path: &Path) -> Result<()> {
        let text = read(path)?;
        // Nobody sees a directive.
        let lines = (1..).zip(text.lines());
        for (number, line) in lines.filter(|(_, line)| !line.starts_with("//@ ")) {
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

/// Which part for one system its header says nothing about.
fn platform_problem(example: &Example) -> Result<Option<String>> {
    if !example.is_pasted || example.header.labelled("Platforms").next().is_some() {
        return Ok(None);
    }
    let source = read(&example.source)?.replace("cfg(test)", "");
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let code: String = source.lines().filter(is_code).collect();
    let used = OF_A_SYSTEM.split(' ').find(|word| code.contains(word));
    Ok(used.map(|word| {
        format!(
            "it uses `{word}`, so its header has to say under `Platforms:` what differs on \
             Windows or macOS"
        )
    }))
}

/// What takes no time on the virtual clock, or what it would run ahead of.
fn clock_problems(example: &Example) -> Result<Vec<String>> {
    if example.header.checks.real_clock {
        return Ok(Vec::new());
    }
    let mut source = read(&example.source)?;
    if let Some(demo) = &example.demo {
        // It runs instead of the `main` next to the pattern.
        source.truncate(source.find("#[tokio::main]").unwrap_or(source.len()));
        source += &read(demo)?;
    }
    let paths = match dependencies::full_paths(&source) {
        Ok(paths) => paths,
        Err(error) => return Ok(vec![format!("it is no Rust: {error:#}")]),
    };
    let is_used = |name: &&str| {
        let mut rests = paths.iter().filter_map(|path| path.strip_prefix(*name));
        rests.any(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let used = REAL.split(' ').filter(is_used);
    let problems = used.map(|name| {
        format!("it uses `{name}`, so its last lines have to say `clock: real`")
    });
    Ok(problems.collect())
}
