//! What the tests over the whole workspace have in common.

mod fixture;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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
    command.args(["build", "--quiet", "--message-format=json", "-p", package]);
    let ran = Ran::of(&mut command);
    let mut built = Built::parse(ran.stdout.as_bytes()).expect("cargo speaks JSON");
    let binary = built.binaries.remove(package);
    binary.unwrap_or_else(|| panic!("{package} does not build: {}", ran.stderr))
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

/// What a command has done.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code, unless a signal has ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Ran {
    /// Runs the command to its end.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the program is there");
        let [stdout, stderr] = [output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned());
        let code = output.status.code();
        Self {
            code,
            stdout,
            stderr,
        }
    }

    /// Returns all that it wrote.
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Returns what it wrote, if it ended with this exit code and wrote this text.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[track_caller]
    pub fn says(self, code: i32, text: &str) -> String {
        let said = self.said();
        assert_eq!(self.code, Some(code), "{said}");
        assert!(said.contains(text), "no `{text}` in:\n{said}");
        said
    }
}

/// Runs the command for a reader who has closed the pipe.
///
/// # Panics
///
/// When it says anything, or ends with another exit code than 0.
pub fn assert_quiet_in_a_closed_pipe(command: &mut Command) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ran = Ran::of(command.stdout(writer).stderr(Stdio::piped()));
    assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{command:?}");
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
pub fn assert_transcript(transcript: &Data, run: impl Fn(&[&str]) -> Ran) {
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
        let ran = run(&words.collect::<Vec<_>>());
        let said = ran.said();
        // What clap says to everybody.
        let said = said
            .split("\n\nUsage: cargo xtask")
            .next()
            .unwrap_or_default();
        let said = said.trim_end_matches("\n\nFor more information, try '--help'.\n");
        came += &format!("{line}\n{}", said.trim_end_matches('\n'));
        came += if came.ends_with('\n') { "" } else { "\n" };
        if ran.code != Some(0) {
            came += &format!("? {}\n", ran.code.unwrap_or(-1));
        }
    }
    snapbox::assert_data_eq!(came, transcript.clone());
}
