//! What is compared must be the same work.

use std::process::Command;

use servers::Kind;

/// Each row with a small part of its work: every contestant comes to its end, and has the
/// items that it was given and the same sum as ours.
fn all_do_the_same(arguments: &[&str], at_least: usize) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    let output = command.arg("--check").args(arguments).output();
    let output = output.expect("it was built");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let ours = stdout.lines().filter(|line| line.starts_with("  ours"));
    assert!(ours.count() >= at_least, "{stdout}");
}

#[test]
fn all_contestants_do_the_same_work() {
    all_do_the_same(&[], 30);
}

#[test]
fn all_contestants_on_servers_do_the_same_work() {
    let is_set = std::env::var_os("REQUIRE_SERVICES").is_some();
    match Kind::ALL.into_iter().find_map(|kind| kind.program().err()) {
        Some(missing) if !is_set => println!("not tried: {missing}"),
        _ => all_do_the_same(&["--servers"], 11),
    }
}
