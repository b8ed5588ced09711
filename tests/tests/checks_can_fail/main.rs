//! The checks catch what they are there to catch: programs that are wrong in one respect
//! each, and files that do not belong together. `fixture/examples.txt` lists them, with
//! what each check must say.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

mod projects;

use tests::Fixture;

fn fixture() -> Fixture {
    Fixture::new(env!("CARGO_TARGET_TMPDIR"))
}

#[test]
fn what_belongs_to_no_example_and_wrong_headers() {
    assert_check("files", "--only files");
}

#[test]
fn on_the_virtual_clock() {
    let said = assert_check("run", "--only run sample");
    // What a flood prints is cut off.
    assert!(said.len() < 100_000, "{} bytes", said.len());
    let kinds = " agree with their twins, 4 differ on purpose, 2 have no twin, in ";
    assert!(said.contains(kinds), "{said}");
}

#[test]
fn inside_of_spawn() {
    assert_check("spawn", "--only spawn sample");
}

#[test]
fn copies() {
    assert_check("copy", "--only copy sample/");
}

#[test]
fn in_an_older_project() {
    assert_check("editions", "--only editions sample/");
}

#[test]
fn what_must_not_compile() {
    assert_check("compile-fail", "--only compile-fail sample/");
}

/// What passes here and not on the virtual clock is what the real one leaves open: lateness,
/// and the order of lines whose times are close.
#[test]
fn on_the_real_clock() {
    let said = assert_check("real", "--only run --real-time sample/");
    assert!(said.contains("cargo run -p sample -- early\n"), "{said}");
}

#[test]
fn in_time() {
    assert_check("timing", "--timing sample/timed_");
}

#[test]
fn the_order_on_several_threads() {
    assert_check("order", "--only order --repeat 9 sample/threads_");
}

#[test]
fn twins() {
    assert_check("twin", "--only twin sample");
}

/// What is a millisecond late passes, and nobody sees that an event will never be set.
#[test]
fn twins_on_the_real_clock() {
    let twins = "--only twin --real-time sample-more/twin_";
    assert_check("twin-real", twins);
}

/// Runs a check of the fixture. What it says must be what is expected of it, and no more.
#[track_caller]
fn assert_check(check: &str, options: &str) -> String {
    let fixture = fixture();
    // On a busy machine, a program takes seconds to start.
    let waits = options.contains("--real-time") || options.contains("--only copy");
    let words = ["check-all", "--limit", if waits { "20" } else { "6" }];
    let words: Vec<&str> = words.into_iter().chain(options.split(' ')).collect();
    let ran = fixture.xtask(&words);
    let mut failures = failures(&ran.stdout);
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
            None => missing += &format!("{subject}: {}\n", expected.text),
        }
    }
    assert!(
        missing.is_empty() && failures.is_empty(),
        "{}\n{check} does not say:\n{missing}and says too:\n{failures:#?}",
        ran.said()
    );
    let count = format!(" passed, {failed} failed\n");
    let stdout = ran.stdout.clone();
    ran.says(1, &count);
    let is_alone = stdout.ends_with(&format!("\n0{count}"));
    assert!(!is_alone || check == "files", "{stdout}");
    stdout
}

/// What a check says of each subject: an example, or a file.
fn failures(stdout: &str) -> Vec<(String, String)> {
    let mut failures: Vec<(String, String)> = Vec::new();
    for line in stdout.lines() {
        if let Some(failure) = line.strip_prefix("FAIL ") {
            let (subject, _) = failure.split_once(": ").expect("a subject and a problem");
            failures.push((subject.to_owned(), String::new()));
        }
        if let Some((_, said)) = failures.last_mut() {
            *said += &format!("{line}\n");
        }
    }
    failures
}
