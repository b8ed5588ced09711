//! What the tests over the whole workspace have in common.

mod fixture;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use xtask::check::{Judge, Program, runtime};
use xtask::python::Python;
use xtask::workspace::{self, Example, Workspace};

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

/// A named test, as [`test!`] makes it from a function.
pub type Test = (&'static str, fn());

/// The function's name with the function, for [`run`].
#[macro_export]
macro_rules! test {
    ($function:ident) => {
        (stringify!($function), $function)
    };
}

/// A test harness with one named test for each example, on the virtual clock.
pub fn test_examples() -> ExitCode {
    with_workspace(|workspace| {
        let of_rust = |example: &Example| example_test(&workspace, example, None);
        harness(workspace.examples().map(of_rust).collect(), |_| Vec::new())
    })
}

/// A test harness with one named test for each twin, under CPython.
pub fn test_twins() -> ExitCode {
    with_workspace(|workspace| {
        harness(Vec::new(), |python| {
            let has_twin = |example: &&Example| example.header.no_twin.is_none();
            let of_twin =
                |example| example_test(&workspace, example, Some(python.clone()));
            workspace.examples().filter(has_twin).map(of_twin).collect()
        })
    })
}

/// A test harness for functions, of which some need CPython.
pub fn run(plain: &[Test], with_python: &[Test]) -> ExitCode {
    let trial = |(name, function): &Test| {
        let function = *function;
        Trial::test(*name, move || {
            function();
            Ok(())
        })
    };
    harness(plain.iter().map(trial).collect(), |_| {
        with_python.iter().map(trial).collect()
    })
}

/// Without a CPython the tests that need it are ignored and the reason stands before
/// their names, unless the variable `REQUIRE_CPYTHON` is set: then nothing is run and the
/// harness fails.
fn harness(
    mut trials: Vec<Trial>,
    with_python: impl FnOnce(&Result<Python, String>) -> Vec<Trial>,
) -> ExitCode {
    let arguments = Arguments::from_args();
    let python = Python::find();
    let with_python = with_python(&python);
    match &python {
        Ok(_) => trials.extend(with_python),
        Err(_) if with_python.is_empty() => {}
        Err(reason) if env::var_os(REQUIRE_CPYTHON).is_some() => {
            eprintln!("error: {reason}");
            return ExitCode::FAILURE;
        }
        Err(reason) => trials.extend(
            with_python
                .into_iter()
                .map(|trial| trial.with_ignored_flag(true).with_kind(reason)),
        ),
    }
    libtest_mimic::run(&arguments, trials).exit_code()
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

/// The check of one example: of the Rust program or, with a Python, of the twin.
fn example_test(
    workspace: &Arc<Workspace>,
    example: &Example,
    python: Option<Result<Python, String>>,
) -> Trial {
    let (workspace, example) = (Arc::clone(workspace), example.clone());
    Trial::test(example.id().replace('/', "::"), move || {
        let program = match &python {
            None => Program::Rust,
            Some(Ok(python)) => Program::Twin(python),
            Some(Err(reason)) => return Err(Failed::from(reason)),
        };
        let check = Judge::new(program).check(&workspace, &example);
        runtime()?.block_on(check).map(drop).map_err(Failed::from)
    })
}
