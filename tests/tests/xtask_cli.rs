//! The command line of the xtask, as a user calls it.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

use snapbox::{assert_data_eq, str};
use tests::{Fixture, Mutant, Test, stderr, stdout, test};

const TESTS: &[Test] = &[
    test!(a_check_of_what_is_right),
    test!(wrong_calls_run_nothing),
    test!(the_list),
    test!(copy_makes_a_project),
    test!(copy_prints_the_manifest),
    test!(copy_never_overwrites),
    test!(copy_of_what_is_not_there),
    #[cfg(unix)]
    test!(copy_where_nothing_can_be_written),
    test!(copy_names_a_crate_that_it_does_not_know),
    #[cfg(unix)]
    test!(copy_is_whole_or_not_there_when_it_is_interrupted),
    test!(new_refuses_names),
    test!(a_closed_pipe_ends_it_quietly),
    test!(outside_of_a_workspace),
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
    test!(a_twin_with_a_package, Venv),
    test!(new_in_a_scratch_clone, Python),
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
        &["check-python", "--slack", "none"],
        &["test-spawn", "--real-time"],
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
        .output()
        .expect("the xtask runs");
    assert_data_eq!(
        stderr(&output),
        "error: cargo metadata finds no workspace here: [..]\n..."
    );
    assert_eq!(output.status.code(), Some(1));
}

fn a_section_that_does_not_compile() {
    let broken = Mutant::new("broken", "Ok(())", "Ok(1)");
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
        "asyncio: gather",
        "asyncio: gather\n//! twin: none (to see what happens)",
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
    assert_data_eq!(stdout(&output), "1 run: [..]\n1 passed, 0 failed\n");
}

/// An example on the real clock: run, compared and recorded there, though the command
/// does not ask for it.
fn an_example_that_needs_the_real_clock() {
    let real = Mutant::new(
        "real",
        "asyncio: gather",
        "asyncio: gather\n//! clock: real",
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
    let status = Command::new(tests::python().program())
        .args(["-c", &script])
        .current_dir(dir)
        .status()
        .expect("python3 can be run");
    assert!(status.success(), "the wheel could not be made");
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
            format!("made {shown}/Cargo.toml\nmade {shown}/src/main.rs\n")
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
}

fn copy_prints_the_manifest() {
    let output = fixture().xtask(&["copy", "sample/good", "--print-manifest"]);
    let manifest = stdout(&output);
    assert_data_eq!(
        manifest.clone(),
        "[dependencies]\ntokio = { version = \"[..]\", features = [\"macros\", \
         \"rt-multi-thread\", \"time\"] }\n"
    );
    // The version is that of the lock file.
    let lock = fs::read_to_string(tests::root().join("Cargo.lock")).unwrap();
    let version = manifest.split('"').nth(1).unwrap();
    assert!(lock.contains(&format!("name = \"tokio\"\nversion = \"{version}\"\n")));
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
    let output = copy(&fixture(), "good", &above.path().join("new"));
    assert_eq!(
        stderr(&output),
        "error: no example `good`; did you mean `sample/good`?\n"
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

/// Interrupted at any time, the project is there as a whole or not at all. That the
/// signal is also met half-way is tested beside the code, where it can be timed.
#[cfg(unix)]
fn copy_is_whole_or_not_there_when_it_is_interrupted() {
    let fixture = fixture();
    let (mut whole, mut nothing) = (0, 0);
    for round in 0..40 {
        let above = tempfile::tempdir().unwrap();
        let dir = above.path().join("new");
        let mut child = fixture
            .xtask_command(&["copy", "sample/good"])
            .arg(&dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The rounds are spread over the time that a copy takes, which differs from
        // machine to machine; one that comes too late finds the project whole.
        std::thread::sleep(std::time::Duration::from_millis(6 * round));
        let kill = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(kill.is_ok());
        child.wait().unwrap();
        if dir.exists() {
            whole += 1;
            assert_eq!(everything_in(&dir), ["Cargo.toml", "src"]);
            assert_eq!(everything_in(&dir.join("src")), ["main.rs"]);
        } else {
            nothing += 1;
            assert_eq!(everything_in(above.path()), [""; 0]);
        }
    }
    assert!(
        nothing > 0,
        "no round came in time: {whole} projects were made"
    );
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

    // The missing golden is all that is wrong.
    let output = run(&["check-all", "fresh_one"]);
    assert_data_eq!(
        stdout(&output),
        "FAIL iterators/fresh_one: there is no golden [..]\n\
         \x20   bless it:      cargo xtask bless iterators/fresh_one\n\
         1 run: [..]\n0 passed, 1 failed\n"
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        run(&["bless", "iterators/fresh_one"]).status.code(),
        Some(0)
    );
    for arguments in [
        &["check-all"][..],
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
