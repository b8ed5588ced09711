//! The command line of the xtask, as a user calls it.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

use snapbox::{assert_data_eq, str};
use tests::{Fixture, Mutant, Test, stderr, stdout, test};

const TESTS: &[Test] = &[
    // The longest first.
    test!(a_twin_with_a_package, Venv),
    test!(new_in_a_scratch_clone, Python),
    test!(a_check_of_what_is_right),
    test!(wrong_calls_run_nothing),
    test!(the_list),
    test!(the_list_searches_questions_and_messages),
    test!(words_find_what_has_them_all),
    test!(rows_that_are_no_question),
    test!(wrong_numbers_and_names_are_explained),
    test!(text_needs_no_build),
    test!(show_prints_the_whole_example),
    test!(a_renamed_source),
    test!(copy_takes_what_cargo_new_made),
    test!(copy_refuses_a_workspace_that_would_take_it_in),
    test!(copy_makes_a_project),
    test!(copy_prints_the_manifest),
    test!(copy_never_overwrites),
    test!(copy_of_what_is_not_there),
    #[cfg(unix)]
    test!(copy_where_nothing_can_be_written),
    test!(copy_names_a_crate_that_it_does_not_know),
    test!(new_refuses_names),
    test!(a_closed_pipe_ends_it_quietly),
    test!(outside_of_a_workspace),
    test!(from_outside),
    test!(a_section_that_does_not_compile),
    test!(without_a_python),
    #[cfg(unix)]
    test!(a_python_that_is_too_old),
    test!(repeated_and_with_options, Python),
    test!(a_filter_that_matches_nothing_suggests_the_nearest, Python),
    test!(bless_records_what_cpython_prints, Python),
    test!(bless_leaves_the_golden_of_a_twin_that_fails, Python),
    test!(without_a_twin_bless_records_the_rust_program, Python),
    test!(an_example_that_needs_the_real_clock, Python),
];

fn main() -> ExitCode {
    tests::run(TESTS)
}

fn fixture() -> Fixture {
    Fixture::new(env!("CARGO_TARGET_TMPDIR"), "xtask", &[], &[])
}

fn a_check_of_what_is_right() {
    let output = fixture().xtask(&["check-all"]);
    assert_data_eq!(
        stdout(&output),
        str![[r#"
1 run: 0.650 s of virtual time, [..] s of wall time, [..] ms a run
1 example: 1 agree with their twins, 0 differ on purpose
1 passed, 0 failed

"#]]
    );
    assert_eq!(output.status.code(), Some(0));
}

fn repeated_and_with_options() {
    let fixture = fixture();
    for arguments in [
        &[
            "check-all",
            "--repeat",
            "5",
            "--jobs",
            "2",
            "--limit",
            "30.5",
            "sample/good",
        ][..],
        &[
            "check-python",
            "--repeat",
            "5",
            "--jobs",
            "2",
            "--limit",
            "30.5",
            "goo",
        ],
    ] {
        let output = fixture.xtask(arguments);
        assert_data_eq!(
            stdout(&output),
            "5 runs: 3.250 s of virtual time, [..]\n1 example: [..]\n5 passed, 0 failed\n"
        );
        assert_eq!(output.status.code(), Some(0));
    }
}

fn wrong_calls_run_nothing() {
    let fixture = fixture();
    for arguments in [
        &[][..],
        &["check"],
        &["check-all", "--jobs", "0"],
        &["check-all", "--repeat", "0"],
        &["check-all", "--repeat", "many"],
        &["check-all", "--limit", "0"],
        &["check-all", "--limit", "-1"],
        &["check-all", "--limit", "soon"],
        &["check-all", "--limit", "inf"],
        &["check-all", "good", "bad"],
        &["check-python", "--slack", "none"],
        &["check-all", "--slack", "0.1"],
        &["check-all", "--limit", "1e30"],
        &["check-all", "--jobs", "-1"],
        &["bless"],
        &["list", "zebra"],
        &["show"],
        &["show", "sample"],
    ] {
        let output = fixture.xtask(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert_ne!(stderr(&output), "", "{arguments:?}");
    }
}

/// What is wrong, and what would be right.
fn wrong_numbers_and_names_are_explained() {
    let fixture = fixture();
    let number = "it is a whole number, and at least 1";
    let time = "a time is a number of seconds above 0 and up to 86400";
    for (arguments, expected) in [
        (&["check-all", "--jobs", "0"][..], number),
        (&["check-all", "--jobs", "-1"], number),
        (&["check-all", "--repeat", "many"], number),
        (&["check-all", "--limit", "-1"], time),
        (&["check-all", "--limit", "1e30"], time),
        (&["check-all", "--slack", "0.1"], "--real-time"),
        (
            &["copy", "Sample", "x"],
            "`Sample` is a section; name one of its examples: good",
        ),
        (&["show", "gooood"], "did you mean `sample/good`?"),
    ] {
        let said = stderr(&fixture.xtask(arguments));
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    // Capital letters do not matter, and a section need not be named.
    for name in ["good", "Good", "SAMPLE/good"] {
        let output = fixture.xtask(&["copy", name, "--print-manifest"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
}

/// Nothing is built for what needs only text, also where nothing can be built.
fn text_needs_no_build() {
    let broken = Mutant::new("broken", "Ok(())", "Ok(1)");
    let name = "broken_text";
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), name, &[broken], &[]);
    let above = tempfile::tempdir().unwrap();
    let dir = above.path().join("new");
    let dir = dir.to_str().unwrap();
    for arguments in [
        &["list"][..],
        &["list", "two", "GATHER"],
        &["list", "how"],
        &["show", "broken"],
        &["copy", "broken", dir],
        &["copy", "broken", "--print-manifest"],
        &["new", "sample/fresh"],
    ] {
        let output = fixture.xtask(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(stderr(&output), "", "{arguments:?}");
    }
    for made in ["src/fresh.rs", "python/fresh.py"] {
        fs::remove_file(fixture.dir().join("crates/sample").join(made)).unwrap();
    }
}

fn show_prints_the_whole_example() {
    let shown = stdout(&fixture().xtask(&["show", "good"]));
    assert_data_eq!(
        shown,
        str![[r#"
sample/good
Wait for two at once.

The program from which the tests make others that are wrong in one respect each.

asyncio: asyncio.gather

crates/sample/src/good.rs:

use std::time::Duration;
...
crates/sample/python/good.py:

import asyncio
...
Transcript:

  0.000  left starts
...
  0.650  (end)

"#]]
    );
}

/// What the text of `main.rs` and the files beside it do not agree on.
fn a_renamed_source() {
    let renamed = Mutant::new("renamed", "Wait for two", "Wait for both");
    let name = "renamed";
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), name, &[renamed], &[]);
    let main = "crates/sample/src/main.rs";
    let text = fs::read_to_string(fixture.dir().join(main)).unwrap();
    fixture.write(main, &text.replace("renamed", "renamd"));
    let output = fixture.xtask(&["list"]);
    assert_eq!(
        stderr(&output),
        "error: crates/sample/src/main.rs lists `renamd`, but there is no \
         crates/sample/src/renamd.rs; is it now crates/sample/src/renamed.rs? Then list \
         `renamed`\n"
    );
    assert_eq!(output.status.code(), Some(1));
    fixture.write(main, &text.replace(", renamed", ""));
    let output = fixture.xtask(&["check-all", "renamed"]);
    assert_eq!(
        stderr(&output),
        "error: no example matches `renamed`: there is crates/sample/src/renamed.rs, but \
         crates/sample/src/main.rs does not list `renamed`\n"
    );
    assert_eq!(output.status.code(), Some(2));
}

fn a_filter_that_matches_nothing_suggests_the_nearest() {
    let fixture = fixture();
    for command in ["check-all", "check-python", "bless"] {
        let output = fixture.xtask(&[command, "sample/god"]);
        assert_eq!(
            stderr(&output),
            "error: no example matches `sample/god`; did you mean `sample/good`?\n"
        );
        assert_eq!(output.status.code(), Some(2), "{command}");
    }
    let output = fixture.xtask(&["check-all", "xyz"]);
    assert_eq!(
        stderr(&output),
        "error: no example matches `xyz`; `cargo xtask list` shows which there are\n"
    );
}

fn the_list() {
    let output = fixture().xtask(&["list"]);
    assert_eq!(stdout(&output), "sample/good   Wait for two at once.\n");
    assert_eq!(output.status.code(), Some(0));
}

/// The fixture's only question, and a program that must not compile.
fn the_list_searches_questions_and_messages() {
    // Of its own: what a failure leaves behind must not fail the other tests.
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "searched", &[], &[]);
    let path = "crates/sample/fails/kept.rs";
    for (first, message) in [
        (
            "E0382 use of moved value: `two`",
            "error[E0382]: use of moved value: `two`",
        ),
        ("error two futures", "error: two futures"),
        (
            "unused_must_use two futures",
            "unused_must_use: two futures",
        ),
    ] {
        fixture.write(path, &format!("//~ {first}\n\n//! example: good\n"));
        let output = fixture.xtask(&["list", "TWO"]);
        assert_eq!(
            stdout(&output),
            format!(
                "sample/good   Wait for two at once.\n    cargo run -p sample -- good\n\n\
                 Questions:\n\nHow do I wait for two at once?\n    \
                 cargo run -p sample -- good\n\nSaid by the compiler:\n\n{message}\n    \
                 cargo run -p sample -- good  # {path}\n"
            )
        );
        assert_eq!(output.status.code(), Some(0));
    }
    // A message as it stands on the reader's screen.
    let pasted = "error[E0277]: My<T>: Two Futures, not one";
    for arguments in [
        &["list", pasted][..],
        &["list", "two", "futures", "at", "All"],
    ] {
        let output = stdout(&fixture.xtask(arguments));
        assert!(output.starts_with("Said by the compiler:\n\nunused_must_use: two"));
    }
}

/// All of the words, each where it stands, in capital letters or not.
fn words_find_what_has_them_all() {
    let fixture = fixture();
    let example =
        "sample/good   Wait for two at once.\n    cargo run -p sample -- good\n";
    let question = "How do I wait for two at once?\n    cargo run -p sample -- good\n";
    let question = format!("Questions:\n\n{question}");
    for (words, expected) in [
        (&["asyncio.GATHER"][..], example.to_owned()),
        (&["sample", "once", "wait"], example.to_owned()),
        (&["how", "TWO"], question.clone()),
        (&["do I wait for"], question.clone()),
        (&["wait"], format!("{example}\n{question}")),
    ] {
        let output = fixture.xtask(&[&["list"], words].concat());
        assert_eq!(stdout(&output), expected, "{words:?}");
        assert_eq!(stderr(&output), "");
    }
    let output = fixture.xtask(&["list", "wait", "gather", "how"]);
    assert_eq!(
        stderr(&output),
        "error: no example, no question and no error message has `wait gather how`; \
         `cargo xtask list` shows all examples\n"
    );
    assert_eq!(output.status.code(), Some(2));
}

/// What `docs/questions.tsv` must not hold, and what is said of it.
fn rows_that_are_no_question() {
    let fixture = fixture();
    let table = fs::read_to_string(fixture.dir().join("docs/questions.tsv")).unwrap();
    let rows = [
        ("Where?", "it has 1 columns, not two: "),
        (
            "Where?\tsample/good\tsample/good",
            "it has 3 columns, not two: ",
        ),
        ("", "it has 1 columns, not two: "),
        ("\tsample/good", "the question is empty"),
        (" \tsample/good", "the question is empty"),
        (
            "Where? \tsample/good",
            "the question begins or ends with a blank",
        ),
        ("Where?\t", "it names no example, or has a blank too many"),
        (
            "Where?\tsample/good ",
            "it names no example, or has a blank too many",
        ),
        (
            "Where?\tsample/god",
            "no example `sample/god`; did you mean `sample/good`?",
        ),
        ("Where?\tgood", "write `sample/good` for `good`"),
        (
            "Where?\tsample/good sample/good",
            "it names `sample/good` twice",
        ),
        (
            "how do I wait for two at once\tsample/good",
            "row 2 asks the same; ",
        ),
    ];
    let wrong: Vec<&str> = rows.iter().map(|(row, _)| *row).collect();
    fixture.write(
        "docs/questions.tsv",
        &format!("{table}{}\n", wrong.join("\n")),
    );
    let output = fixture.xtask(&["check-all"]);
    fixture.write("docs/questions.tsv", &table);
    let said = stdout(&output) + &stderr(&output);
    for (number, (row, problem)) in (3..).zip(rows) {
        let expected = format!("docs/questions.tsv: row {number}, `{row}`: {problem}");
        assert!(said.contains(&expected), "{expected}\n{said}");
    }
    assert_eq!(output.status.code(), Some(1));
}

fn a_closed_pipe_ends_it_quietly() {
    let fixture = fixture();
    for arguments in [&["list"][..], &["check-all"], &["--help"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = fixture
            .xtask_command(arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .and_then(|child| child.wait_with_output())
            .expect("the xtask runs");
        assert_eq!(stderr(&output), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}

fn outside_of_a_workspace() {
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(tests::xtask())
        .arg("check-all")
        .current_dir(elsewhere.path())
        .env_remove("CARGO_MANIFEST_DIR")
        .output()
        .expect("the xtask runs");
    assert_data_eq!(
        stderr(&output),
        "error: cargo finds no workspace to work on: could not find `Cargo.toml` in [..]\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

/// Called through `--manifest-path`, from anywhere.
fn from_outside() {
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let fixture = fixture();
    let output = Command::new(tests::xtask())
        .arg("list")
        .current_dir(elsewhere.path())
        .env("CARGO_MANIFEST_DIR", fixture.dir().join("crates/sample"))
        .output()
        .expect("the xtask runs");
    assert_eq!(stdout(&output), "sample/good   Wait for two at once.\n");
    let output = fixture
        .xtask_command(&["list"])
        .env("CARGO_TARGET_DIR", "")
        .output()
        .expect("the xtask runs");
    assert_data_eq!(stderr(&output), "error: [..]`CARGO_TARGET_DIR`[..]\n");
}

fn a_section_that_does_not_compile() {
    let broken = Mutant::new("broken", "Ok(())", "Ok(1)");
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "broken", &[broken], &[]);
    let output = fixture.xtask(&["check-all"]);
    assert_eq!(stdout(&output), "");
    assert_data_eq!(
        stderr(&output),
        "...\nerror[E0308]: mismatched types\n...\nerror: sample does not build; [..]\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

fn without_a_python() {
    let fixture = fixture();
    let run = |arguments: &[&str], python: &str| {
        fixture
            .xtask_command(arguments)
            .env("PYTHON", python)
            .output()
            .expect("the xtask runs")
    };
    for arguments in [&["check-python"][..], &["bless", "good"]] {
        let output = run(arguments, "/no/such/python");
        assert_eq!(
            stderr(&output),
            "error: PYTHON=/no/such/python: there is no such program\n"
        );
        assert_eq!(output.status.code(), Some(2));
    }
    assert_eq!(
        stderr(&run(&["check-python"], "python3 -X dev")),
        "error: PYTHON=python3 -X dev: there is no such program; the variable names a \
         program, without arguments\n"
    );
    // The Rust programs need none.
    assert_eq!(
        run(&["check-all"], "/no/such/python").status.code(),
        Some(0)
    );

    let no_path = tempfile::tempdir().expect("a temporary folder");
    let output = fixture
        .xtask_command(&["check-python"])
        .env_remove("PYTHON")
        .env("PATH", no_path.path())
        .output()
        .expect("the xtask runs");
    assert_eq!(
        stderr(&output),
        "error: the twins need CPython 3.11 or later; install it, or name it in the \
         variable PYTHON\n"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[cfg(unix)]
fn a_python_that_is_too_old() {
    use std::os::unix::fs::PermissionsExt;

    let bin = tempfile::tempdir().expect("a temporary folder");
    let python = bin.path().join("python3");
    fs::write(&python, "#!/bin/sh\necho cpython 3 10\n").unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let fixture = fixture();
    let output = fixture
        .xtask_command(&["check-python"])
        .env_remove("PYTHON")
        .env("PATH", bin.path())
        .output()
        .expect("the xtask runs");
    assert_data_eq!(
        stderr(&output),
        "error: the twins need CPython 3.11 or later; [..] (found: python3: it is cpython \
         3.10, not CPython 3.11 or later)\n"
    );
    assert_eq!(output.status.code(), Some(2));
}

fn golden(fixture: &Fixture, name: &str) -> String {
    let path = format!("tests/golden/sample/{name}.txt");
    fs::read_to_string(fixture.dir().join(path)).expect("the golden is there")
}

fn bless_records_what_cpython_prints() {
    let wrong = Mutant::new(
        "wrong_port",
        r#"println!("both are done");"#,
        r#"println!("both are over");"#,
    );
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "bless", &[wrong], &[]);
    let expected = golden(&fixture, "good");

    // What is right does not change; this also shows that the golden is CPython's.
    let output = fixture.xtask(&["bless", "good"]);
    assert_eq!(stdout(&output), "0 goldens changed\n1 passed, 0 failed\n");
    assert_eq!(golden(&fixture, "good"), expected);

    // What is missing is made, by the twin: the port cannot bless its own mistake.
    fs::remove_file(fixture.dir().join("tests/golden/sample/wrong_port.txt")).unwrap();
    let output = fixture.xtask(&["bless", "wrong"]);
    assert_data_eq!(
        stdout(&output),
        str![[r#"
recorded tests/golden/sample/wrong_port.txt
--- expected
+++ printed
@@ -0,0 +1,6 @@
+  0.000  left starts
+  0.000  right starts
+  0.300  left ends
+  0.400  right ends
+  0.650  both are done
+  0.650  (end)
1 golden changed
1 passed, 0 failed

"#]]
    );
    assert_eq!(golden(&fixture, "wrong_port"), expected);
    let output = fixture.xtask(&["check-all", "wrong_port"]);
    assert_eq!(output.status.code(), Some(1), "the wrong port passed");

    // What has changed is shown.
    fixture.write(
        "tests/golden/sample/good.txt",
        "  0.000  left starts\n  0.000  (end)\n",
    );
    let output = fixture.xtask(&["bless", "good"]);
    assert_data_eq!(
        stdout(&output),
        "recorded tests/golden/sample/good.txt\n...\n+  0.650  (end)\n1 golden changed\n..."
    );
    assert_eq!(golden(&fixture, "good"), expected);
}

fn bless_leaves_the_golden_of_a_twin_that_fails() {
    let raises = Mutant::new("raises", "print(\"both are done\")", "raise ValueError");
    let fixture =
        Fixture::new(env!("CARGO_TARGET_TMPDIR"), "bless_fails", &[], &[raises]);
    let before = golden(&fixture, "raises");
    let output = fixture.xtask(&["bless", "sample"]);
    assert_data_eq!(
        stdout(&output),
        str![[r#"
FAIL sample/raises: it failed: exit status: 1
...
0 goldens changed
1 passed, 1 failed

"#]]
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(golden(&fixture, "raises"), before);
}

fn without_a_twin_bless_records_the_rust_program() {
    let alone = Mutant::new(
        "alone",
        "asyncio: asyncio.gather",
        "asyncio: asyncio.gather\n//! twin: none (to see what happens)",
    );
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "alone", &[alone], &[]);
    fs::remove_file(fixture.dir().join("crates/sample/python/alone.py")).unwrap();
    fs::remove_file(fixture.dir().join("tests/golden/sample/alone.txt")).unwrap();
    let output = fixture
        .xtask_command(&["bless", "alone"])
        .env("PYTHON", "/not/needed")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(golden(&fixture, "alone"), golden(&fixture, "good"));
    // A check of the twins has nothing to do with it.
    let output = fixture.xtask(&["check-python"]);
    assert_data_eq!(
        stdout(&output),
        "1 run: [..]\n1 example: [..]\n1 passed, 0 failed\n"
    );
}

/// An example on the real clock: run, compared and recorded there, though the command
/// does not ask for it.
fn an_example_that_needs_the_real_clock() {
    let real = Mutant::new(
        "real",
        "asyncio: asyncio.gather",
        "asyncio: asyncio.gather\n//! clock: real",
    );
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "real", &[real], &[]);
    fs::remove_file(fixture.dir().join("tests/golden/sample/real.txt")).unwrap();
    for arguments in [
        &["bless", "real"][..],
        &["check-all", "real"],
        &["check-python", "real"],
    ] {
        let output = fixture.xtask(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    }
    let output = fixture.xtask(&["check-all", "real"]);
    assert_data_eq!(
        stdout(&output),
        "1 run: longest wait on the real clock 0.[..] s, [..]\n1 example: [..]\n1 passed, 0 failed\n"
    );
    assert_is_in_time(&stdout(&output), "clock ");
    // Recorded on a grid, so that it does not depend on the day.
    assert_eq!(golden(&fixture, "real"), golden(&fixture, "good"));
    let output = fixture.xtask(&["bless", "real"]);
    assert_data_eq!(stdout(&output), "0 goldens changed\n...");
    // The user's `--virtual-time` does not lead it astray either.
    let output = fixture
        .command(&fixture.section())
        .args(["--virtual-time", "real"])
        .output()
        .unwrap();
    assert_data_eq!(stdout(&output), "...\n  0.[..]  both are done\n");
    assert_is_in_time(&stdout(&output), "right ends\n  ");
}

/// That the time behind these words is that of the last line of `good`, or a little later.
#[track_caller]
fn assert_is_in_time(text: &str, words: &str) {
    let (_, rest) = text.split_once(words).expect("the words are there");
    let time = rest.split(' ').next().and_then(|time| time.parse().ok());
    let in_time = time.is_some_and(|time: f64| (0.65..0.75).contains(&time));
    assert!(in_time, "{text}");
}

/// A twin that declares a package runs in a virtual environment that has it. The package
/// is a wheel that the test makes, so nothing is downloaded.
fn a_twin_with_a_package() {
    let needs = Mutant::new(
        "needs_package",
        "import asyncio\n",
        "# /// script\n# dependencies = [\"greeter\"]\n# ///\nimport asyncio\n\
             \nimport greeter\n",
    );
    let says = Mutant::new("needs_package", "\"both are done\"", "greeter.TEXT");
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "packages", &[], &[needs]);
    let path = "crates/sample/python/needs_package.py";
    let twin = fs::read_to_string(fixture.dir().join(path)).unwrap();
    fixture.write(path, &twin.replace(says.from, says.to));

    let (folder, requirements) = ("tests/python", "tests/python/requirements.txt");
    let old = make_wheel(&fixture.dir().join(folder), "1.0", "both are over");
    fixture.write(requirements, &old);
    let output = fixture.xtask(&["check-python", "needs_package"]);
    assert_data_eq!(stdout(&output), "...\n    +  0.650  both are over\n...");
    assert_data_eq!(stderr(&output), "Making the Python environment [..]\n");

    // New requirements make a new environment, and the next use makes none.
    let new = make_wheel(&fixture.dir().join(folder), "1.1", "both are done");
    fixture.write(requirements, &new);
    let output = fixture.xtask(&["check-python", "needs_package"]);
    assert_data_eq!(
        stdout(&output),
        "1 run: [..]\n1 example: [..]\n1 passed, 0 failed\n"
    );
    assert_data_eq!(stderr(&output), "Making the Python environment [..]\n");
    let output = fixture.xtask(&["check-python", "needs_package"]);
    assert_eq!(stderr(&output), "");
    assert_eq!(output.status.code(), Some(0));

    // A package that is not pinned is not there.
    fixture.write(requirements, "");
    let output = fixture.xtask(&["check-python", "needs_package"]);
    assert_data_eq!(
        stdout(&output),
        "...\n[..]ModuleNotFoundError: No module named 'greeter'\n..."
    );
    assert_eq!(output.status.code(), Some(1));

    // Without a hash, or with that of another file, a package is not installed.
    let (path, _) = old.split_once(" --hash=").expect("a pin has a hash");
    let other = new.replace("1.1", "1.0");
    for (pin, said) in [(path, "Hashes are required"), (&other, "DO NOT MATCH")] {
        fixture.write(requirements, pin);
        let output = fixture.xtask(&["check-python", "needs_package"]);
        let text = stdout(&output);
        assert!(text.contains(said), "{text}");
        assert_eq!(output.status.code(), Some(1));
    }

    // What cannot be installed is told, and is not taken for an environment next time.
    fixture.write(requirements, &old.replace("greeter", "no-such"));
    for _ in 0..2 {
        let output = fixture.xtask(&["check-python", "needs_package"]);
        assert_data_eq!(
            stdout(&output),
            "FAIL sample/needs_package: it cannot be run: [..] failed:\n..."
        );
        assert_eq!(output.status.code(), Some(1));
    }
}

/// Makes a wheel in the folder, and returns the line that pins it.
fn make_wheel(dir: &Path, version: &str, text: &str) -> String {
    let script = format!(
        r#"
import hashlib, pathlib, zipfile
info = "greeter-{version}.dist-info/"
path = "./greeter-{version}-py3-none-any.whl"
with zipfile.ZipFile(path, "w") as wheel:
    wheel.writestr("greeter.py", "TEXT = '{text}'")
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: greeter\nVersion: {version}\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "")
print(path, "--hash=sha256:" + hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest())
"#
    );
    let output = Command::new(tests::python().program())
        .args(["-c", &script])
        .current_dir(dir)
        .output()
        .expect("python3 can be run");
    assert!(output.status.success(), "the wheel could not be made");
    stdout(&output)
}

/// What is in a folder, hidden entries included.
fn everything_in(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        names.push(entry.unwrap().file_name().into_string().unwrap());
    }
    names.sort();
    names
}

fn copy(fixture: &Fixture, example: &str, dir: &Path) -> Output {
    fixture.xtask(&["copy", example, dir.to_str().unwrap()])
}

fn copy_makes_a_project() {
    let fixture = fixture();
    let above = tempfile::tempdir().unwrap();
    let empty = above.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for dir in [
        above.path().join("new"),
        empty,
        above.path().join("not/yet/there"),
    ] {
        let output = copy(&fixture, "sample/good", &dir);
        assert_eq!(stderr(&output), "");
        let shown = dir.display();
        assert_eq!(
            stdout(&output),
            format!(
                "made {shown}/Cargo.toml\nmade {shown}/src/main.rs\nNow:\n    \
                 cd {shown}\n    cargo run\n"
            )
        );
        assert_eq!(everything_in(&dir), ["Cargo.toml", "src"]);
        assert_eq!(everything_in(&dir.join("src")), ["main.rs"]);
        let source = fixture.dir().join("crates/sample/src/good.rs");
        assert_eq!(
            fs::read_to_string(dir.join("src/main.rs")).unwrap(),
            fs::read_to_string(source).unwrap()
        );
        assert_data_eq!(
            fs::read_to_string(dir.join("Cargo.toml")).unwrap(),
            str![[r#"
[package]
name = "good"
version = "0.1.0"
edition = "2024"
publish = false

[dependencies]
tokio = { version = "[..]", features = ["macros", "rt-multi-thread", "time"] }

# A workspace of its own, so that the project also works inside of another one.
[workspace]

"#]]
        );
    }
    assert_eq!(everything_in(above.path()), ["empty", "new", "not"]);
}

fn copy_prints_the_manifest() {
    let output = fixture().xtask(&["copy", "sample/good", "--print-manifest"]);
    // The version is what the section asks for.
    assert_eq!(
        stdout(&output),
        "[package]\nedition = \"2024\"\n\n[dependencies]\n\
         tokio = { version = \"1\", features = [\"macros\", \"rt-multi-thread\", \
         \"time\"] }\n"
    );
}

fn copy_takes_what_cargo_new_made() {
    let fixture = fixture();
    let above = tempfile::tempdir().unwrap();
    let cargo = |arguments: &[&str]| {
        let output = fixture
            .command(Path::new(&xtask::workspace::cargo()))
            .args(arguments)
            .current_dir(above.path())
            .output();
        output.expect("cargo runs")
    };
    assert_eq!(cargo(&["new", "mine"]).status.code(), Some(0));
    let mine = above.path().join("mine");
    let output = copy(&fixture, "good", &mine);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let manifest = fs::read_to_string(mine.join("Cargo.toml")).unwrap();
    assert!(
        manifest.starts_with("[package]\nname = \"mine\"\n"),
        "{manifest}"
    );
    assert!(
        manifest.contains("\n[dependencies]\ntokio = "),
        "{manifest}"
    );
    let check = cargo(&[
        "metadata",
        "--no-deps",
        "--format-version=1",
        "--manifest-path",
        "mine/Cargo.toml",
    ]);
    assert_eq!(check.status.code(), Some(0), "{}", stderr(&check));
    // What is no longer cargo's own is not touched, nor is another edition.
    assert_eq!(copy(&fixture, "good", &mine).status.code(), Some(1));
    assert_eq!(
        cargo(&["new", "--edition=2021", "old"]).status.code(),
        Some(0)
    );
    let output = copy(&fixture, "good", &above.path().join("old"));
    assert_data_eq!(
        stderr(&output),
        "error: [..] is not as `cargo new` makes it for edition 2024; nothing was touched\n"
    );
    let old = fs::read_to_string(above.path().join("old/src/main.rs")).unwrap();
    assert!(old.contains("Hello, world!"), "{old}");
}

fn copy_refuses_a_workspace_that_would_take_it_in() {
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "taken", &[], &[]);
    let _ = fs::remove_dir_all(fixture.dir().join("crates/taken"));
    for dir in ["crates/taken", "notes/not_taken"] {
        let output = copy(&fixture, "good", &fixture.dir().join(dir));
        let refused = output.status.code() == Some(1);
        assert_eq!(refused, dir == "crates/taken", "{}", stderr(&output));
        if refused {
            assert_data_eq!(
                stderr(&output),
                "error: [..]crates/taken is inside of the workspace [..], which would take it \
                 for a member; choose a folder outside of it. cargo says: [..]\n..."
            );
            assert!(!fixture.dir().join(dir).exists());
        } else {
            fs::remove_dir_all(fixture.dir().join("notes")).unwrap();
        }
    }
}

fn copy_never_overwrites() {
    let fixture = fixture();
    let above = tempfile::tempdir().unwrap();
    let (full, file) = (above.path().join("full"), above.path().join("file"));
    fs::create_dir(&full).unwrap();
    fs::write(full.join("mine"), "mine").unwrap();
    fs::write(&file, "mine").unwrap();
    let output = copy(&fixture, "sample/good", &full);
    assert_data_eq!(
        stderr(&output),
        "error: [..]full is not empty; nothing there was touched\n"
    );
    assert_eq!(output.status.code(), Some(1));
    let output = copy(&fixture, "sample/good", &file);
    assert_data_eq!(stderr(&output), "error: [..]file is not a folder: [..]\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(everything_in(above.path()), ["file", "full"]);
    assert_eq!(everything_in(&full), ["mine"]);
    assert_eq!(fs::read_to_string(file).unwrap(), "mine");
}

fn copy_of_what_is_not_there() {
    let above = tempfile::tempdir().unwrap();
    let output = copy(&fixture(), "sample/god", &above.path().join("new"));
    assert_eq!(
        stderr(&output),
        "error: no example `sample/god`; did you mean `sample/good`?\n"
    );
    assert_eq!(output.status.code(), Some(2));
    // A part of a name selects examples elsewhere; here it is not enough.
    let output = copy(&fixture(), "goo", &above.path().join("new"));
    assert_eq!(
        stderr(&output),
        "error: no example `goo`; did you mean `sample/good`?\n"
    );
    assert_eq!(everything_in(above.path()), [""; 0]);
    for arguments in [
        &["copy"][..],
        &["copy", "sample/good"],
        &["copy", "sample/good", "x", "--print-manifest"],
        &["copy", "sample/good", "x", "y"],
        &["copy", "sample/good", ""],
    ] {
        assert_eq!(
            fixture().xtask(arguments).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
}

#[cfg(unix)]
fn copy_where_nothing_can_be_written() {
    use std::os::unix::fs::PermissionsExt;

    let fixture = fixture();
    let above = tempfile::tempdir().unwrap();
    fs::write(above.path().join("file"), "mine").unwrap();
    let locked = above.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    let mut unwritable = vec![above.path().join("file/new")];
    if fs::write(locked.join("probe"), "").is_ok() {
        // Root writes anywhere but where there is nothing to write to.
        fs::remove_file(locked.join("probe")).unwrap();
        unwritable.push("/proc/new".into());
    } else {
        unwritable.push(locked.clone());
        unwritable.push(locked.join("new"));
        unwritable.push(locked.join("not/there"));
    }
    for dir in unwritable {
        let output = copy(&fixture, "sample/good", &dir);
        assert_data_eq!(stderr(&output), "error: cannot make [..]: [..]\n");
        assert_eq!(stdout(&output), "");
        assert_eq!(output.status.code(), Some(1));
    }
    assert_eq!(everything_in(above.path()), ["file", "locked"]);
    assert_eq!(everything_in(&locked), [""; 0]);
}

fn copy_names_a_crate_that_it_does_not_know() {
    let names = Mutant::new(
        "names_another",
        "println!(\"both are done\");",
        "#[cfg(any())]\n    serde_json::to_string(&1);\n    println!(\"both are done\");",
    );
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "names", &[names], &[]);
    let above = tempfile::tempdir().unwrap();
    let output = copy(&fixture, "sample/names_another", &above.path().join("new"));
    assert_eq!(
        stderr(&output),
        "error: crates/sample/src/names_another.rs uses the crate `serde_json`, which is \
         none that crates/sample/Cargo.toml depends on\n"
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(everything_in(above.path()), [""; 0]);
}

fn new_refuses_names() {
    let fixture = fixture();
    let before =
        fs::read_to_string(fixture.dir().join("crates/sample/src/main.rs")).unwrap();
    for (id, expected) in [
        ("good", "error: `good` is not of the form SECTION/EXAMPLE\n"),
        (
            "simple/fresh",
            "error: no section `simple`; there are: sample\n",
        ),
        (
            "sample/good",
            "error: the name `good` is taken: there is crates/sample/src/good.rs\n",
        ),
        (
            "sample/newOne",
            "error: `newOne` is not in snake_case: [..]\n",
        ),
        (
            "sample/new-one",
            "error: `new-one` is not in snake_case: [..]\n",
        ),
        ("sample/a/b", "error: `a/b` is not in snake_case: [..]\n"),
        ("sample/../x", "error: `../x` is not in snake_case: [..]\n"),
        (
            "sample/match",
            "error: `match` cannot be the name of a module\n",
        ),
        (
            "sample/main",
            "error: `main` cannot be the name of a module\n",
        ),
    ] {
        let output = fixture.xtask(&["new", id]);
        assert_data_eq!(stderr(&output), expected.to_owned());
        assert_eq!(stdout(&output), "");
        assert_eq!(output.status.code(), Some(2), "{id}");
    }
    for stray in [
        "crates/sample/python/left.py",
        "tests/golden/sample/left.txt",
    ] {
        fixture.write(stray, "");
        let output = fixture.xtask(&["new", "sample/left"]);
        assert_eq!(
            stderr(&output),
            format!("error: the name `left` is taken: there is {stray}\n")
        );
        fs::remove_file(fixture.dir().join(stray)).unwrap();
    }
    let main = fixture.dir().join("crates/sample/src/main.rs");
    assert_eq!(fs::read_to_string(main).unwrap(), before);
    assert_eq!(
        everything_in(&fixture.dir().join("crates/sample/src")),
        ["good.rs", "main.rs"]
    );
}

/// What `new` makes passes the inventory, fails the comparison until it is blessed, and
/// passes then; in a copy of this workspace, so also for its sections and settings.
fn new_in_a_scratch_clone() {
    let clone = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    copy_tree(&tests::root(), clone.path());
    let run = |arguments: &[&str]| {
        Command::new(tests::xtask())
            .args(arguments)
            .current_dir(clone.path())
            .env_remove("CARGO_TARGET_DIR")
            // The dependencies are compiled already, for this workspace.
            .env(
                "CARGO_BUILD_BUILD_DIR",
                Path::new(env!("CARGO_TARGET_TMPDIR")).join(".."),
            )
            .output()
            .expect("the xtask runs")
    };
    let output = run(&["new", "iterators/fresh_one"]);
    assert_data_eq!(
        stdout(&output),
        str![[r#"
made crates/iterators/src/fresh_one.rs
made crates/iterators/python/fresh_one.py
changed crates/iterators/src/main.rs
Write the program and its twin, then record and check the transcript:
    cargo xtask bless iterators/fresh_one
    cargo xtask check-all iterators/fresh_one

"#]]
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(run(&["new", "iterators/fresh_one"]).status.code(), Some(2));

    // Written, the missing golden is all that is wrong.
    for path in ["src/fresh_one.rs", "python/fresh_one.py"] {
        let path = clone.path().join("crates/iterators").join(path);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("TODO", "Done")).unwrap();
    }
    let output = run(&["check-all", "fresh_one"]);
    assert_data_eq!(
        stdout(&output),
        "FAIL iterators/fresh_one: there is no golden [..]\n\
         \x20   bless it:      cargo xtask bless iterators/fresh_one\n\
         1 run: [..]\n1 example: [..]\n0 passed, 1 failed\n"
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        run(&["bless", "iterators/fresh_one"]).status.code(),
        Some(0)
    );
    for arguments in [
        &["check-all", "iterators/"][..],
        &["check-python", "fresh_one"],
        &["check-all", "fresh_one", "--real-time"],
        &["test-spawn", "fresh_one"],
        &["copy", "iterators/fresh_one", "target/copied"],
    ] {
        let output = run(arguments);
        let said = format!("{arguments:?}\n{}{}", stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(0), "{said}");
    }
}

/// Copies what a clone has: all but what is built and what git keeps for itself.
fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if [".git", "target"].iter().any(|skipped| name == *skipped) {
            continue;
        }
        let copied = to.join(name);
        if path.is_dir() {
            fs::create_dir(&copied).unwrap();
            copy_tree(&path, &copied);
        } else {
            fs::copy(&path, &copied).unwrap();
        }
    }
}
