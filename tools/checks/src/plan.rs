//! What is judged, by name.

use std::cmp::Reverse;
use std::fmt;
use std::path::PathBuf;

use anyhow::Result;
use catalog::compile_fail::{self, CompileFail};
use catalog::files::{read, stem};
use catalog::python::Python;
use catalog::workspace::{Example, Section, Workspace, read_golden};
use clap::ValueEnum;

/// What is judged: most are ways in which an example is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// That the files belong together.
    Files,
    /// Every example, as its section runs it: on the virtual clock, or on the real one with
    /// `clock: real`.
    Run,
    /// Every example inside `tokio::spawn`.
    Spawn,
    /// Every asyncio twin under CPython.
    Twin,
    /// Every example copied out: it compiles alone, without warnings, and its `main` runs on
    /// the real clock.
    Copy,
    /// Programs that must not compile.
    CompileFail,
    /// Every example as the project that `copy` makes; takes minutes.
    Projects,
    /// Every example in edition 2021, and with what an older Rust has; takes a minute.
    Editions,
    /// The lines of every example that spawns, 50 times: their order on several threads.
    Order,
    /// Whether every `main` is in time, which only an idle machine can tell.
    Timing,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

impl Way {
    /// The ways that each change needs: they take seconds.
    pub const QUICK: [Self; 5] = [
        Self::Run,
        Self::Spawn,
        Self::Twin,
        Self::Copy,
        Self::CompileFail,
    ];

    /// Whether the example is used in this way. That the twin's file is missing is another
    /// matter, and an error.
    fn applies_to(self, example: &Example) -> Result<bool> {
        if cfg!(windows) && self != Self::Twin && example.differs_on_windows() {
            return Ok(false);
        }
        Ok(match self {
            Self::Run | Self::Timing => true,
            Self::Files | Self::CompileFail | Self::Projects => false,
            Self::Copy | Self::Editions => example.is_pasted,
            Self::Spawn => example.header.checks.not_send.is_none(),
            Self::Twin => example.has_twin(),
            Self::Order => {
                let texts = example.sources().map(|path| read(path));
                let texts: String = texts.collect::<Result<_>>()?;
                texts.contains("spawn")
            }
        })
    }
}

/// One run of one program.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The example.
    pub example: &'a Example,
    /// How it is used.
    pub way: Way,
    /// On the real clock, and not on the virtual one.
    pub real: bool,
}

impl<'a> Run<'a> {
    /// The example in this way, on the clock that both ask for.
    pub fn new(example: &'a Example, way: Way) -> Self {
        let always = matches!(way, Way::Copy | Way::Order | Way::Timing);
        let real = always || example.header.checks.real_clock;
        Self { example, way, real }
    }

    /// Whether what runs is the copy, compiled alone as a reader does who pastes it, and not
    /// the section.
    pub fn is_of_copy(&self) -> bool {
        let has_main = self.example.demo.is_none();
        self.way == Way::Copy || has_main && matches!(self.way, Way::Order | Way::Timing)
    }
}

/// What gets one verdict. Its `Display` is its name: `basics/hello_async/twin`, or
/// `basics/compile-fail/name`.
#[derive(Debug)]
pub enum Check<'a> {
    /// An example, used in one way.
    Example(Run<'a>),
    /// A program of this section that must not compile, or why it cannot be read.
    CompileFail(&'a Section, PathBuf, Result<CompileFail, String>),
}

impl fmt::Display for Check<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Example(run) => write!(f, "{}/{}", run.example.id(), run.way),
            Self::CompileFail(section, path, _) => {
                write!(f, "{}/compile-fail/{}", section.name, stem(path))
            }
        }
    }
}

impl Check<'_> {
    /// What is judged.
    pub fn way(&self) -> Way {
        match self {
            Self::Example(run) => run.way,
            Self::CompileFail(..) => Way::CompileFail,
        }
    }

    /// Whether it is of no twin, or this Python is new enough for it.
    pub fn can_run(&self, python: Option<&Python>) -> bool {
        match self {
            Self::Example(run) if run.way == Way::Twin => {
                python.is_some_and(|python| python.is_new_enough_for(run.example))
            }
            _ => true,
        }
    }

    /// For how many milliseconds it waits, by its golden; nothing if it does not wait.
    fn waits(&self) -> u64 {
        match self {
            Self::Example(run) if run.real => {
                // What is wrong with a golden is told where the example is judged.
                read_golden(&run.example.golden).map_or(0, |golden| golden.end)
            }
            _ => 0,
        }
    }
}

/// Returns the checks of these examples, in reading order: those of the ways that `is_asked`
/// for, and the programs that must not compile.
///
/// # Errors
///
/// When a folder or a source cannot be read.
pub fn all<'a>(
    workspace: &'a Workspace,
    examples: &[&'a Example],
    is_asked: impl Fn(Way) -> bool,
) -> Result<Vec<Check<'a>>> {
    let mut checks = Vec::new();
    for section in workspace.sections.iter().chain(&workspace.probes) {
        let own = || examples.iter().filter(|it| it.section == section.name);
        for example in own() {
            for way in Way::value_variants() {
                if is_asked(*way) && way.applies_to(example)? {
                    checks.push(Check::Example(Run::new(example, *way)));
                }
            }
        }
        if !is_asked(Way::CompileFail) {
            continue;
        }
        let is_whole = own().count() == section.examples.len();
        for (path, program) in compile_fail::find(section)? {
            let is_meant = match &program {
                Ok(program) => own().any(|it| it.name == program.example),
                Err(_) => is_whole,
            };
            if is_meant {
                checks.push(Check::CompileFail(section, path, program));
            }
        }
    }
    Ok(checks)
}

/// Puts what computes first, then what waits, the longest first: so programs on the real clock
/// have the machine to themselves, and none is left alone at the end.
pub fn in_good_order(checks: &mut [Check<'_>]) {
    let waits = |check: &Check<'_>| Reverse(check.waits());
    checks.sort_by_cached_key(|check| (waits(check) != Reverse(0), waits(check)));
}
