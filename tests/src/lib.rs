//! What the tests over the whole workspace have in common.

mod copies;
mod fixture;

use std::collections::{HashMap, HashSet};
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::sync::{Arc, LazyLock};

use libtest_mimic::{Arguments, Failed, Trial};
use xtask::check::{Clock, Judge, Program, default_jobs, runtime};
use xtask::python::Python;
use xtask::workspace::{self, Example, Workspace};

pub use copies::Copies;
pub use fixture::{Fixture, Mutant};

/// When this variable is set, a missing CPython is an error instead of ignored tests.
const REQUIRE_CPYTHON: &str = "REQUIRE_CPYTHON";

/// The root of the workspace.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// Builds a package of the workspace and returns its executable.
///
/// # Panics
///
/// When it does not build; cargo has then said why.
pub fn executable(package: &str) -> PathBuf {
    workspace::build([package].into_iter())
        .expect("the package builds")
        .remove(package)
        .expect("the package is a binary")
}

/// The xtask's executable, built once.
pub fn xtask() -> &'static Path {
    static XTASK: LazyLock<PathBuf> = LazyLock::new(|| executable("xtask"));
    &XTASK
}

/// The CPython of this machine, looked for once, or why there is none.
fn find_python() -> &'static Result<Python, String> {
    static PYTHON: LazyLock<Result<Python, String>> = LazyLock::new(Python::find);
    &PYTHON
}

/// The CPython of this machine, for tests that need one and say so.
///
/// # Panics
///
/// When there is none.
pub fn python() -> &'static Python {
    find_python()
        .as_ref()
        .expect("the test says that it needs a Python")
}

/// What a program wrote to standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("standard output is UTF-8")
}

/// What a program wrote to standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("standard error is UTF-8")
}

/// A function with its name and what it needs, as [`test!`] makes it.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    /// The function's name.
    pub name: &'static str,
    /// The function, which fails by a panic.
    pub function: fn(),
    /// What a machine must have for it.
    pub needs: Needs,
}

/// What a test needs beside the Rust toolchain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// A CPython that can run the twins.
    Python,
    /// A CPython that can also make virtual environments. Some systems leave that out.
    Venv,
}

impl Needs {
    /// Why a test with this need cannot be run here.
    fn missing(self) -> Option<String> {
        if self == Self::Nothing {
            return None;
        }
        let python = match find_python() {
            Ok(python) => python,
            Err(reason) => return Some(reason.clone()),
        };
        let has_venv = || {
            let mut probe = Command::new(python.program());
            let output = probe.args(["-I", "-c", "import ensurepip, venv"]).output();
            output.is_ok_and(|output| output.status.success())
        };
        (self == Self::Venv && !has_venv()).then(|| {
            format!("{python} cannot make virtual environments; Debian: python3-venv")
        })
    }
}

/// The function with its name, and with what it needs if it needs something.
#[macro_export]
macro_rules! test {
    ($function:ident) => {
        $crate::test!($function, Nothing)
    };
    ($function:ident, $needs:ident) => {
        $crate::Test {
            name: stringify!($function),
            function: $function,
            needs: $crate::Needs::$needs,
        }
    };
}

/// A test harness with one named test for each example, on the virtual clock.
pub fn test_examples() -> ExitCode {
    test_rust(Arguments::from_args(), Judge::new(Program::Rust))
}

/// A test harness with one named test for each example whose `run` is `Send`: inside
/// `tokio::spawn`, on the virtual clock.
pub fn test_spawned() -> ExitCode {
    let judge = Judge {
        spawn: true,
        ..Judge::new(Program::Rust)
    };
    test_rust(Arguments::from_args(), judge)
}

/// A test harness with one named test for each example's `main`, on the real clock.
pub fn test_mains() -> ExitCode {
    let judge = Judge {
        clock: Clock::Real,
        ..Judge::new(Program::Rust)
    };
    test_rust(arguments_for_waiting(), judge)
}

fn test_rust(arguments: Arguments, how: Judge<'static>) -> ExitCode {
    with_workspace(|workspace| {
        let examples = workspace
            .examples()
            .filter(|example| how.applies_to(example));
        let trials = examples.map(|example| {
            example_test(&workspace, example, move |workspace, example| {
                judge(workspace, example, how)
            })
        });
        libtest_mimic::run(&arguments, trials.collect()).exit_code()
    })
}

fn judge(workspace: &Workspace, example: &Example, how: Judge<'_>) -> Result<(), Failed> {
    let check = how.check(workspace, example);
    runtime()?.block_on(check).map(drop).map_err(Failed::from)
}

/// The arguments, with as many tests at once as the real clock allows: they hardly do
/// anything but wait.
fn arguments_for_waiting() -> Arguments {
    let mut arguments = Arguments::from_args();
    arguments
        .test_threads
        .get_or_insert(default_jobs(Clock::Real));
    arguments
}

/// A test harness with one named test for each twin, under CPython.
pub fn test_twins() -> ExitCode {
    with_workspace(|workspace| {
        let examples = workspace.examples();
        let twins = examples.filter(|example| example.header.no_twin.is_none());
        let trials = twins.map(|example| {
            let trial = example_test(&workspace, example, |workspace, example| {
                judge(workspace, example, Judge::new(Program::Twin(python())))
            });
            (trial, Needs::Python)
        });
        harness(trials.collect())
    })
}

/// A test harness with one named test for each example: copied out of the workspace it
/// compiles without warnings, and prints the golden's text on the real clock.
pub fn test_copies(tmp: &'static str) -> ExitCode {
    with_workspace(|workspace| {
        let copies = Arc::new(Copies::new(tmp, "copied-out"));
        let trials = workspace.examples().map(|example| {
            let copies = Arc::clone(&copies);
            example_test(&workspace, example, move |workspace, example| {
                Ok(copies.check(workspace, example, |_, text| text)?)
            })
        });
        libtest_mimic::run(&arguments_for_waiting(), trials.collect()).exit_code()
    })
}

/// A test harness for functions.
pub fn run(tests: &[Test]) -> ExitCode {
    let trial = |test: &Test| {
        let Test {
            name,
            function,
            needs,
        } = *test;
        let trial = Trial::test(name, move || {
            function();
            Ok(())
        });
        (trial, needs)
    };
    harness(tests.iter().map(trial).collect())
}

/// Tests whose needs the machine does not meet are ignored, and the reason stands before
/// their names; unless the variable `REQUIRE_CPYTHON` is set: then nothing is run and the
/// harness fails.
fn harness(trials: Vec<(Trial, Needs)>) -> ExitCode {
    let arguments = Arguments::from_args();
    let needs: HashSet<Needs> = trials.iter().map(|(_, needs)| *needs).collect();
    let missing: HashMap<Needs, String> = needs
        .into_iter()
        .filter_map(|needs| Some((needs, needs.missing()?)))
        .collect();
    if env::var_os(REQUIRE_CPYTHON).is_some()
        && let Some(reason) = missing.values().next()
    {
        eprintln!("error: {reason}");
        return ExitCode::FAILURE;
    }
    let trials = trials
        .into_iter()
        .map(|(trial, needs)| match missing.get(&needs) {
            None => trial,
            Some(reason) => trial.with_ignored_flag(true).with_kind(reason),
        });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn with_workspace(test: impl FnOnce(Arc<Workspace>) -> ExitCode) -> ExitCode {
    match Workspace::open() {
        Ok(workspace) => test(Arc::new(workspace)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A test with the example's name.
fn example_test(
    workspace: &Arc<Workspace>,
    example: &Example,
    test: impl FnOnce(&Workspace, &Example) -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let (workspace, example) = (Arc::clone(workspace), example.clone());
    Trial::test(example.id().replace('/', "::"), move || {
        test(&workspace, &example)
    })
}
