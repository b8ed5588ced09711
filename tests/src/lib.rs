//! What the tests over the whole workspace have in common.

mod fixture;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use catalog::python::Python;
use catalog::workspace::cargo;
use checks::Built;
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

/// The CPython of this machine.
///
/// # Panics
///
/// When there is none.
pub fn python() -> Python {
    Python::find().expect("these tests need a Python")
}

/// What a program wrote to standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a program wrote to standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs the command for a reader who has closed the pipe.
///
/// # Panics
///
/// When it says anything, or ends with another exit code than 0.
pub fn assert_quiet_in_a_closed_pipe(command: &mut Command) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = command.stdout(writer).stderr(Stdio::piped()).output();
    let output = output.expect("it can be run");
    assert_eq!(stderr(&output), "", "{command:?}");
    assert_eq!(output.status.code(), Some(0), "{command:?}");
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
