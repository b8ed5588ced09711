//! What is judged, by name.

use std::cmp::Reverse;
use std::fmt;
use std::path::PathBuf;

use anyhow::Result;
use catalog::compile_fail::{self, CompileFail};
use catalog::files::{read, stem};
use catalog::workspace::{Example, Section, Workspace, read_golden};

/// A way in which an example is used, and judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The section runs it: on the virtual clock, or on the real one with `clock: real`.
    Run,
    /// The same inside `tokio::spawn`.
    Spawn,
    /// CPython runs its twin.
    Twin,
    /// A reader pastes it: it compiles alone, and its `main` runs on the real clock.
    Copy,
    /// An older project compiles it.
    Editions,
    /// Its `main` runs beside others: only the order of its lines is judged.
    Order,
    /// Its `main` runs alone: it has to be in time.
    Timing,
}

/// The kinds that each change needs: they take seconds.
pub const QUICK: [&str; 5] = ["run", "spawn", "twin", "copy", "compile-fail"];

impl Way {
    const ALL: [(Self, &str); 7] = [
        (Self::Run, "run"),
        (Self::Spawn, "spawn"),
        (Self::Twin, "twin"),
        (Self::Copy, "copy"),
        (Self::Editions, "editions"),
        (Self::Order, "order"),
        (Self::Timing, "timing"),
    ];

    /// Whether the example is used in this way. That the twin's file is missing is another
    /// matter, and an error.
    fn applies_to(self, example: &Example) -> Result<bool> {
        if cfg!(windows) && self != Self::Twin && example.differs_on_windows() {
            return Ok(false);
        }
        Ok(match self {
            Self::Run | Self::Timing => true,
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
            Self::Example(Run { example, way, .. }) => {
                let name = Way::ALL.iter().find(|(it, _)| it == way);
                write!(f, "{}/{}", example.id(), name.map_or("", |it| it.1))
            }
            Self::CompileFail(section, path, _) => {
                write!(f, "{}/compile-fail/{}", section.name, stem(path))
            }
        }
    }
}

impl Check<'_> {
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
/// for, and the programs that must not compile, as `compile-fail`.
///
/// # Errors
///
/// When a folder or a source cannot be read.
pub fn all<'a>(
    workspace: &'a Workspace,
    examples: &[&'a Example],
    is_asked: impl Fn(&str) -> bool,
) -> Result<Vec<Check<'a>>> {
    let mut checks = Vec::new();
    for section in workspace.sections.iter().chain(&workspace.probes) {
        let own = || examples.iter().filter(|it| it.section == section.name);
        for example in own() {
            for (way, name) in Way::ALL {
                if is_asked(name) && way.applies_to(example)? {
                    checks.push(Check::Example(Run::new(example, way)));
                }
            }
        }
        if !is_asked("compile-fail") {
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
