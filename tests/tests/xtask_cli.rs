//! The command line of the xtask, as a user calls it.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

use snapbox::{assert_data_eq, str};
use tests::{Fixture, Mutant, Test, test};

/// Those that need nothing but the Rust toolchain.
const PLAIN: &[Test] = &[
    test!(a_check_of_what_is_right),
    test!(wrong_calls_run_nothing),
    test!(the_list),
    test!(a_closed_pipe_ends_it_quietly),
    test!(outside_of_a_workspace),
    test!(a_section_that_does_not_compile),
    test!(without_a_python),
    #[cfg(unix)]
    test!(a_python_that_is_too_old),
];

/// Those that run CPython.
const WITH_PYTHON: &[Test] = &[
    test!(repeated_and_with_options),
    test!(a_filter_that_matches_nothing_suggests_the_nearest),
    test!(bless_records_what_cpython_prints),
    test!(bless_leaves_the_golden_of_a_twin_that_fails),
    test!(without_a_twin_bless_records_the_rust_program),
    test!(an_example_that_needs_the_real_clock),
    test!(a_twin_with_a_package),
];

fn main() -> ExitCode {
    tests::run(PLAIN, WITH_PYTHON)
}

fn fixture() -> Fixture {
    Fixture::new(env!("CARGO_TARGET_TMPDIR"), "xtask", &[], &[])
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("standard output is UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("standard error is UTF-8")
}

fn a_check_of_what_is_right() {
    let output = fixture().xtask(&["check-all"]);
    assert_data_eq!(
        stdout(&output),
        str![[r#"
1 run: 1.700 s of virtual time, [..] s of wall time, [..] ms a run
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
            "5 runs: 8.500 s of virtual time, [..]\n5 passed, 0 failed\n"
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
        &["check-python", "--real-time"],
        &["bless"],
    ] {
        let output = fixture.xtask(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert_ne!(stderr(&output), "", "{arguments:?}");
    }
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
    assert_eq!(stdout(&output), "sample/good  Wait for two at once.\n");
    assert_eq!(output.status.code(), Some(0));
}

fn a_closed_pipe_ends_it_quietly() {
    let fixture = fixture();
    let xtask = tests::executable("xtask");
    for arguments in [&["list"][..], &["check-all"], &["--help"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = fixture
            .command(&xtask)
            .args(arguments)
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
    let output = Command::new(tests::executable("xtask"))
        .arg("check-all")
        .current_dir(elsewhere.path())
        .output()
        .expect("the xtask runs");
    assert_data_eq!(
        stderr(&output),
        "error: cargo metadata finds no workspace here: [..]\n..."
    );
    assert_eq!(output.status.code(), Some(1));
}

fn a_section_that_does_not_compile() {
    let broken = Mutant {
        name: "broken",
        from: "Ok(())",
        to: "Ok(1)",
    };
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "broken", &[broken], &[]);
    let output = fixture.xtask(&["check-all"]);
    assert_eq!(stdout(&output), "");
    assert_data_eq!(
        stderr(&output),
        "...\nerror[E0308]: mismatched types\n...\nerror: the sections do not build\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

fn without_a_python() {
    let fixture = fixture();
    let xtask = tests::executable("xtask");
    let run = |arguments: &[&str], python: &str| {
        let mut command = fixture.command(&xtask);
        command
            .args(arguments)
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
    // The Rust programs need none.
    assert_eq!(
        run(&["check-all"], "/no/such/python").status.code(),
        Some(0)
    );

    let no_path = tempfile::tempdir().expect("a temporary folder");
    let mut command = fixture.command(&xtask);
    let output = command
        .arg("check-python")
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
    let mut command = fixture.command(&tests::executable("xtask"));
    let output = command
        .arg("check-python")
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
    let wrong = Mutant {
        name: "wrong_port",
        from: r#"println!("both are done");"#,
        to: r#"println!("both are over");"#,
    };
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
recorded sample/wrong_port
--- expected
+++ printed
@@ -0,0 +1,5 @@
+  0.000  left starts
+  0.000  right starts
+  1.000  left ends
+  1.200  right ends
+  1.700  both are done
1 goldens changed
1 passed, 0 failed

"#]]
    );
    assert_eq!(golden(&fixture, "wrong_port"), expected);
    let output = fixture.xtask(&["check-all", "wrong_port"]);
    assert_eq!(output.status.code(), Some(1), "the wrong port passed");

    // What has changed is shown.
    fixture.write("tests/golden/sample/good.txt", "  0.000  left starts\n");
    let output = fixture.xtask(&["bless", "good"]);
    assert_data_eq!(
        stdout(&output),
        "recorded sample/good\n...\n+  1.700  both are done\n1 goldens changed\n..."
    );
    assert_eq!(golden(&fixture, "good"), expected);
}

fn bless_leaves_the_golden_of_a_twin_that_fails() {
    let raises = Mutant {
        name: "raises",
        from: "print(\"both are done\")",
        to: "raise ValueError",
    };
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
    let alone = Mutant {
        name: "alone",
        from: "asyncio: gather",
        to: "asyncio: gather\n//! twin: none (to see what happens)",
    };
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "alone", &[alone], &[]);
    fs::remove_file(fixture.dir().join("crates/sample/python/alone.py")).unwrap();
    fs::remove_file(fixture.dir().join("tests/golden/sample/alone.txt")).unwrap();
    let output = fixture
        .command(&tests::executable("xtask"))
        .args(["bless", "alone"])
        .env("PYTHON", "/not/needed")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(golden(&fixture, "alone"), golden(&fixture, "good"));
    // A check of the twins has nothing to do with it.
    let output = fixture.xtask(&["check-python"]);
    assert_data_eq!(stdout(&output), "1 run: [..]\n1 passed, 0 failed\n");
}

/// An example on the real clock: run, compared and recorded there, though the command
/// does not ask for it.
fn an_example_that_needs_the_real_clock() {
    let real = Mutant {
        name: "real",
        from: "asyncio: gather",
        to: "asyncio: gather\n//! clock: real",
    };
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
        "1 run: longest wait on the real clock 1.7[..] s, [..]\n1 passed, 0 failed\n"
    );
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
    assert_data_eq!(stdout(&output), "...\n  1.7[..]  both are done\n");
}

/// A twin that declares a package runs in a virtual environment that has it. The package
/// is a wheel that the test makes, so nothing is downloaded.
fn a_twin_with_a_package() {
    let needs = Mutant {
        name: "needs_package",
        from: "import asyncio\n",
        to: "# /// script\n# dependencies = [\"greeter\"]\n# ///\nimport asyncio\n\
             \nimport greeter\n",
    };
    let says = Mutant {
        name: "needs_package",
        from: "\"both are done\"",
        to: "greeter.TEXT",
    };
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), "packages", &[], &[needs]);
    let path = "crates/sample/python/needs_package.py";
    let twin = fs::read_to_string(fixture.dir().join(path)).unwrap();
    fixture.write(path, &twin.replace(says.from, says.to));

    make_wheel(&fixture.dir().join("tests/python"), "1.0", "both are over");
    fixture.write(
        "tests/python/requirements.txt",
        "./greeter-1.0-py3-none-any.whl\n",
    );
    let output = fixture.xtask(&["check-python", "needs_package"]);
    assert_data_eq!(stdout(&output), "...\n    +  1.700  both are over\n...");
    assert_data_eq!(stderr(&output), "Making the Python environment [..]\n");

    // New requirements make a new environment, and the next use makes none.
    make_wheel(&fixture.dir().join("tests/python"), "1.1", "both are done");
    fixture.write(
        "tests/python/requirements.txt",
        "./greeter-1.1-py3-none-any.whl\n",
    );
    let output = fixture.xtask(&["check-python", "needs_package"]);
    assert_data_eq!(stdout(&output), "1 run: [..]\n1 passed, 0 failed\n");
    assert_data_eq!(stderr(&output), "Making the Python environment [..]\n");
    let output = fixture.xtask(&["check-python", "needs_package"]);
    assert_eq!(stderr(&output), "");
    assert_eq!(output.status.code(), Some(0));

    // What cannot be installed is told, and is not taken for an environment next time.
    fixture.write(
        "tests/python/requirements.txt",
        "./no-such-1.0-py3-none-any.whl\n",
    );
    for _ in 0..2 {
        let output = fixture.xtask(&["check-python", "needs_package"]);
        assert_data_eq!(
            stdout(&output),
            "FAIL sample/needs_package: it cannot be run: [..] failed:\n..."
        );
        assert_eq!(output.status.code(), Some(1));
    }
}

fn make_wheel(dir: &Path, version: &str, text: &str) {
    let script = format!(
        r#"
import zipfile
info = "greeter-{version}.dist-info/"
with zipfile.ZipFile("greeter-{version}-py3-none-any.whl", "w") as wheel:
    wheel.writestr("greeter.py", "TEXT = '{text}'")
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: greeter\nVersion: {version}\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "")
"#
    );
    let python = xtask::python::Python::find().expect("there is a Python");
    let status = Command::new(python.program())
        .args(["-c", &script])
        .current_dir(dir)
        .status()
        .expect("python3 can be run");
    assert!(status.success(), "the wheel could not be made");
}
