//! Projects that `copy` makes are built as their readers build them, and twins run in
//! virtual environments, with a pip that downloads nothing.

use std::process::{Command, Output};

use catalog::workspace::cargo;
use tests::{Fixture, stderr, stdout};

use crate::fixture;

/// A twin that declares a package runs in a virtual environment that has it. The package
/// is a wheel that the test makes.
#[test]
fn a_twin_with_a_package() {
    let fixture = fixture();
    let path = "crates/fresh/python/first.py";
    let twin = fixture
        .read(path)
        .replace("\"both are done\"", "greeter.TEXT");
    let block = "# /// script\n# dependencies = [\"greeter\"]\n# ///\nimport greeter\n";
    fixture.write(path, &format!("{block}{twin}"));
    let require = |wheel: &str| {
        fixture.write("tools/python/requirements.txt", wheel);
        let output = fixture.xtask(&["check-all", "--only", "twin", "first"]);
        let makes = stderr(&output).starts_with("Making the Python environment ");
        (output.status.code(), makes, stdout(&output))
    };
    let old = make_wheel(&fixture, "1.0", "both are over");
    let new = make_wheel(&fixture, "1.1", "both are done");
    let (path, _) = old.split_once(" --hash=").unwrap();
    let none = old.replace("greeter", "no-such");
    let cannot = "FAIL fresh/first: it cannot be run: ";
    for (pin, code, makes, expected) in [
        (&*old, 1, true, "+  0.350  both are over\n"),
        // New requirements make a new environment, and the next use makes none.
        (&new, 0, true, "\n1 passed, 0 failed\n"),
        (&new, 0, false, "\n1 passed, 0 failed\n"),
        (
            "",
            1,
            true,
            "ModuleNotFoundError: No module named 'greeter'\n",
        ),
        (path, 1, true, "Hashes are required"),
        // What cannot be installed is told, each time.
        (&none, 1, true, cannot),
        (&none, 1, true, cannot),
    ] {
        let (came, made, said) = require(pin);
        assert!(said.contains(expected), "{pin}: {said}");
        assert_eq!((came, made), (Some(code), makes), "{pin}");
    }
}

/// Makes a wheel, and returns the line that pins it.
fn make_wheel(fixture: &Fixture, version: &str, text: &str) -> String {
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
    let mut python = Command::new(tests::python().program());
    let python = python
        .args(["-c", &script])
        .current_dir(fixture.dir.join("tools/python"));
    stdout(&python.output().unwrap())
}

/// What `copy` makes compiles and runs.
#[test]
fn projects() {
    let fixture = fixture();
    for (words, command, said) in [
        ("good copied/plain", "run", "right ends\nboth are done\n"),
        (
            "shown copied/both --with good",
            "run",
            "right ends\nboth are done\n",
        ),
    ] {
        let words: Vec<&str> = ["copy"].into_iter().chain(words.split(' ')).collect();
        assert_eq!(fixture.xtask(&words).status.code(), Some(0));
        let dir = fixture.dir.join(words[2]);
        std::fs::copy(tests::root().join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
        let mut cargo = fixture.command(cargo());
        let output: Output = cargo.arg(command).current_dir(dir).output().unwrap();
        assert!(
            stdout(&output).contains(said),
            "{words:?}: {}",
            stderr(&output)
        );
        assert_eq!(output.status.code(), Some(0), "{words:?}");
    }
}

#[test]
fn a_project_that_does_not_compile() {
    let fixture = fixture();
    let output = fixture.xtask(&["check-all", "--only", "projects", "not_alone"]);
    let said = stdout(&output);
    let failed = "FAIL sample/not_alone: its project does not compile\n";
    assert!(
        said.starts_with(failed) && said.contains("crate::good"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1));
    let output = fixture.xtask(&["check-all", "--only", "projects", "sample/good"]);
    assert!(
        stdout(&output).ends_with("\n1 passed, 0 failed\n"),
        "{}",
        stdout(&output)
    );
}
