//! What the tests over the whole workspace have in common.

mod fixture;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use xtask::check::{Judge, Program, runtime};
use xtask::python::Python;
use xtask::workspace::{self, Workspace};

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

/// A test harness with one named test for each example, on the virtual clock.
pub fn test_examples() -> ExitCode {
    harness(None)
}

/// A test harness with one named test for each twin, under CPython.
///
/// Without a suitable CPython the tests are ignored and the reason stands before their
/// names, unless the variable `REQUIRE_CPYTHON` is set: then nothing is run and the
/// harness fails.
pub fn test_twins() -> ExitCode {
    harness(Some(Python::find()))
}

/// One test for each example, of the Rust program or, with a Python, of the twin.
fn harness(python: Option<Result<Python, String>>) -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = python
        .as_ref()
        .and_then(|found| found.as_ref().err().cloned());
    if let Some(reason) = &missing
        && env::var_os(REQUIRE_CPYTHON).is_some()
    {
        eprintln!("error: {reason}");
        return ExitCode::FAILURE;
    }
    let workspace = match Workspace::open() {
        Ok(workspace) => workspace,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let twins = python.is_some();
    let shared = Arc::new((workspace, python));
    let examples = shared.0.examples();
    let trials = examples
        .filter(|example| !twins || example.header.no_twin.is_none())
        .map(|example| {
            let name = example.id().replace('/', "::");
            let (shared, example) = (Arc::clone(&shared), example.clone());
            let trial = Trial::test(name, move || {
                let (workspace, python) = &*shared;
                let program = match python {
                    None => Program::Rust,
                    Some(Ok(python)) => Program::Twin(python),
                    Some(Err(reason)) => return Err(Failed::from(reason)),
                };
                let check = Judge::new(program).check(workspace, &example);
                runtime()?.block_on(check).map(drop).map_err(Failed::from)
            });
            match &missing {
                Some(reason) => trial.with_ignored_flag(true).with_kind(reason),
                None => trial,
            }
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
