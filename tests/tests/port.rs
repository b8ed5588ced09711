//! `cargo xtask port`: what it finds in Python programs, and what it refuses.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

use std::process::Command;

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
