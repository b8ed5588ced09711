//! The checks catch what they are there to catch: programs that are wrong in one respect
//! each, and files that do not belong together. `fixture/examples.txt` lists them, with
//! what each check must say.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

mod projects;

use std::process::{Command, Output, Stdio};

use tests::{Fixture, stderr, stdout};

fn fixture() -> Fixture {
    Fixture::new(env!("CARGO_TARGET_TMPDIR"))
}

#[test]
fn what_belongs_to_no_example_and_wrong_headers() {
    assert_check("files", "--only files");
}

#[test]
fn on_the_virtual_clock() {
    let output = assert_check("run", "--only run sample");
    // What a flood prints is cut off.
    let length = output.stdout.len();
    assert!(length < 100_000, "{length} bytes");
    let kinds = " agree with their twins, 4 differ on purpose, 2 have no twin\n";
    assert!(stdout(&output).contains(kinds), "{}", stdout(&output));
}

#[test]
fn inside_of_spawn() {
    assert_check("spawn", "--only spawn sample");
}

#[test]
fn copies() {
    assert_check("copies", "--only copies sample/");
}

#[test]
fn what_must_not_compile() {
    assert_check("compile-fail", "--only compile-fail sample/");
}

/// What passes here and not on the virtual clock is what the real one leaves open: the
/// order of tasks within a group, and a delay within the slack.
#[test]
fn on_the_real_clock() {
    let output = assert_check("real", "--real-time sample/");
    let said = stdout(&output);
    let (_, again) = said
        .split_once(" again, when the others were through: ")
        .expect(&said);
    assert!(again.contains("sample/late_once "), "{said}");
    assert!(said.contains("cargo run -p sample -- early\n"), "{said}");
}

#[test]
fn the_order_on_several_threads() {
    assert_check("order", "--only order --repeat 9 sample/threads_");
}

#[test]
fn twins() {
    assert_check("python", "--only python sample");
}

#[test]
fn twins_that_are_cancelled() {
    let twins = "--only cancelled sample-more/twin_on_cancel_";
    assert_check("cancelled", twins);
}

/// What is a millisecond late passes, and nobody sees that an event will never be set.
#[test]
fn twins_on_the_real_clock() {
    let twins = "--only python --real-time sample-more/twin_";
    assert_check("python-real", twins);
}

fn check_all(fixture: &Fixture, options: &str) -> Command {
    let mut command = fixture.command(tests::xtask());
    command
        .args(["check-all", "--limit", "1.5"])
        .args(options.split(' '));
    command
}

/// Runs a check of the fixture. What it says must be what is expected of it, and no more.
/// On a busy machine some programs are not judged: then nothing is known of these.
#[track_caller]
fn assert_check(check: &str, options: &str) -> Output {
    let fixture = fixture();
    let output = check_all(&fixture, options).output().unwrap();
    let (stdout, stderr) = (stdout(&output), stderr(&output));
    let mut failures = failures(&stdout);
    let not_judged = failures.extract_if(.., |(_, said)| said.starts_with("BUSY"));
    let not_judged: Vec<String> = not_judged.map(|(subject, _)| subject).collect();
    let (failed, mut missing) = (failures.len(), String::new());
    for expected in fixture.expected.iter().filter(|it| it.check == check) {
        let subject = &expected.subject;
        let (section, name) = subject.split_once('/').expect("an example or a path");
        let [source, twin] = [("src", "rs"), ("python", "py")]
            .map(|(folder, end)| format!("crates/{section}/{folder}/{name}.{end}"));
        let is_meant = |(of, said): &(String, String)| {
            [subject, &source, &twin].contains(&of) && said.contains(&expected.text)
        };
        match failures.iter().position(is_meant) {
            Some(index) => drop(failures.remove(index)),
            None if not_judged.contains(subject) => {}
            None => missing += &format!("{subject}: {}\n", expected.text),
        }
    }
    assert!(
        missing.is_empty() && failures.is_empty(),
        "{stdout}{stderr}\n{check} does not say:\n{missing}and says too:\n{failures:#?}"
    );
    if !not_judged.is_empty() {
        println!("{check}: the machine was too busy to judge {not_judged:?}");
    }
    let count = format!(" passed, {failed} failed\n");
    assert!(stdout.ends_with(&count), "{stdout}{stderr}");
    assert!(
        !stdout.ends_with(&format!("\n0{count}")) || check == "files",
        "{stdout}"
    );
    let code = if failed > 0 { 1 } else { 3 };
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    output
}

/// What a check says of each subject: an example, or a file.
fn failures(stdout: &str) -> Vec<(String, String)> {
    let mut failures: Vec<(String, String)> = Vec::new();
    for line in stdout.lines() {
        let failure = ["FAIL ", "BUSY "]
            .iter()
            .find_map(|it| line.strip_prefix(it));
        if let Some(failure) = failure {
            let (subject, _) = failure.split_once(": ").expect("a subject and a problem");
            failures.push((subject.to_owned(), String::new()));
        }
        if let Some((_, said)) = failures.last_mut() {
            *said += &format!("{line}\n");
        }
    }
    failures
}

/// Runs a check, and lets it stand still most of the time while `is_busy`: no line is read
/// when it comes, and no timer is in time.
fn check_with_interruptions(
    fixture: &Fixture,
    options: &str,
    is_busy: impl Fn() -> bool,
) -> Output {
    let mut command = check_all(fixture, options);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    while child.try_wait().unwrap().is_none() && is_busy() {
        let stop = "kill -STOP $0; sleep 0.3; kill -CONT $0; sleep 0.06";
        let mut shell = Command::new("sh");
        shell
            .args(["-c", stop, &child.id().to_string()])
            .status()
            .unwrap();
    }
    child.wait_with_output().unwrap()
}

#[test]
fn beside_a_busy_machine_nothing_is_judged() {
    if cfg!(unix) {
        let options = "--real-time sample/good";
        let output = check_with_interruptions(&fixture(), options, || true);
        let said = stdout(&output);
        let busy =
            "BUSY sample/good: not judged, as the machine was busy: what it printed";
        assert!(said.starts_with(busy), "{said}{}", stderr(&output));
        let last =
            "\n1 program not judged, as the machine was busy\n1 passed, 0 failed\n";
        assert!(said.ends_with(last), "its copy has compiled: {said}");
        assert_eq!(output.status.code(), Some(3));
    }
}

/// More often than a program that is late although the machine has time.
#[test]
fn what_a_busy_machine_makes_late_is_repeated_until_it_passes() {
    if cfg!(unix) {
        let fixture = fixture();
        let runs = || std::fs::read(fixture.dir.join("late_once.runs"));
        let is_busy = || runs().unwrap_or_default().len() < 5;
        let options = "--real-time sample/late_once";
        let output = check_with_interruptions(&fixture, options, is_busy);
        let said = stdout(&output);
        assert!(
            said.ends_with("\n2 passed, 0 failed\n"),
            "{said}{}",
            stderr(&output)
        );
        assert!(runs().unwrap().len() >= 5, "{said}");
        assert_eq!(output.status.code(), Some(0));
    }
}
