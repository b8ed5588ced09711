//! The checks catch what they are there to catch: programs that are wrong in one respect
//! each, and files that do not belong together.

use std::collections::BTreeMap;
use std::fs;
use std::process::{ExitCode, Output};

use tests::{Copies, Fixture, Mutant, Test, stderr, stdout, test};
use xtask::workspace::Workspace;

const TESTS: &[Test] = &[
    // The longest first.
    test!(copies),
    test!(twins, Python),
    test!(on_the_virtual_clock),
    test!(a_failure_tells_how_to_go_on),
    test!(files_that_do_not_belong_together),
    test!(on_the_real_clock),
    test!(lateness_alone_is_forgiven_twice),
    test!(what_headers_announce),
    test!(fails),
    test!(a_forgotten_feature),
    test!(an_untouched_template),
    test!(inside_of_spawn),
    test!(what_is_not_send_does_not_compile_unless_it_says_so),
];

fn main() -> ExitCode {
    tests::run(TESTS)
}

const BOTH: &str = r#"tokio::join!(wait("left", 300), wait("right", 400));"#;
const LAST: &str = r#"println!("both are done");"#;

/// Programs that print something else than `good`, do something else beside, or do not
/// come to its end. For each, what is said of it on the virtual clock and on the real one;
/// nothing where that clock leaves it open.
const PROGRAMS: [(Mutant, &str, &str); 27] = [
    (
        Mutant::new("changed_word", "both are done", "both are over"),
        "+  0.650  both are over",
        "both are over",
    ),
    (
        Mutant::new(
            "swapped_lines",
            BOTH,
            r#"tokio::join!(wait("right", 400), wait("left", 300));"#,
        ),
        "-  0.000  right starts",
        // They are lines of one task.
        "what it printed differs",
    ),
    (
        Mutant::new(
            "swapped_tasks",
            BOTH,
            r#"let right = tokio::spawn(wait("right", 400));
            tokio::spawn(wait("left", 300)).await.ok();
            right.await.ok();"#,
        ),
        "-  0.000  right starts",
        "",
    ),
    (
        Mutant::new("one_ms_late", "250", "251"),
        "+  0.651  both are done",
        "",
    ),
    (
        Mutant::new("sixty_ms_late", "250", "310"),
        "+  0.710  both are done",
        "both are done",
    ),
    (
        Mutant::new("early", "250", "100"),
        "+  0.500  both are done",
        "-  0.650  both are done",
    ),
    (
        Mutant::new("missing_last_line", LAST, ""),
        "-  0.650  both are done",
        "-  0.650  both are done",
    ),
    (
        Mutant::new(
            "extra_line",
            LAST,
            r#"println!("both are done"); println!("really");"#,
        ),
        "+  0.650  really",
        "really",
    ),
    (
        Mutant::new(
            "sequential",
            BOTH,
            r#"wait("left", 300).await; wait("right", 400).await;"#,
        ),
        "+  0.300  right starts",
        "-  0.000  right starts",
    ),
    (
        Mutant::new(
            "other_order",
            BOTH,
            r#"tokio::join!(wait("left", 400), wait("right", 300));"#,
        ),
        "+  0.300  right ends",
        "-  0.300  left ends",
    ),
    // Longer than any limit here, but not for ever: a test of a check that has been taken
    // out has to end as well.
    (
        Mutant::new("hangs", LAST, "blocks_for(100_000);"),
        "it did not end within 3 s",
        "it did not end within 3 s",
    ),
    (
        Mutant::new("panics", "Ok(())", r#"panic!("the sky falls")"#),
        "the sky falls",
        "the sky falls",
    ),
    (
        Mutant::new(
            "returns_error",
            "Ok(())",
            r#"Err("no such file".to_owned())"#,
        ),
        "no such file",
        "it failed: exit status: 1",
    ),
    (
        Mutant::new("exits_early", LAST, "std::process::exit(0);"),
        "it exited early",
        "it exited early",
    ),
    (
        Mutant::new(
            "exits_after_its_last_line",
            LAST,
            r#"println!("both are done"); std::process::exit(0);"#,
        ),
        "it exited early",
        "it exited early",
    ),
    // A logger's line has no time.
    (
        Mutant::new(
            "prints_by_itself",
            LAST,
            r#"std::println!("both are done");"#,
        ),
        "+         both are done",
        "+         both are done",
    ),
    // Nothing is wrong with the program itself: its golden is taken away, or its lines
    // end in CR LF.
    (
        Mutant::new("no_golden", FROM, OTHER),
        "there is no golden",
        "there is no golden",
    ),
    (
        Mutant::new("crlf", FROM, OTHER),
        "end in CR LF",
        "end in CR LF",
    ),
    // Blocking takes no virtual time. The second hides it where no name tells.
    (
        Mutant::new(
            "blocks",
            "sleep(Duration::from_millis(250)).await",
            "blocks_for(250)",
        ),
        "-  0.650  both are done",
        "",
    ),
    (
        Mutant::new(
            "blocks_a_little",
            LAST,
            r#"blocks_for(120); println!("both are done");"#,
        ),
        "it blocks: a run on the virtual clock took 0.1",
        "both are done",
    ),
    (
        Mutant::new(
            "pauses_its_clock",
            "#[tokio::main]",
            r#"#[tokio::main(flavor = "current_thread", start_paused = true)]"#,
        ),
        "",
        "-  0.300  left ends",
    ),
    (
        Mutant::new(
            "lingers",
            "Ok(())",
            "sleep(Duration::from_millis(500)).await; Ok(())",
        ),
        "+  1.150  (end)",
        "+  1.1",
    ),
    (
        Mutant::new("lingers_blocking", "Ok(())", "blocks_for(80); Ok(())"),
        // Less than what tells blocking there.
        "",
        "(end)",
    ),
    (
        Mutant::new(
            "writes_an_error",
            LAST,
            r#"println!("both are done"); eprintln!("oops");"#,
        ),
        "its header says nothing: `oops`",
        "its header says nothing: `oops`",
    ),
    (
        Mutant::new(
            "loses_a_panic",
            LAST,
            r#"println!("both are done");
            let lost = tokio::spawn(async { panic!("nobody sees it") });
            while !lost.is_finished() { tokio::task::yield_now().await; }"#,
        ),
        "panicked at",
        "panicked at",
    ),
    (
        Mutant::new("deadlock", LAST, "std::future::pending::<()>().await;"),
        "deadlock: every task waits and no timer is set",
        "it did not end within 3 s",
    ),
    (
        Mutant::new(
            "floods",
            LAST,
            r#"for _ in 0..1_000_000 { println!("both are done"); }"#,
        ),
        "it printed more than 256 KiB",
        "it printed more than 256 KiB",
    ),
];

const FROM: &str = "The program from which";
const OTHER: &str = "A program from which";

const DIRECTIVE: &str = "asyncio: asyncio.gather";

/// Programs whose text alone is wrong, and what is said of it.
const TEXTS: [(Mutant, &str); 8] = [
    (
        Mutant::new("no_summary", "//! Wait for two at once.\n", ""),
        "no summary",
    ),
    (
        Mutant::new(
            "unknown_directive",
            DIRECTIVE,
            "asyncio: asyncio.gather\n//! clok: real",
        ),
        "unknown directive `clok:`",
    ),
    (
        Mutant::new(
            "malformed_directive",
            DIRECTIVE,
            "asyncio: asyncio.gather\n//! clock: fast",
        ),
        "`clock: fast`",
    ),
    (
        Mutant::new("no_directives", "//!\n//! asyncio: asyncio.gather\n", ""),
        "`asyncio:` is missing",
    ),
    (
        Mutant::new("unknown_name", DIRECTIVE, "asyncio: gather"),
        "`gather` is not in docs/asyncio-api.tsv; is it `asyncio.gather`?",
    ),
    (
        Mutant::new(
            "wide",
            "from which the",
            "from which, as we said before and say again, the",
        ),
        "columns",
    ),
    (
        Mutant::new(
            "sleeps_on_its_thread",
            LAST,
            r#"use std::thread; thread::sleep(Duration::ZERO); println!("both are done");"#,
        ),
        "it uses `std::thread::sleep`, so its header has to say `clock: real`",
    ),
    (
        Mutant::new(
            "listens",
            LAST,
            r#"let _: Option<std::net::IpAddr> = None; println!("both are done");"#,
        ),
        "it uses `std::net`, so",
    ),
];

/// Twins that differ from the twin of `good`.
const TWINS: [Mutant; 9] = [
    Mutant::new("twin_changed_word", "both are done", "both are over"),
    Mutant::new("twin_late", "sleep(0.25)", "sleep(0.251)"),
    Mutant::new(
        "twin_sequential",
        r#"asyncio.gather(wait("left", 0.3), wait("right", 0.4))"#,
        "wait(\"left\", 0.3)\n    await wait(\"right\", 0.4)",
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
    Mutant::new(
        "twin_hangs",
        "asyncio.sleep(0.25)",
        "asyncio.Event().wait()",
    ),
    Mutant::new(
        "twin_blocks",
        "print(f\"{name} starts\")",
        "print(f\"{name} starts\"); import time; time.sleep(0.2)",
    ),
    Mutant::new(
        "twin_lingers",
        "asyncio.run(main())",
        "asyncio.run(main())\nasyncio.run(asyncio.sleep(0.2))",
    ),
    Mutant::new(
        "twin_writes_an_error",
        "asyncio.run(main())",
        "import sys\nasyncio.run(main())\nprint(\"oops\", file=sys.stderr)",
    ),
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
    let programs = PROGRAMS.iter().map(|(mutant, ..)| *mutant);
    let programs: Vec<Mutant> = programs.chain(TEXTS.map(|(mutant, _)| mutant)).collect();
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "wrong", &programs, &[]);
    let golden = |name: &str| format!("tests/golden/sample/{name}.txt");
    fs::remove_file(fixture.dir().join(golden("no_golden")))
        .expect("the golden was there");
    let text = fs::read_to_string(fixture.dir().join(golden("good"))).expect("a golden");
    fixture.write(&golden("crlf"), &text.replace('\n', "\r\n"));
    fixture
}

/// What is said of the wrong programs.
fn said_of_programs(real: bool) -> Vec<(String, &'static str)> {
    let said = PROGRAMS.iter().map(|(mutant, on_virtual, on_real)| {
        let said = if real { *on_real } else { *on_virtual };
        (format!("sample/{}", mutant.name), said)
    });
    let texts = TEXTS
        .iter()
        .map(|(mutant, said)| (format!("crates/sample/src/{}.rs", mutant.name), *said));
    let all = said.chain(texts).filter(|(_, said)| !said.is_empty());
    all.collect()
}

fn on_the_virtual_clock() {
    let output = wrong_programs().xtask(&["check-all", "--limit", "3"]);
    let said = said_of_programs(false);
    let said: Vec<(&str, &str)> = said
        .iter()
        .map(|(subject, said)| (subject.as_str(), *said))
        .collect();
    assert_failures(&output, &said);
    // The progress of a flood is cut off as well.
    assert!(
        output.stdout.len() < 100_000,
        "{} bytes",
        output.stdout.len()
    );
}

fn a_failure_tells_how_to_go_on() {
    let output = wrong_programs().xtask(&["check-all", "changed_word"]);
    let stdout = stdout(&output);
    let expected = "\
FAIL sample/changed_word: what it printed differs from tests/golden/sample/changed_word.txt
    --- expected
    +++ printed
    @@ -2,5 +2,5 @@
       0.000  right starts
       0.300  left ends
       0.400  right ends
    -  0.650  both are done
    +  0.650  both are over
       0.650  (end)
    run it again:  cargo run -p sample -- --virtual-time changed_word
    mend it:       the golden is CPython's: mend the Rust program, or change \
crates/sample/python/changed_word.py and then cargo xtask bless sample/changed_word
1 run: ";
    assert!(stdout.starts_with(expected), "{stdout}");
    assert_eq!(last_line(&output), "0 passed, 1 failed");
}

fn files_that_do_not_belong_together() {
    let name = "strays";
    let twin_missing = Mutant::new("twin_missing", "The program", "A program");
    let unwanted = Mutant::new(
        "twin_unwanted",
        "asyncio: asyncio.gather",
        "asyncio: asyncio.gather\n//! twin: none (why not)",
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
            (
                "tests/golden/sample/orphan.txt",
                "a golden without an example",
            ),
            ("tests/golden/sample/good.new", "not a golden"),
            ("tests/golden/nowhere", "goldens without a section"),
        ],
    );
    assert_eq!(last_line(&output), "3 passed, 10 failed");
}

/// What passes on the real clock and not on the virtual one is what the real clock leaves
/// open: the order of tasks within a group, and a delay within the slack.
fn on_the_real_clock() {
    let output = wrong_programs().xtask(&["check-all", "--real-time", "--limit", "3"]);
    let said = said_of_programs(true);
    let said: Vec<(&str, &str)> = said
        .iter()
        .map(|(subject, said)| (subject.as_str(), *said))
        .collect();
    assert_failures(&output, &said);
    let again = &failures(&output)["sample/early"];
    assert!(again.contains("cargo run -p sample -- early\n"), "{again}");

    // A slack of a microsecond is more than any machine keeps; the slack counts, and who
    // is late is run again twice, alone.
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

/// A program that is late now and then passes when it is run again, and the summary says
/// how often that was needed.
fn lateness_alone_is_forgiven_twice() {
    // Counts its runs in a file, and is late in all but the last.
    let late_until = |last: u32| {
        format!(
            "let runs = std::fs::read(\"runs\").unwrap_or_default().len() + 1;
             std::fs::write(\"runs\", vec![0; runs]).ok();
             blocks_for(if runs < {last} {{ 70 }} else {{ 0 }});
             println!(\"both are done\");"
        )
    };
    for (name, last) in [("late_twice", 3), ("late_thrice", 4)] {
        let late = [Mutant::new("late", LAST, late_until(last).leak())];
        let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), name, &late, &[]);
        // A test that was stopped may have left it.
        let _ = fs::remove_file(fixture.dir().join("runs"));
        let output = fixture.xtask(&["check-all", "--real-time", "late"]);
        if name == "late_twice" {
            let summary = "2 runs again, alone, for being late: sample/late 2\n";
            assert!(stdout(&output).contains(summary), "{output:?}");
            assert_eq!(last_line(&output), "1 passed, 0 failed");
        } else {
            assert_failures(&output, &[("sample/late", "both are done")]);
        }
    }
}

/// `exit:`, `stderr:` and `differs:`: what they announce has to come, and nothing else.
fn what_headers_announce() {
    let error = r#"Err("no such file".to_owned())"#;
    let oops = r#"println!("both are done"); eprintln!("oops");"#;
    let programs = [
        Mutant::new("error_as_announced", "Ok(())", error),
        Mutant::new("another_error", "Ok(())", error),
        Mutant::new("no_error", FROM, OTHER),
        Mutant::new("stderr_as_announced", LAST, oops),
        Mutant::new("another_stderr", LAST, oops),
        Mutant::new("no_stderr", FROM, OTHER),
        Mutant::new("differs_as_announced", "250", "350"),
        Mutant::new("does_not_differ", FROM, OTHER),
        Mutant::new("one_golden", FROM, OTHER),
    ];
    let name = "announced";
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), name, &programs, &[]);
    let golden = fs::read_to_string(fixture.dir().join("tests/golden/sample/good.txt"));
    let golden = golden.expect("it is there");
    for (name, directive) in [
        ("error_as_announced", "exit: 1 no such file"),
        ("another_error", "exit: 1 no such folder"),
        ("no_error", "exit: 1 no such file"),
        ("stderr_as_announced", "stderr: oops"),
        ("another_stderr", "stderr: ouch"),
        ("no_stderr", "stderr: oops"),
        ("differs_as_announced", "differs: because"),
        ("does_not_differ", "differs: because"),
        ("one_golden", "differs: because"),
    ] {
        let path = format!("crates/sample/src/{name}.rs");
        let text = fs::read_to_string(fixture.dir().join(&path)).expect("it is there");
        let announced = format!("{DIRECTIVE}\n//! {directive}");
        fixture.write(&path, &text.replace(DIRECTIVE, &announced));
        if directive.starts_with("differs") {
            let rust = match name {
                "differs_as_announced" => golden.replace("0.650", "0.750"),
                _ => golden.clone(),
            };
            fixture.write(&format!("tests/golden/sample/{name}.txt"), &rust);
            if name != "one_golden" {
                let path = format!("tests/golden/sample/{name}.python.txt");
                fixture.write(&path, &golden);
            }
        }
    }
    let output = fixture.xtask(&["check-all"]);
    assert_failures(
        &output,
        &[
            (
                "sample/another_error",
                "its error does not contain `no such folder`",
            ),
            (
                "sample/no_error",
                "it ended well, but its header says `exit: 1`",
            ),
            (
                "sample/another_stderr",
                "`stderr: ouch` is not on standard error",
            ),
            (
                "sample/no_stderr",
                "`stderr: oops` is not on standard error",
            ),
            (
                "crates/sample/src/does_not_differ.rs",
                "both transcripts are the same",
            ),
        ],
    );
    let said = stdout(&output);
    let kinds = "10 examples: 7 agree with their twins, 3 differ on purpose";
    assert!(said.contains(kinds), "{said}");
    let list = stdout(&fixture.xtask(&["list", "differs"]));
    assert!(
        list.contains("sample/differs_as_announced * Wait"),
        "{list}"
    );
    // The golden of the twin is looked for where the twins are run.
    if tests::has_python() {
        let output = fixture.xtask(&["check-python", "differs_as_announced"]);
        assert_eq!(last_line(&output), "1 passed, 0 failed");
        let output = fixture.xtask(&["check-python", "one_golden"]);
        assert_failures(&output, &[("sample/one_golden", "there is no golden")]);
    }
}

/// Programs that must not compile.
fn fails() {
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "fails", &[], &[]);
    let head = |first: &str, example: &str| {
        format!("{first}\n//! What must not compile.\n//!\n//! example: {example}\n")
    };
    let wrong = "fn main() { let n: u32 = \"one\"; drop(n); }\n";
    let right = "fn main() {}\n";
    for (name, first, example, program) in [
        ("as_it_must", "//~ E0308 mismatched types", "good", wrong),
        ("compiles", "//~ E0308 mismatched types", "good", right),
        ("another_code", "//~ E0277 mismatched types", "good", wrong),
        ("other_words", "//~ E0308 something else", "good", wrong),
        ("no_code", "//~ error mismatched types", "good", wrong),
        ("no_first_line", "// E0308 mismatched types", "good", wrong),
        ("no_words", "//~ E0308", "good", wrong),
        (
            "of_no_example",
            "//~ E0308 mismatched types",
            "better",
            wrong,
        ),
    ] {
        let text = format!("{}{program}", head(first, example));
        fixture.write(&format!("crates/sample/fails/{name}.rs"), &text);
    }
    let text = format!("//~ E0308 mismatched types\n{wrong}");
    fixture.write("crates/sample/fails/no_example.rs", &text);
    let output = fixture.xtask(&["check-all"]);
    let path = |name: &str| format!("crates/sample/fails/{name}.rs");
    assert_failures(
        &output,
        &[
            (&path("compiles"), "it compiles, but must fail with E0308"),
            (&path("another_code"), "it fails with E0308, not with E0277"),
            (&path("other_words"), "does not say `something else`"),
            (
                &path("no_code"),
                "with E0308, not with an error without a code",
            ),
            (
                &path("no_first_line"),
                "its first line is not `//~ CODE words",
            ),
            (&path("no_words"), "its first line is not `//~ CODE words"),
            (
                &path("no_example"),
                "it does not say to which example it belongs",
            ),
            (
                &path("of_no_example"),
                "`example: better` is none that sample lists",
            ),
        ],
    );
    assert_eq!(last_line(&output), "2 passed, 8 failed");
}

/// A feature that a section forgot is there as long as cargo unites what all members ask
/// for; the section is built by itself, as a user does.
fn a_forgotten_feature() {
    let uses = Mutant::new(
        "uses_fs",
        LAST,
        r#"tokio::fs::metadata(".").await.ok(); println!("both are done");"#,
    );
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "feature", &[uses], &[]);
    fixture.write(
        "crates/other/Cargo.toml",
        "[package]\nname = \"other\"\nedition = \"2024\"\n\n[dependencies]\n\
         tokio = { version = \"1\", features = [\"fs\"] }\n",
    );
    fixture.write("crates/other/src/lib.rs", "");
    let together = fixture
        .command(std::path::Path::new(&xtask::workspace::cargo()))
        .args(["build", "--quiet"])
        .status();
    assert!(
        together.expect("cargo runs").success(),
        "the feature is missing elsewhere"
    );
    let output = fixture.xtask(&["check-all"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = stderr(&output);
    assert!(stderr.contains("sample does not build"), "{stderr}");
}

/// What `new` makes is no example yet.
fn an_untouched_template() {
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "template", &[], &[]);
    for made in [
        "crates/sample/src/fresh.rs",
        "crates/sample/python/fresh.py",
    ] {
        let _ = fs::remove_file(fixture.dir().join(made));
    }
    let output = fixture.xtask(&["new", "sample/fresh"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    fixture.write(
        "tests/golden/sample/fresh.txt",
        "  0.000  TODO\n  0.100  (end)\n",
    );
    let mut commands = vec![["check-all", "fresh"], ["test-spawn", "fresh"]];
    if tests::has_python() {
        commands.extend([["check-python", "fresh"], ["bless", "fresh"]]);
    }
    for command in commands {
        let output = fixture.xtask(&command);
        let failures = failures(&output);
        let said = &failures["sample/fresh"];
        assert!(
            said.contains("crates/sample/src/fresh.rs says TODO"),
            "{said}"
        );
        assert_eq!(output.status.code(), Some(1), "{command:?}");
    }
}

const HOLDS_RC: &str = "let held = std::rc::Rc::new(()); sleep(Duration::ZERO).await; \
                        drop(held); Ok(())";

fn inside_of_spawn() {
    let programs = [
        Mutant::new("not_send", "Ok(())", HOLDS_RC),
        Mutant::new("not_declared", "Ok(())", HOLDS_RC),
        Mutant::new(
            "declared_for_nothing",
            "asyncio: asyncio.gather",
            "asyncio: asyncio.gather\n//! send: no (it could, but does not say so)",
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
    let directive = "asyncio: asyncio.gather\n//! send: no (it holds an Rc)";
    fixture.write(
        not_send,
        &text.replace("asyncio: asyncio.gather", directive),
    );
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
            ("sample/differs", "+  0.650  both are done?"),
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
        .example("iterators/buffered_in_order")
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
        (manifest, "futures = ", "#", "futures"),
        (
            manifest,
            "tokio-util = { version = \"0.7.20\", features = [\"rt\"]",
            "tokio-util = { version = \"0.7.20\"",
            "AbortOnDropHandle",
        ),
        (
            source,
            "    println!(\"0.3 s later\");",
            "    let x = 1;",
            "unused variable",
        ),
        (source, "\"0.3 s later\"", "\"much later\"", "much later"),
        // The guard is taken out: a task that nobody waits for goes on.
        (
            source,
            "AbortOnDropHandle::new(tokio::spawn(fetch(job)))",
            "{ AbortOnDropHandle::new(tokio::spawn(async {})).abort(); tokio::spawn(fetch(job)) }",
            "fetched b",
        ),
        (
            source,
            "later\");\n    Ok(())\n",
            "later\");\n    std::process::exit(3)\n",
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
            ("sample/twin_changed_word", "+  0.650  both are over"),
            ("sample/twin_late", "+  0.651  both are done"),
            ("sample/twin_sequential", "+  0.300  right starts"),
            ("sample/twin_raises", "ValueError: no"),
            ("sample/twin_exits", "-  0.650  both are done"),
            (
                "sample/twin_hangs",
                "deadlock: every task waits and no timer is set",
            ),
            ("sample/twin_blocks", "+  0.200  right starts"),
            ("sample/twin_lingers", "+  0.850  (end)"),
            ("sample/twin_writes_an_error", "says nothing: `oops`"),
        ],
    );
    assert_eq!(last_line(&output), "1 passed, 9 failed");
    // On CPython's own loop: what is a millisecond late passes, and nobody sees that an
    // event will never be set.
    let output = fixture.xtask(&["check-python", "--real-time", "--limit", "3"]);
    assert_failures(
        &output,
        &[
            ("sample/twin_changed_word", "both are over"),
            ("sample/twin_sequential", "-  0.000  right starts"),
            ("sample/twin_raises", "ValueError: no"),
            ("sample/twin_exits", "-  0.650  both are done"),
            ("sample/twin_hangs", "it did not end within 3 s"),
            ("sample/twin_blocks", "right starts"),
            ("sample/twin_lingers", "(end)"),
            ("sample/twin_writes_an_error", "says nothing: `oops`"),
        ],
    );
    // The Rust programs are all those of `good`.
    let output = fixture.xtask(&["check-all"]);
    assert_eq!(last_line(&output), "10 passed, 0 failed");
    assert_eq!(output.status.code(), Some(0));
}
