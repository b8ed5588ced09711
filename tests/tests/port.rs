//! `cargo xtask port`: what it finds in Python programs, and its whole report of one.
//! `SNAPSHOTS=overwrite` writes the report again: it quotes tables and headers.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use snapbox::file;
use tests::{stderr, stdout};

/// Names, types, patterns, files of every kind, and the twins.
#[test]
fn what_it_finds() {
    let mut python = Command::new(tests::python().program());
    python.args([
        "-X",
        "utf8",
        "-m",
        "unittest",
        "discover",
        "-p",
        "test_port.py",
    ]);
    let output = python
        .args(["-s", "tools/python"])
        .current_dir(tests::root());
    let output = output.output().unwrap();
    let said = stdout(&output) + &stderr(&output);
    assert!(output.status.success() && said.contains("Ran "), "{said}");
    assert!(!said.contains("Ran 0 tests"), "{said}");
}

/// What is reported of a program in `tests/tests/port`.
fn report(program: &str) -> String {
    let mut xtask = Command::new(tests::xtask());
    let xtask = xtask.args(["port", program]).env("COLUMNS", "90");
    let output = xtask.current_dir(tests::root().join("tests/tests/port"));
    let output = output.output().unwrap();
    assert_eq!(
        (output.status.code(), stderr(&output)),
        (Some(0), String::new())
    );
    stdout(&output)
}

#[test]
fn a_web_service() {
    snapbox::assert_data_eq!(report("service.py"), file!["port/service.txt"].raw());
}

#[test]
fn a_wrong_call() {
    let mut xtask = Command::new(tests::xtask());
    let xtask = xtask
        .args(["port", "nowhere.py"])
        .current_dir(tests::root());
    let output = xtask.output().unwrap();
    assert_eq!(
        (output.status.code(), stdout(&output)),
        (Some(2), String::new())
    );
    let said = "cargo xtask port: error: there is no nowhere.py";
    assert!(stderr(&output).contains(said), "{}", stderr(&output));
}
