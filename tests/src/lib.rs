//! What the tests over the whole workspace have in common.

mod copies;
mod fixture;

use std::collections::{HashMap, HashSet};
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock};

use libtest_mimic::{Arguments, Failed, Trial};
use xtask::check::{self, Options, Program, default_jobs, runtime};
use xtask::fails;
use xtask::python::Python;
use xtask::report::Failure;
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
    workspace::build(&root(), package).expect("the package builds")
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

/// Whether this machine has a CPython that can run the twins.
pub fn has_python() -> bool {
    find_python().is_ok()
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

/// Runs one named test for each program of each kind: each example on the virtual clock,
/// inside of `tokio::spawn`, on the real clock, copied out of the workspace; each twin
/// under CPython; each program that must not compile. The kinds come one after the other,
/// so that nothing is compiled while programs wait on the real clock.
pub fn test_examples(tmp: &'static str) -> ExitCode {
    let mut workspace = match Workspace::open() {
        Ok(workspace) => workspace,
        Err(error) => return failed(&error),
    };
    if let Err(error) = workspace.build("") {
        return failed(&error);
    }
    let workspace = Arc::new(workspace);
    let all_fine = [
        test_programs(&workspace, "virtual", || Program::Rust, false),
        test_programs(&workspace, "spawned", || Program::Spawned, false),
        test_programs(&workspace, "cpython", || Program::Twin(python()), false),
        test_programs(&workspace, "real", || Program::Rust, true),
        test_copies(&workspace, tmp),
        test_fails(&workspace),
    ]
    .iter()
    .all(|fine| *fine);
    ExitCode::from(u8::from(!all_fine))
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

fn test_programs(
    workspace: &Arc<Workspace>,
    kind: &str,
    program: fn() -> Program<'static>,
    real_time: bool,
) -> bool {
    let (needs, applies): (Needs, fn(&Example) -> bool) = match kind {
        "cpython" => (Needs::Python, Example::has_twin),
        "spawned" => (Needs::Nothing, |e| Program::Spawned.applies_to(e)),
        _ => (Needs::Nothing, |_| true),
    };
    // On the virtual clock programs never wait; on the real one they hardly do anything
    // else, so many more of those run at once.
    let on_the_real_clock = |example: &Example| real_time || example.header.real_clock;
    let trials = |waits: bool| {
        let own = workspace.examples().filter(move |example| {
            applies(example) && waits == on_the_real_clock(example)
        });
        let trials = own.map(|example| {
            let trial =
                example_test(workspace, kind, example, move |workspace, example| {
                    let options = Options::new(real_time);
                    let check = check::check(workspace, example, program(), &options);
                    runtime()?.block_on(check).map(drop).map_err(Failed::from)
                });
            (trial, needs)
        });
        trials.collect()
    };
    let jobs = match kind {
        // Python takes its time to start, and would make the others late.
        "cpython" => 4 * default_jobs(false),
        _ => default_jobs(true),
    };
    let quick = harness(&arguments(default_jobs(false)), trials(false));
    harness(&arguments(jobs), trials(true)) && quick
}

/// Copied out of the workspace, each example compiles without warnings and passes its
/// tests; then, when nothing is compiled any more, it prints the golden's text on the real
/// clock.
fn test_copies(workspace: &Arc<Workspace>, tmp: &'static str) -> bool {
    let copies = Arc::new(Copies::new(tmp, "copied-out"));
    let programs: Arc<Mutex<HashMap<String, PathBuf>>> = Arc::default();
    // The longest first, and so many at once that the others need not wait for them:
    // cargo compiles in two target folders, and both are to be in use until the end.
    let (mut examples, others): (Vec<&Example>, Vec<&Example>) = workspace
        .examples()
        .partition(|example| Copies::is_io(workspace, example));
    let compiled_at_once = examples.len() + 4 * default_jobs(false);
    examples.extend(others);
    let kinds = ["compiled", "copied"].map(|kind| {
        let trials = examples.iter().map(|example| {
            let (copies, programs) = (Arc::clone(&copies), Arc::clone(&programs));
            let test = move |workspace: &Workspace, example: &Example| {
                let known = locked(&programs).get(&example.id()).cloned();
                let program = match known {
                    Some(program) => program,
                    None => copies.build(workspace, example, |_, text| text)?,
                };
                if kind == "compiled" {
                    locked(&programs).insert(example.id(), program);
                    return Ok(());
                }
                Ok(Copies::run(example, program)?)
            };
            let trial = example_test(workspace, kind, example, test);
            (trial, Needs::Nothing)
        });
        // Without times in what they print, copies that are late cannot be told from
        // those that are wrong, so only few run at once.
        let jobs = match kind {
            "compiled" => compiled_at_once,
            _ => 4 * default_jobs(false),
        };
        harness(&arguments(jobs), trials.collect())
    });
    kinds == [true, true]
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// All programs that must not compile, compiled at once when the first is asked for.
fn test_fails(workspace: &Arc<Workspace>) -> bool {
    let mut trials = Vec::new();
    let checked: Arc<OnceLock<HashMap<String, Result<(), String>>>> = Arc::default();
    for section in &workspace.sections {
        for (path, _) in fails::find(section).expect("the folder can be read") {
            let path = workspace.relative(&path);
            let name = path.trim_start_matches("crates/").trim_end_matches(".rs");
            let (workspace, checked) = (Arc::clone(workspace), Arc::clone(&checked));
            let trial = Trial::test(name.replace('/', "::"), move || {
                let all = checked.get_or_init(|| {
                    let examples: Vec<&Example> = workspace.examples().collect();
                    let all = fails::check(&workspace, &examples).expect("cargo runs");
                    let text = |(path, result): (String, Result<(), Failure>)| {
                        (path, result.map_err(|failure| failure.to_string()))
                    };
                    all.into_iter().map(text).collect()
                });
                match all.get(&path) {
                    Some(result) => Ok(result.clone()?),
                    None => Err("it is malformed; check-all says why".into()),
                }
            });
            trials.push((trial, Needs::Nothing));
        }
    }
    harness(&Arguments::from_args(), trials)
}

/// The arguments, with so many tests at once unless the user says otherwise.
fn arguments(at_once: usize) -> Arguments {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(at_once);
    arguments
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
    let fine = harness(&Arguments::from_args(), tests.iter().map(trial).collect());
    ExitCode::from(u8::from(!fine))
}

/// Tests whose needs the machine does not meet are ignored, and the reason stands before
/// their names; unless the variable `REQUIRE_CPYTHON` is set: then nothing is run and the
/// harness fails.
fn harness(arguments: &Arguments, trials: Vec<(Trial, Needs)>) -> bool {
    let needs: HashSet<Needs> = trials.iter().map(|(_, needs)| *needs).collect();
    let missing: HashMap<Needs, String> = needs
        .into_iter()
        .filter_map(|needs| Some((needs, needs.missing()?)))
        .collect();
    if env::var_os(REQUIRE_CPYTHON).is_some()
        && let Some(reason) = missing.values().next()
    {
        eprintln!("error: {reason}");
        return false;
    }
    let trials = trials
        .into_iter()
        .map(|(trial, needs)| match missing.get(&needs) {
            None => trial,
            Some(reason) => trial.with_ignored_flag(true).with_kind(reason),
        });
    !libtest_mimic::run(arguments, trials.collect()).has_failed()
}

/// A test with the example's name.
fn example_test(
    workspace: &Arc<Workspace>,
    kind: &str,
    example: &Example,
    test: impl FnOnce(&Workspace, &Example) -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let (workspace, example) = (Arc::clone(workspace), example.clone());
    let name = format!("{kind}::{}", example.id().replace('/', "::"));
    Trial::test(name, move || test(&workspace, &example))
}
