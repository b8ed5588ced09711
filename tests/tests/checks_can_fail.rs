//! The checks catch what they are there to catch: programs that are wrong in one respect
//! each, and files that do not belong together.

use std::collections::BTreeMap;
use std::fs;
use std::process::{ExitCode, Output};

use tests::{Copies, Fixture, Mutant, Test, stderr, stdout, test};
use xtask::workspace::Workspace;

const TESTS: &[Test] = &[
    test!(on_the_virtual_clock),
    test!(a_failure_tells_how_to_go_on),
    test!(files_that_do_not_belong_together),
    test!(on_the_real_clock),
    test!(inside_of_spawn),
    test!(what_is_not_send_does_not_compile_unless_it_says_so),
    test!(copies),
    test!(twins, Python),
];

fn main() -> ExitCode {
    tests::run(TESTS)
}

const BOTH: &str = r#"tokio::join!(wait("left", 1000), wait("right", 1200));"#;
const LAST: &str = r#"println!("both are done");"#;

/// Programs that print something else than `good`, or do not come to its end.
const PROGRAMS: [Mutant; 15] = [
    Mutant::new("changed_word", "both are done", "both are over"),
    Mutant::new(
        "swapped_lines",
        BOTH,
        r#"tokio::join!(wait("right", 1200), wait("left", 1000));"#,
    ),
    Mutant::new("one_ms_late", "500", "501"),
    Mutant::new("early", "500", "100"),
    Mutant::new("missing_last_line", LAST, ""),
    Mutant::new(
        "extra_line",
        LAST,
        r#"println!("both are done"); println!("really");"#,
    ),
    Mutant::new(
        "sequential",
        BOTH,
        r#"wait("left", 1000).await; wait("right", 1200).await;"#,
    ),
    Mutant::new(
        "other_order",
        BOTH,
        r#"tokio::join!(wait("left", 1200), wait("right", 1000));"#,
    ),
    // Longer than any limit here, but not for ever: a test of a check that has been taken
    // out has to end as well.
    Mutant::new(
        "hangs",
        LAST,
        "std::thread::sleep(Duration::from_secs(100));",
    ),
    Mutant::new("panics", "Ok(())", r#"panic!("the sky falls")"#),
    Mutant::new(
        "returns_error",
        "Ok(())",
        r#"Err("no such file".to_owned())"#,
    ),
    Mutant::new("exits_early", LAST, "std::process::exit(0);"),
    Mutant::new(
        "exits_behind_its_last_line",
        LAST,
        r#"println!("both are done"); std::process::exit(0);"#,
    ),
    Mutant::new(
        "prints_by_itself",
        LAST,
        r#"std::println!("both are done");"#,
    ),
    // Nothing is wrong with the program itself: its golden is taken away.
    Mutant::new(
        "no_golden",
        "The program from which",
        "A program from which",
    ),
];

/// Programs whose header is malformed.
const HEADERS: [Mutant; 5] = [
    Mutant::new("no_summary", "//! Wait for two at once.\n", ""),
    Mutant::new(
        "unknown_directive",
        "asyncio: gather",
        "asyncio: gather\n//! clok: real",
    ),
    Mutant::new(
        "malformed_directive",
        "asyncio: gather",
        "asyncio: gather\n//! clock: fast",
    ),
    Mutant::new("no_directives", "//!\n//! asyncio: gather\n", ""),
    Mutant::new(
        "wide",
        "from which the",
        "from which, as we said before and say again, the",
    ),
];

/// Twins that differ from the twin of `good`.
const TWINS: [Mutant; 6] = [
    Mutant::new("twin_changed_word", "both are done", "both are over"),
    Mutant::new("twin_late", "sleep(0.5)", "sleep(0.501)"),
    Mutant::new(
        "twin_sequential",
        r#"asyncio.gather(wait("left", 1.0), wait("right", 1.2))"#,
        "wait(\"left\", 1.0)\n    await wait(\"right\", 1.2)",
    ),
    Mutant::new(
        "twin_raises",
        "print(\"both are done\")",
        "raise ValueError(\"no\")",
    ),
    Mutant::new(
        "twin_exits",
        "print(\"both are done\")",
        "raise SystemExit(0)",
    ),
    Mutant::new("twin_hangs", "asyncio.sleep(0.5)", "asyncio.Event().wait()"),
];

/// The failures in the output of a check: what stands behind `FAIL` up to the colon, and
/// the lines that belong to it. The same subject may fail for several reasons.
fn failures(output: &Output) -> BTreeMap<String, String> {
    let stdout = stdout(output);
    let mut failures: BTreeMap<String, String> = BTreeMap::new();
    let mut current = None;
    for line in stdout.lines() {
        if let Some(failure) = line.strip_prefix("FAIL ") {
            let (subject, _) = failure.split_once(": ").expect("a subject and a problem");
            current = Some(subject.to_owned());
        } else if !line.starts_with("    ") {
            current = None;
        }
        if let Some(subject) = &current {
            let text = failures.entry(subject.clone()).or_default();
            text.push_str(line);
            text.push('\n');
        }
    }
    failures
}

/// That exactly these have failed, each with this text in what is said of it.
#[track_caller]
fn assert_failures(output: &Output, expected: &[(&str, &str)]) {
    let (stdout, stderr) = (stdout(output), stderr(output));
    let found = failures(output);
    for (subject, text) in expected {
        let said = found.get(*subject);
        let said = said.unwrap_or_else(|| panic!("{subject} passed:\n{stdout}{stderr}"));
        assert!(
            said.contains(text),
            "{subject} is not said to be `{text}`:\n{said}"
        );
    }
    for (subject, said) in &found {
        let known = expected.iter().any(|(expected, _)| expected == subject);
        assert!(known, "{subject} failed too:\n{said}");
    }
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
}

fn last_line(output: &Output) -> String {
    stdout(output).lines().last().unwrap_or_default().to_owned()
}

fn wrong_programs() -> Fixture {
    let programs = [&PROGRAMS[..], &HEADERS[..]].concat();
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "wrong", &programs, &[]);
    let golden = fixture.dir().join("tests/golden/sample/no_golden.txt");
    fs::remove_file(golden).expect("the golden was there");
    fixture
}

fn on_the_virtual_clock() {
    let output = wrong_programs().xtask(&["check-all", "--limit", "3"]);
    let differs = "what it printed differs from tests/golden/sample";
    assert_failures(
        &output,
        &[
            ("sample/changed_word", "+  1.700  both are over"),
            ("sample/swapped_lines", "-  0.000  right starts"),
            ("sample/one_ms_late", "+  1.701  both are done"),
            ("sample/early", "+  1.300  both are done"),
            ("sample/missing_last_line", "-  1.700  both are done"),
            ("sample/extra_line", "+  1.700  really"),
            ("sample/sequential", "+  1.000  right starts"),
            ("sample/other_order", differs),
            ("sample/hangs", "it did not end within 3 s"),
            ("sample/panics", "it failed: exit status: 1"),
            ("sample/panics", "the sky falls"),
            ("sample/returns_error", "it failed: exit status: 1"),
            ("sample/returns_error", "no such file"),
            ("sample/exits_early", "it exited early"),
            ("sample/exits_behind_its_last_line", "it exited early"),
            (
                "sample/prints_by_itself",
                "is not of `println!`: `both are done`",
            ),
            ("sample/no_golden", "there is no golden"),
            ("crates/sample/src/no_summary.rs", "no summary"),
            (
                "crates/sample/src/unknown_directive.rs",
                "unknown directive `clok:`",
            ),
            ("crates/sample/src/malformed_directive.rs", "`clock: fast`"),
            (
                "crates/sample/src/no_directives.rs",
                "`asyncio:` is missing",
            ),
            ("crates/sample/src/wide.rs", "columns"),
        ],
    );
    // `good` passes, and the programs whose header alone is wrong pass as programs. Of a
    // header without directives three things are said: its last paragraph is prose, there
    // is no other prose, and `asyncio:` is missing.
    assert_eq!(last_line(&output), "6 passed, 22 failed");
}

fn a_failure_tells_how_to_go_on() {
    let output = wrong_programs().xtask(&["check-all", "changed_word"]);
    let stdout = stdout(&output);
    let expected = "\
FAIL sample/changed_word: what it printed differs from tests/golden/sample/changed_word.txt
    --- expected
    +++ printed
    @@ -2,4 +2,4 @@
       0.000  right starts
       1.000  left ends
       1.200  right ends
    -  1.700  both are done
    +  1.700  both are over
    run it again:  cargo run -p sample -- --virtual-time changed_word
    bless it:      cargo xtask bless sample/changed_word
1 run: ";
    assert!(stdout.starts_with(expected), "{stdout}");
    assert_eq!(last_line(&output), "0 passed, 1 failed");
}

fn files_that_do_not_belong_together() {
    let name = "strays";
    let twin_missing = Mutant::new("twin_missing", "The program", "A program");
    let unwanted = Mutant::new(
        "twin_unwanted",
        "asyncio: gather",
        "asyncio: gather\n//! twin: none (why not)",
    );
    let programs = [twin_missing, unwanted];
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), name, &programs, &[]);
    let twin = fixture.dir().join("crates/sample/python/twin_missing.py");
    fs::remove_file(twin).expect("the twin was there");
    for stray in [
        "crates/sample/src/unlisted.rs",
        "crates/sample/src/folder/mod.rs",
        "crates/sample/src/notes.md",
        "crates/sample/python/orphan.py",
        "crates/sample/python/notes.md",
        "tests/golden/sample/orphan.txt",
        "tests/golden/sample/good.new",
        "tests/golden/nowhere/good.txt",
    ] {
        fixture.write(stray, "");
    }
    fixture.write(
        "crates/sample/python/good.py",
        &format!(
            "# /// script\n# dependencies = [\"aiohttp\"]\n# ///\n{}",
            fs::read_to_string(
                tests::root().join("tests/fixture/crates/sample/python/good.py")
            )
            .expect("the twin is there")
        ),
    );
    let output = fixture.xtask(&["check-all"]);
    assert_failures(
        &output,
        &[
            (
                "crates/sample/src/unlisted.rs",
                "no section lists this file",
            ),
            ("crates/sample/src/folder", "an example is one file"),
            ("crates/sample/src/notes.md", "no section lists this file"),
            (
                "crates/sample/python/orphan.py",
                "a twin without an example",
            ),
            ("crates/sample/python/notes.md", "not a twin"),
            (
                "crates/sample/python/twin_missing.py",
                "the twin is missing",
            ),
            ("crates/sample/python/twin_unwanted.py", "says `twin: none`"),
            ("crates/sample/python/good.py", "needs aiohttp"),
            (
                "tests/golden/sample/orphan.txt",
                "a golden without an example",
            ),
            ("tests/golden/sample/good.new", "not a golden"),
            ("tests/golden/nowhere", "goldens without a section"),
        ],
    );
    assert_eq!(last_line(&output), "3 passed, 11 failed");
}

/// What passes on the real clock and not on the virtual one is what the real clock leaves
/// open: the order within a group, and a delay within the slack.
fn on_the_real_clock() {
    let output = wrong_programs().xtask(&["check-all", "--real-time", "--limit", "6"]);
    let text = stdout(&output);
    let passed: Vec<&str> = PROGRAMS
        .iter()
        .map(|mutant| mutant.name)
        .filter(|name| !text.contains(&format!("FAIL sample/{name}: ")))
        .collect();
    assert_eq!(passed, ["swapped_lines", "one_ms_late"]);
    for (name, expected) in [
        ("early", "-  1.700  both are done"),
        ("sequential", "-  0.000  right starts"),
        ("other_order", "-  1.000  left ends"),
        ("missing_last_line", "-  1.700  both are done"),
        ("extra_line", "really"),
        ("hangs", "it did not end within 6 s"),
        ("exits_early", "it exited early"),
    ] {
        let said = &failures(&output)[&format!("sample/{name}")];
        assert!(said.contains(expected), "{said}");
        assert!(
            said.contains(&format!("cargo run -p sample -- {name}\n")),
            "{said}"
        );
    }
    assert_eq!(last_line(&output), "8 passed, 20 failed");
    assert_eq!(output.status.code(), Some(1));

    // A slack of a millisecond is more than any machine keeps; the slack counts.
    let strict = [
        "check-all",
        "--real-time",
        "--slack",
        "0.000001",
        "sample/good",
    ];
    let output = wrong_programs().xtask(&strict);
    assert_failures(&output, &[("sample/good", "both are done")]);
}

const HOLDS_RC: &str = "let held = std::rc::Rc::new(()); sleep(Duration::ZERO).await; \
                        drop(held); Ok(())";

fn inside_of_spawn() {
    let programs = [
        Mutant::new("not_send", "Ok(())", HOLDS_RC),
        Mutant::new("not_declared", "Ok(())", HOLDS_RC),
        Mutant::new(
            "declared_for_nothing",
            "asyncio: gather",
            "asyncio: gather\n//! send: no (it could, but does not say so)",
        ),
        Mutant::new(
            "differs",
            "println!(\"both are done\");",
            "let mark = if tokio::task::try_id().is_some() { \"?\" } else { \"\" };
    println!(\"both are done{mark}\");",
        ),
    ];
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "spawned", &programs, &[]);
    let not_send = "crates/sample/src/not_send.rs";
    let text = fs::read_to_string(fixture.dir().join(not_send)).expect("it is there");
    let directive = "asyncio: gather\n//! send: no (it holds an Rc)";
    fixture.write(not_send, &text.replace("asyncio: gather", directive));
    fixture.write(
        "crates/sample/src/main.rs",
        "#[macro_use]\nextern crate example_runner;\n\
         examples! { good, not_send (not Send), not_declared (not Send), \
         declared_for_nothing, differs }\n",
    );
    let output = fixture.xtask(&["check-all"]);
    assert_failures(
        &output,
        &[
            (
                "crates/sample/src/not_declared.rs",
                "has to say `send: no (why)`",
            ),
            (
                "crates/sample/src/declared_for_nothing.rs",
                "does not list it as `(not Send)`",
            ),
        ],
    );
    let output = fixture.xtask(&["test-spawn"]);
    assert_failures(
        &output,
        &[
            ("sample/differs", "+  1.700  both are done?"),
            ("sample/not_declared", "`run` is not Send"),
        ],
    );
    assert_eq!(last_line(&output), "1 passed, 2 failed");
    // A check that has nothing to check does not pass.
    let output = fixture.xtask(&["test-spawn", "not_send"]);
    assert_eq!(output.status.code(), Some(2));
}

fn what_is_not_send_does_not_compile_unless_it_says_so() {
    let unsaid = Mutant::new("unsaid", "Ok(())", HOLDS_RC);
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "unsaid", &[unsaid], &[]);
    let output = fixture.xtask(&["check-all"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = stderr(&output);
    assert!(
        stderr.contains("future cannot be sent between threads safely"),
        "{stderr}"
    );
    assert!(stderr.contains("crates/sample/src/unsaid.rs"), "{stderr}");
}

/// What the test of the copies has to find.
fn copies() {
    let workspace = Workspace::open().expect("the workspace opens");
    let example = workspace
        .example("iterators/stop_early")
        .expect("it is there");
    let copies = Copies::new(env!("CARGO_TARGET_TMPDIR"), "copied-wrong");
    let check = |file: &str, from: &str, to: &str| {
        copies.check(&workspace, example, |path, text| {
            if path != file {
                return text;
            }
            assert!(text.contains(from), "{from} is not in {file}:\n{text}");
            text.replace(from, to)
        })
    };
    let (manifest, source) = ("Cargo.toml", "src/main.rs");
    assert_eq!(check(manifest, "", ""), Ok(()));
    let said = |file, from, to| check(file, from, to).expect_err("it passed");
    for (file, from, to, expected) in [
        (manifest, "async-stream = ", "#", "async_stream"),
        (manifest, ", \"sync\"", "", "module `sync` is private"),
        (
            source,
            "let (rows, closer)",
            "let x = 1; let (rows, closer)",
            "unused variable",
        ),
        (source, "row == 2", "row == 3", "row 3"),
        (
            source,
            "Ok(())\n",
            "std::process::exit(3)\n",
            "exit status: 3",
        ),
    ] {
        let said = said(file, from, to);
        assert!(said.contains(expected), "{said}");
    }
}

fn twins() {
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "twins", &[], &TWINS);
    let output = fixture.xtask(&["check-python", "--limit", "20"]);
    assert_failures(
        &output,
        &[
            ("sample/twin_changed_word", "+  1.700  both are over"),
            ("sample/twin_late", "+  1.701  both are done"),
            ("sample/twin_sequential", "+  1.000  right starts"),
            ("sample/twin_raises", "ValueError: no"),
            ("sample/twin_exits", "it exited early"),
            (
                "sample/twin_hangs",
                "deadlock: every task waits and no timer is set",
            ),
        ],
    );
    assert_eq!(last_line(&output), "1 passed, 6 failed");
    // On CPython's own loop: what is a millisecond late passes, and nobody sees that an
    // event will never be set.
    let output = fixture.xtask(&["check-python", "--real-time", "--limit", "8"]);
    assert_failures(
        &output,
        &[
            ("sample/twin_changed_word", "both are over"),
            ("sample/twin_sequential", "-  0.000  right starts"),
            ("sample/twin_raises", "ValueError: no"),
            ("sample/twin_exits", "it exited early"),
            ("sample/twin_hangs", "it did not end within 8 s"),
        ],
    );
    // The Rust programs are all those of `good`.
    let output = fixture.xtask(&["check-all"]);
    assert_eq!(last_line(&output), "7 passed, 0 failed");
    assert_eq!(output.status.code(), Some(0));
}
