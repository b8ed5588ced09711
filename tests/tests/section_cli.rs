//! The command line of a section, as a user calls it. `cmd/section.txt` has what it says.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use catalog::transcript::Transcript;
use catalog::workspace::Workspace;
use checks::Built;
use snapbox::file;
use tests::{Fixture, Ran, assert_quiet_in_a_closed_pipe, assert_transcript};

/// The section's executable, and the fixture, which is held as long as it is in use.
fn section() -> (Fixture, Command) {
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"));
    let section = fixture.command(fixture.section("cli"));
    (fixture, section)
}

fn run(words: &[&str]) -> Ran {
    let (_fixture, mut section) = section();
    Ran::of(section.args(words))
}

#[test]
fn what_it_says() {
    assert_transcript(&file!["cmd/section.txt"], run);
}

#[test]
fn without_a_name_all_run_also_behind_those_that_fail() {
    let ran = run(&["--virtual-time"]);
    let headings = ran.stdout.lines().filter(|line| line.starts_with("# "));
    assert_eq!((ran.code, headings.count()), (Some(1), 10), "{ran:?}");
}

#[test]
fn many_threads_print_whole_lines_in_the_order_of_time() {
    // `parse_golden` refuses a line that is earlier than the one before.
    let printed = run(&["crowd"]).stdout + " 99.000  (end)\n";
    let printed = Transcript::parse_golden(&printed).unwrap();
    let numbers: Vec<&str> = printed.lines[4..].iter().map(|line| &*line.text).collect();
    assert_eq!(numbers.len(), 1000);
    let is_whole = |pair: &[&str]| pair[0] == pair[1];
    assert!(
        numbers.chunks(2).all(is_whole),
        "a text of two lines was torn apart"
    );
}

#[test]
fn lines_come_as_they_are_printed() {
    let (_fixture, mut section) = section();
    let mut child = section.arg("plain").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.ends_with("left starts\n"), "{line}");
    // A buffer would have held the line until the end.
    assert!(
        child.try_wait().unwrap().is_none(),
        "it had ended before the line came"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    for words in [
        &["--virtual-time"][..],
        &["plain"],
        &["--list"],
        &["--help"],
    ] {
        assert_quiet_in_a_closed_pipe(section().1.args(words));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let (_fixture, mut section) = section();
    let section = section.arg("plain").stdout(full).stderr(Stdio::piped());
    Ran::of(section).says(1, "error: cannot write to standard output: ");
}

/// Runs an example of the section `error-handling`.
fn run_errors(backtrace: &str, words: &[&str]) -> Ran {
    let workspace = Workspace::open().unwrap();
    // All sections: their libraries are then built once.
    let built = Built::new(&workspace, "").unwrap();
    let mut command = Command::new(built.binary("error-handling").unwrap());
    Ran::of(command.env("RUST_BACKTRACE", backtrace).args(words))
}

#[test]
fn error_context_shows_a_backtrace_only_if_the_environment_asks_for_it() {
    for (value, is_shown) in [("0", false), ("1", true)] {
        let ran = run_errors(value, &["--virtual-time", "error_context"]);
        let said = ran.says(1, "0: cannot read the settings of cy");
        assert_eq!(said.contains("Stack backtrace:"), is_shown, "{said}");
    }
}

/// `process::exit` drops nothing: no journal is written.
#[test]
fn exit_codes_are_what_the_shell_sees() {
    let missing = "there is no page attic\n";
    for (way, code, end, journals) in [
        ("error", 1, "NoPage(\"attic\")\n", 2),
        ("code", 66, missing, 2),
        ("exit", 66, missing, 0),
    ] {
        let said = run_errors("0", &["exit_codes", "--", way]).says(code, end);
        assert_eq!(said.matches("is written").count(), journals, "{way}");
    }
}
