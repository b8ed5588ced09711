//! Everything that the pages are made of, read and checked.

use std::collections::HashMap;
use std::path::Path;

use ::checks::Built;
use anyhow::{Context, Result, bail};
use catalog::chapters::{Heading, headings};
use catalog::compile_fail::CompileFail;
use catalog::dependencies;
use catalog::files::read;
use catalog::python::Python;
use catalog::speed::{self, Speed};
use catalog::tables::{
    self, Advice, ApiName, Block, Clause, Crate, Guide, Message, Neighbour, Question,
    SheetRow, Trap,
};
use catalog::transcript::Transcript;
use catalog::versions;
use catalog::workspace::{Example, Section, Workspace, read_golden};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

use crate::changes::{self, Change};
use crate::chapters::{self, Chapter};
use crate::markup::after_header;
use crate::{checks, compile_fail, tasks};

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
    /// Its demonstration, where that is a separate file.
    pub demo: Option<String>,
    /// Its tests, if it has any.
    pub tests: Option<String>,
    /// What the program of a module prints, without times.
    pub printed: Option<String>,
    /// The files that a module needs next to it.
    pub beside: Vec<&'a Example>,
    /// Which task prints each line, in a reader's words; none if it was not run.
    pub tasks: Vec<String>,
    /// What it needs of a manifest: the edition and the dependencies.
    pub manifest: String,
    /// The commands that add the dependencies to a project.
    pub cargo_add: String,
}

/// A section with its examples in reading order.
#[derive(Debug)]
pub struct Part<'a> {
    pub section: &'a Section,
    pub entries: Vec<Entry<'a>>,
    /// Whether its examples are modules of Python.
    pub is_module: bool,
}

/// All of it.
#[derive(Debug)]
pub struct Contents<'a> {
    pub workspace: &'a Workspace,
    /// What everything was verified with.
    pub versions: String,
    /// The sections, in reading order.
    pub parts: Vec<Part<'a>>,
    /// The programs that must not compile.
    pub compile_fail: Vec<CompileFail>,
    /// The compiler's words for each of them, by their sources; nothing if it was not
    /// asked.
    pub refusals: HashMap<String, String>,
    pub names: Vec<ApiName>,
    pub guides: Vec<Guide>,
    /// What the guides show.
    pub blocks: Vec<Block>,
    /// What Python programs use next to asyncio.
    pub neighbours: Vec<Neighbour>,
    /// What the guides say besides.
    pub advice: Vec<Advice>,
    /// What Python and the libraries print when something is wrong.
    pub messages: Vec<Message>,
    pub questions: Vec<Question>,
    /// What differs from asyncio, name by name.
    pub clauses: Vec<Clause>,
    /// What fits on two printed pages.
    pub sheet: Vec<SheetRow>,
    /// What headers name under `In production:`.
    pub crates: Vec<Crate>,
    /// The versions of the crates that the tests of best-practices try, by their names.
    pub tried: HashMap<String, String>,
    /// The numbers of the traps.
    pub traps: Vec<Trap>,
    pub chapters: Vec<Chapter>,
    /// The headings of the chapters.
    pub headings: Vec<Heading>,
    pub changes: Vec<Change>,
    pub glossary: String,
    /// What was measured, if anything was.
    pub speed: Option<Speed>,
}

impl<'a> Contents<'a> {
    /// Reads everything. With `runs`, builds and runs the programs.
    pub fn read(workspace: &'a Workspace, runs: bool) -> Result<Self> {
        let root = &workspace.root;
        let mut problems = Vec::new();
        let names = rows(tables::rows(root)?);
        let guides = rows(tables::rows(root)?);
        let blocks = tables::rows(root)?;
        let sheet = tables::rows(root)?;
        let advice = tables::rows(root)?;
        let chapters = chapters::read_all(workspace, &names, &mut problems)?;
        problems.extend(checks::inventory(workspace)?);
        let headings = headings(workspace)?;
        problems.extend(checks::advice(workspace, &blocks, &headings, &advice));
        problems.extend(checks::sheet(workspace, &sheet)?);
        problems.extend(checks::headers(workspace, &names)?);
        if !problems.is_empty() {
            let count = problems.len();
            let problems = problems.join("\n");
            bail!("the book cannot be made, for {count} reasons:\n{problems}");
        }
        let mut contents = Self {
            workspace,
            versions: versions(root)?,
            parts: Vec::new(),
            compile_fail: compile_fail::read_all(workspace)?,
            names,
            guides,
            blocks: rows(blocks),
            neighbours: rows(tables::rows(root)?),
            advice: rows(advice),
            messages: rows(tables::rows(root)?),
            questions: rows(tables::rows(root)?),
            clauses: rows(tables::rows(root)?),
            sheet: rows(sheet),
            crates: rows(tables::rows(root)?),
            tried: tried(workspace)?,
            traps: rows(tables::rows(root)?),
            refusals: HashMap::new(),
            chapters,
            headings,
            changes: changes::read_all(workspace)?,
            glossary: read(&root.join("docs/glossary.md"))?,
            speed: speed::read(workspace)?,
        };
        for section in workspace.read_sections() {
            let is_module = workspace.modules.iter().any(|it| it.name == section.name);
            let examples = section.examples.par_iter();
            let entries = examples.map(|example| entry(section, example, is_module));
            let entries = entries.collect::<Result<_>>()?;
            contents.parts.push(Part {
                section,
                entries,
                is_module,
            });
        }
        if runs {
            contents.run()?;
        }
        Ok(contents)
    }

    /// Builds and runs the programs, many at the same time: which task prints each line, and
    /// what the compiler says to each program that must not compile.
    fn run(&mut self) -> Result<()> {
        let workspace = self.workspace;
        let built = Built::new(workspace, "")?;
        let compile = |program: &CompileFail| {
            let refusal = compile_fail::compile(workspace, &built, program)?;
            Ok((program.source.clone(), refusal))
        };
        let refusals = self.compile_fail.par_iter().map(compile);
        self.refusals = refusals.collect::<Result<_>>()?;
        // The others need servers: their lines have no tasks.
        let parts = self.parts.iter_mut().filter(|part| part.section.is_default);
        let mut entries: Vec<_> = parts.flat_map(|part| &mut part.entries).collect();
        // Most of them wait more than they work.
        let pool = ThreadPoolBuilder::new().num_threads(24).build()?;
        pool.install(|| {
            entries.par_iter_mut().try_for_each(|entry| {
                let printed = tasks::run(&built, entry.example)?;
                entry.tasks = tasks::names(&entry.golden, &printed);
                Ok(())
            })
        })
    }

    /// Returns every example, in reading order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry<'a>> {
        self.parts.iter().flat_map(|part| &part.entries)
    }

    /// Returns what a guide shows, in its order.
    pub fn blocks_of(&self, guide: &Guide) -> impl Iterator<Item = &Block> {
        let blocks = self.blocks.iter();
        blocks.filter(|row| row.guide() == guide.guide)
    }

    /// Returns the examples whose `asyncio:` lines have the name.
    pub fn examples_of(&self, name: &ApiName) -> Vec<&'a Example> {
        let examples = self.workspace.examples();
        let shows = |example: &&Example| example.names().any(|it| *it == name.name);
        examples.filter(shows).collect()
    }

    /// Returns the examples that name the crate under `In production:`.
    pub fn examples_with(&self, name: &str) -> Vec<&'a Example> {
        let examples = self.workspace.examples();
        let names = |it: &&Example| it.in_production().any(|word| word == name);
        examples.filter(names).collect()
    }

    /// Returns the numbers whose traps are gone.
    pub fn retired(&self) -> impl Iterator<Item = &Trap> {
        let traps = self.traps.iter();
        traps.filter(|trap| trap.example.starts_with("retired"))
    }
}

fn rows<T>(rows: Vec<(String, T)>) -> Vec<T> {
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Returns the locked versions of the crates that best-practices depends on.
fn tried(workspace: &Workspace) -> Result<HashMap<String, String>> {
    let lock = read(&workspace.root.join("Cargo.lock"))?;
    let dependencies = workspace.section("best-practices")?.dependencies.iter();
    let versions = dependencies.filter_map(|it| {
        let version = versions::locked_for(&lock, it)?;
        Some((it.name.clone(), version.to_owned()))
    });
    Ok(versions.collect())
}

/// Returns what the examples were verified with, as one line.
fn versions(root: &Path) -> Result<String> {
    let lock = read(&root.join("Cargo.lock"))?;
    let tokio = versions::locked(&lock, "tokio");
    let tokio = tokio.context("Cargo.lock has no package tokio")?;
    let python = Python::find().ok();
    let python = python.and_then(|python| versions::cpython(python.program()).ok());
    let python = python.unwrap_or_else(|| "no CPython on this machine".to_owned());
    Ok(format!("tokio {tokio}, {}, {python}", versions::rustc()?))
}

fn entry<'a>(
    section: &'a Section,
    example: &'a Example,
    is_module: bool,
) -> Result<Entry<'a>> {
    let source = example.pasted()?;
    let edition = section.edition;
    let beside = match is_module {
        true => section.beside(&source).collect(),
        false => Vec::new(),
    };
    // What a module and the files next to it import, as one text.
    let mut programs = after_header(&source).to_owned();
    for file in &beside {
        programs += after_header(&file.pasted()?);
    }
    let lines = dependencies::find(section, &programs)?.into_values();
    let lines: String = lines.collect();
    let library = match is_module {
        true => "[lib]\ncrate-type = [\"cdylib\"]\n\n",
        false => "",
    };
    let demo = example.demo.as_deref().map(read);
    let tests = example.tests.as_deref().map(read);
    let golden = |path| read_golden(path).map_err(anyhow::Error::msg);
    let differs = example.header.differs.is_some();
    let twin = example.has_twin().then(|| read(&example.twin));
    let twin_golden = differs.then(|| golden(&example.twin_golden));
    let (golden, printed) = match is_module {
        true => (Transcript::default(), Some(read(&example.golden)?)),
        false => (golden(&example.golden)?, None),
    };
    Ok(Entry {
        manifest: format!(
            "[package]\nedition = \"{edition}\"\n\n{library}[dependencies]\n{lines}"
        ),
        cargo_add: dependencies::cargo_add(section, &programs)?,
        demo: demo.transpose()?,
        tests: tests.transpose()?,
        tasks: Vec::new(),
        golden,
        twin_golden: twin_golden.transpose()?,
        printed,
        beside,
        twin: twin.transpose()?,
        source,
        example,
    })
}
