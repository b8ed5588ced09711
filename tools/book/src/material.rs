//! Everything that the pages are made of, read and checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Result, bail};
use xtask::files::{read, replace};
use xtask::inventory;
use xtask::speed::{self, Speed};
use xtask::transcript::Transcript;
use xtask::workspace::{Example, Section, Workspace, read_golden};

use crate::chapters::{self, Chapter};
use crate::needs::Needs;
use crate::record::{self, Tasks};
use crate::refusals::{self, Refusal};
use crate::tables::{self, Answered, ApiName};
use crate::versions::Versions;

/// The sections in reading order; others come after them.
const ORDER: [&str; 7] = [
    "basics",
    "concurrency",
    "context-managers",
    "iterators",
    "error-handling",
    "real-world",
    "best-practices",
];

/// An example with all that belongs to it.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Its files and its header.
    pub example: &'a Example,
    /// The Rust program, byte for byte.
    pub source: String,
    /// The asyncio program, if there is one.
    pub twin: Option<String>,
    /// What the Rust program prints.
    pub golden: Transcript,
    /// What the twin prints, where that differs on purpose.
    pub twin_golden: Option<Transcript>,
    /// Which task prints each line, in a reader's words.
    pub tasks: Vec<String>,
    /// What it depends on.
    pub needs: Needs,
}

/// A section with its title.
#[derive(Debug)]
pub struct Part<'a> {
    /// The section.
    pub section: &'a Section,
    /// The description in its manifest.
    pub title: String,
    /// Its examples, in reading order.
    pub entries: Vec<Entry<'a>>,
}

/// All of it.
#[derive(Debug)]
pub struct Material<'a> {
    /// The workspace that it comes from.
    pub workspace: &'a Workspace,
    /// What everything was verified with.
    pub versions: Versions,
    /// The sections, in reading order.
    pub parts: Vec<Part<'a>>,
    /// The programs that must not compile.
    pub refusals: Vec<Refusal>,
    /// The rows of `docs/asyncio-api.tsv`.
    pub names: Vec<ApiName>,
    /// The rows of `docs/guides.tsv`.
    pub guides: Vec<Answered>,
    /// The rows of `docs/questions.tsv`.
    pub questions: Vec<Answered>,
    /// The chapters of prose.
    pub chapters: Vec<Chapter>,
    /// `docs/glossary.md`.
    pub glossary: String,
    /// `docs/speed.json`, if anything was measured.
    pub speed: Option<Speed>,
}

impl<'a> Material<'a> {
    /// Reads everything, and runs what has to be run unless `may_run` is false.
    ///
    /// # Errors
    ///
    /// When a file is missing or cannot be read, when an example cannot be run, or when
    /// something refers to what is not there; then all such places are named at once.
    pub fn collect(workspace: &'a mut Workspace, may_run: bool) -> Result<Self> {
        let versions = Versions::find(workspace)?;
        let mut problems = Vec::new();
        let mut goldens = BTreeMap::new();
        let mut twin_goldens = BTreeMap::new();
        for example in workspace.examples() {
            let mut take =
                |path, into: &mut BTreeMap<String, Transcript>| match read_golden(path) {
                    Ok(golden) => drop(into.insert(example.id(), golden)),
                    Err(problem) => problems.push(relative(workspace, &problem)),
                };
            take(&example.golden, &mut goldens);
            if example.header.differs.is_some() {
                take(&example.twin_golden, &mut twin_goldens);
            }
        }
        for failure in inventory::check(workspace, "")? {
            problems.push(format!("{}: {}", failure.subject, failure.problem));
        }
        let names = tables::names(workspace)?;
        let (guides, questions) =
            (tables::guides(workspace)?, tables::questions(workspace)?);
        let chapters = chapters::read_all(workspace, &mut problems)?;
        let speed = speed::read(workspace)?;
        if let Some(speed) = &speed {
            crate::speed::check(workspace, speed, &mut problems);
        }
        check_rows(workspace, &guides, &questions, &mut problems);
        check_names_in_prose(workspace, &names, &mut problems)?;
        if !problems.is_empty() {
            let count = problems.len();
            bail!(
                "the book cannot be made, for {count} reasons:\n{}",
                problems.join("\n")
            );
        }
        let tasks = record::tasks(workspace, &versions, &goldens, may_run)?;
        let workspace = &*workspace;
        let refusals = refusals::find(workspace, &versions, may_run)?;
        let mut parts = Vec::new();
        for section in &workspace.sections {
            let mut entries = Vec::new();
            for example in &section.examples {
                let goldens = [&mut goldens, &mut twin_goldens];
                entries.push(entry(workspace, example, goldens, &tasks)?);
            }
            parts.push(Part {
                title: title(section)?,
                section,
                entries,
            });
        }
        parts.sort_by_key(|part| {
            let place = ORDER.iter().position(|name| *name == part.section.name);
            place.unwrap_or(ORDER.len())
        });
        remember(workspace)?;
        Ok(Self {
            glossary: read(&workspace.root.join("docs/glossary.md"))?,
            workspace,
            versions,
            parts,
            refusals,
            names,
            guides,
            questions,
            chapters,
            speed,
        })
    }

    /// Every example, in reading order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry<'a>> {
        self.parts.iter().flat_map(|part| &part.entries)
    }

    /// The programs that must not compile and belong to an example.
    pub fn refusals_of(&self, example: &Example) -> impl Iterator<Item = &Refusal> {
        self.refusals.iter().filter(|refusal| {
            refusal.section == example.section && refusal.fail.example == example.name
        })
    }

    /// The examples whose `asyncio:` lines have the name.
    pub fn examples_of(&self, name: &ApiName) -> Vec<&Example> {
        let entries = self.entries().map(|entry| entry.example);
        entries
            .filter(|example| example.header.asyncio.contains(&name.name))
            .collect()
    }

    /// The names that have a counterpart which no example shows.
    pub fn open_names(&self) -> Vec<&str> {
        let open =
            |name: &&ApiName| name.has_counterpart() && self.examples_of(name).is_empty();
        let open = self.names.iter().filter(open);
        open.map(|name| name.name.as_str()).collect()
    }
}

/// Without the path of the workspace.
fn relative(workspace: &Workspace, problem: &str) -> String {
    problem.replace(&format!("{}/", workspace.root.display()), "")
}

fn title(section: &Section) -> Result<String> {
    let manifest = read(&section.dir.join("Cargo.toml"))?;
    let mut lines = manifest.lines();
    let title = lines.find_map(|line| line.strip_prefix("description = "));
    Ok(title.unwrap_or(&section.name).trim_matches('"').to_owned())
}

fn entry<'a>(
    workspace: &Workspace,
    example: &'a Example,
    goldens: [&mut BTreeMap<String, Transcript>; 2],
    tasks: &Tasks,
) -> Result<Entry<'a>> {
    let source = read(&example.source)?;
    let id = example.id();
    let [golden, twin_golden] = goldens.map(|goldens| goldens.remove(&id));
    let twin = example
        .has_twin()
        .then(|| read(&example.twin))
        .transpose()?;
    Ok(Entry {
        needs: Needs::of(workspace, example, &source)?,
        tasks: record::names(tasks.get(&id).map_or(&[], Vec::as_slice)),
        golden: golden.unwrap_or_default(),
        twin_golden,
        twin,
        source,
        example,
    })
}

/// The example that a text within a section means by a name: one of its own, or the only
/// one of that name, or `SECTION/EXAMPLE`.
pub fn meant<'a>(
    workspace: &'a Workspace,
    name: &str,
    section: Option<&str>,
) -> Option<&'a Example> {
    let own = workspace.examples().find(|example| {
        example.name == name && section.is_some_and(|section| example.section == section)
    });
    own.or_else(|| {
        let mut found = workspace
            .examples()
            .filter(|example| example.name == name || example.id() == name);
        found.next().filter(|_| found.next().is_none())
    })
}

/// Reports the rows of tables that name an example that is not there. In the table of the
/// guides, a section that does not exist yet is no mistake.
fn check_rows(
    workspace: &Workspace,
    guides: &[Answered],
    questions: &[Answered],
    problems: &mut Vec<String>,
) {
    for (rows, may_be_later) in [(guides, true), (questions, false)] {
        for row in rows {
            for name in &row.examples {
                let section = name.split('/').next().unwrap_or_default();
                if may_be_later && workspace.section(section).is_err() {
                    continue;
                }
                if let Err(error) = workspace.example(name) {
                    let (place, text) = (&row.place, &row.text);
                    problems.push(format!("{place}: {error}, for `{text}`"));
                }
            }
        }
    }
}

/// Reports the words in backticks in headers that look like the name of an example and
/// are none, or that were one when the book was made last.
fn check_names_in_prose(
    workspace: &Workspace,
    names: &[ApiName],
    problems: &mut Vec<String>,
) -> Result<()> {
    let before = fs::read_to_string(remembered(workspace)).unwrap_or_default();
    let before: BTreeSet<&str> = before.lines().collect();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for name in names {
        words_of(&name.name, &mut known);
    }
    for example in workspace.examples() {
        let source = read(&example.source)?;
        let code = source.lines().filter(|line| !line.starts_with("//!"));
        code.for_each(|line| words_of(line, &mut known));
        if example.twin.exists() {
            words_of(&read(&example.twin)?, &mut known);
        }
    }
    for example in workspace.examples() {
        let prose = example.header.prose.join(" ");
        for word in prose.split('`').skip(1).step_by(2) {
            let is_name = word.split('/').all(|part| {
                !part.is_empty()
                    && part.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            });
            let looks_so = is_name && word.contains('_') && !known.contains(word);
            let is_gone = before.contains(word);
            if (looks_so || is_gone) && meant(workspace, word, None).is_none() {
                let path = workspace.relative(&example.source);
                problems.push(format!(
                    "{path}: its header names `{word}`, which is no example, and which \
                     no program here uses"
                ));
            }
        }
    }
    Ok(())
}

fn words_of(text: &str, words: &mut BTreeSet<String>) {
    let found = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.extend(found.filter(|word| word.contains('_')).map(str::to_owned));
}

/// Where the names of the examples of the last book are.
fn remembered(workspace: &Workspace) -> std::path::PathBuf {
    workspace.target.join("book-cache/examples")
}

fn remember(workspace: &Workspace) -> Result<()> {
    let names = workspace.examples();
    let names = names.map(|example| format!("{}\n{}\n", example.name, example.id()));
    replace(&remembered(workspace), &names.collect::<String>())
}
