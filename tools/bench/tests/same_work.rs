//! What is compared must be the same work.

use std::process::Command;

/// Each row with a small part of its work: every contestant comes to its end, and has the
/// items that it was given and the same sum as ours.
#[test]
fn all_contestants_do_the_same_work() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    let output = command.arg("--check").output().expect("it was built");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let ours = stdout.lines().filter(|line| line.starts_with("  ours"));
    assert_eq!(ours.count(), 17, "{stdout}");
}
