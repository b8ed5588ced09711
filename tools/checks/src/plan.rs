//! What is judged, by name.

use std::cmp::Reverse;
use std::fmt;
use std::path::PathBuf;

use anyhow::Result;
use catalog::compile_fail::{self, CompileFail};
use catalog::files::stem;
use catalog::workspace::{Example, Section, Workspace, read_golden};

/// A way in which an example is used.
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
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Run, Self::Spawn, Self::Twin, Self::Copy];

    /// Whether the example is used in this way. That the twin's file is missing is another
    /// matter, and an error.
    pub fn applies_to(self, example: &Example) -> bool {
        if cfg!(windows) && self != Self::Twin && example.differs_on_windows() {
            return false;
        }
        match self {
            Self::Run => true,
            Self::Copy => example.is_pasted,
            Self::Spawn => example.header.checks.not_send.is_none(),
            Self::Twin => example.has_twin(),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Run => "run",
            Self::Spawn => "spawn",
            Self::Twin => "twin",
            Self::Copy => "copy",
        })
    }
}

/// What gets one verdict. Its `Display` is its name: `basics/hello_async/twin`, or
/// `basics/compile-fail/name`.
#[derive(Debug)]
pub enum Check<'a> {
    /// An example, used in one way.
    Example {
        /// The example.
        example: &'a Example,
        /// How it is used.
        way: Way,
        /// On the real clock.
        real: bool,
    },
    /// A program of this section that must not compile, or why it cannot be read.
    CompileFail(&'a Section, PathBuf, Result<CompileFail, String>),
}

impl fmt::Display for Check<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Example { example, way, .. } => write!(f, "{}/{way}", example.id()),
            Self::CompileFail(section, path, _) => {
                write!(f, "{}/compile-fail/{}", section.name, stem(path))
            }
        }
    }
}

impl<'a> Check<'a> {
    /// The example in this way, on the clock that it asks for.
    pub fn new(example: &'a Example, way: Way) -> Self {
        let real = example.header.checks.real_clock;
        Self::Example { example, way, real }
    }

    /// For how many milliseconds it waits, by its golden; nothing if it does not wait.
    fn waits(&self) -> u64 {
        match self {
            Self::Example { example, way, real } if *real || *way == Way::Copy => {
                // What is wrong with a golden is told where the example is judged.
                read_golden(&example.golden).map_or(0, |golden| golden.end)
            }
            _ => 0,
        }
    }
}

/// Returns all checks of these examples, in reading order.
///
/// # Errors
///
/// When a folder cannot be read.
pub fn all<'a>(
    workspace: &'a Workspace,
    examples: &[&'a Example],
) -> Result<Vec<Check<'a>>> {
    let mut checks = Vec::new();
    for section in workspace.sections.iter().chain(&workspace.probes) {
        let own = || examples.iter().filter(|it| it.section == section.name);
        for example in own() {
            let ways = Way::ALL.into_iter().filter(|way| way.applies_to(example));
            checks.extend(ways.map(|way| Check::new(example, way)));
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
