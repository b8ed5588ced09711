//! What the shell sees of each way to end, and what is dropped before.

use std::process::{Command, Output};

/// Runs the example, which ends in this way.
fn run(way: &str) -> Output {
    Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "error-handling", "--"])
        .args(["exit_codes", "--", way])
        .output()
        .expect("it starts")
}

/// The exit code, what is said on standard error, and how many journals are written.
fn ended(way: &str) -> (Option<i32>, String, usize) {
    let Output {
        status,
        stdout,
        stderr,
    } = run(way);
    let printed = String::from_utf8(stdout).expect("it is text");
    let said = String::from_utf8(stderr).expect("it is text");
    let written = printed.matches("is written").count();
    (status.code(), said, written)
}

#[test]
fn an_error_makes_the_code_1_and_is_shown_by_debug() {
    let (code, said, written) = ended("error");
    assert_eq!((code, written), (Some(1), 2));
    assert!(said.ends_with("NoPage(\"attic\")\n"), "{said}");
}

#[test]
fn an_exit_code_is_that_of_the_program() {
    let said = "there is no page attic\n".to_owned();
    assert_eq!(ended("code"), (Some(66), said, 2));
}

#[test]
fn process_exit_drops_nothing() {
    let said = "there is no page attic\n".to_owned();
    assert_eq!(ended("exit"), (Some(66), said, 0));
}
