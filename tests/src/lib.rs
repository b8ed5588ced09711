//! What the tests over the whole workspace have in common.

mod fixture;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::sync::LazyLock;

use catalog::python::Python;
use catalog::rustc::Built;
use catalog::workspace::cargo;
use libtest_mimic::{Arguments, Trial};
use snapbox::Data;

pub use fixture::Fixture;

/// The root of the workspace.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// Builds a package and returns its executable. `command` is a cargo in its workspace.
///
/// # Panics
///
/// When it does not build; cargo has then said why.
pub fn build(mut command: Command, package: &str) -> PathBuf {
    command.args([
        "build",
        "--quiet",
        "--message-format=json",
        "--package",
        package,
    ]);
    let output = command.output().expect("cargo can be run");
    let mut built = Built::parse(&output.stdout).expect("cargo speaks JSON");
    let binary = built.binaries.remove(package);
    binary.unwrap_or_else(|| panic!("{package} does not build: {}", stderr(&output)))
}

/// The xtask's executable, built once.
pub fn xtask() -> &'static Path {
    static XTASK: LazyLock<PathBuf> = LazyLock::new(|| {
        let mut command = Command::new(cargo());
        command.current_dir(root());
        build(command, "xtask")
    });
    &XTASK
}

/// Returns the CPython that runs the twins, or why there is none.
///
/// # Panics
///
/// When there is none, although the variable `REQUIRE_CPYTHON` is set.
pub fn find_python() -> Result<Python, String> {
    let found = Python::find();
    let is_required = env::var_os("REQUIRE_CPYTHON").is_some();
    assert!(found.is_ok() || !is_required, "REQUIRE_CPYTHON: {found:?}");
    found
}

/// The CPython of this machine, for tests that need one and say so.
///
/// # Panics
///
/// When there is none.
pub fn python() -> Python {
    Python::find().expect("the test says that it needs a Python")
}

/// What a program wrote to standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a program wrote to standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs each command of a transcript, a line that begins with `$ `, and compares what it
/// prints and its exit code with the lines that follow. `SNAPSHOTS=overwrite` writes what
/// came; then put back `[..]` and `...` for what differs from run to run.
///
/// `run` gets a line's words; those between quotation marks are one word.
///
/// # Panics
///
/// When something else came.
pub fn assert_transcript(transcript: &Data, run: impl Fn(&[&str]) -> Output) {
    let mut came = String::new();
    for line in transcript.to_string().lines() {
        let Some(command) = line.strip_prefix("$ ") else {
            continue;
        };
        let parts = command.split('"').enumerate();
        let words = parts.flat_map(|(index, part)| match index % 2 {
            0 => part.split_whitespace().collect(),
            _ => vec![part],
        });
        let output = run(&words.collect::<Vec<_>>());
        let said = stdout(&output) + &stderr(&output);
        // What clap says to everybody.
        let said = said
            .split("\n\nUsage: cargo xtask")
            .next()
            .unwrap_or_default();
        let said = said.trim_end_matches("\n\nFor more information, try '--help'.\n");
        came += &format!("{line}\n{}", said.trim_end_matches('\n'));
        came += if came.ends_with('\n') { "" } else { "\n" };
        if !output.status.success() {
            came += &format!("? {}\n", output.status.code().unwrap_or(-1));
        }
    }
    snapbox::assert_data_eq!(came, transcript.clone());
}

/// A test: its name, its function, and whether it needs a CPython.
pub type Test = (&'static str, fn(), bool);

/// For tests that need a CPython; see [`harness!`].
pub const PYTHON: bool = true;

/// Writes the `main` of a test program: `harness!(one, another(PYTHON))`.
///
/// Without a CPython the tests that need one are ignored, and the reason stands before
/// their names.
#[macro_export]
macro_rules! harness {
    ($($test:ident $(($needs:ident))?),* $(,)?) => {
        fn main() -> std::process::ExitCode {
            $crate::run(&[$((stringify!($test), $test, false $(|| $crate::$needs)?)),*])
        }
    };
}

/// Runs the tests that the command line selects.
pub fn run(tests: &[Test]) -> ExitCode {
    let missing = find_python().err();
    let trials = tests.iter().map(|&(name, test, needs_python)| {
        let trial = Trial::test(name, move || {
            test();
            Ok(())
        });
        match &missing {
            Some(reason) if needs_python => {
                trial.with_ignored_flag(true).with_kind(reason)
            }
            _ => trial,
        }
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
