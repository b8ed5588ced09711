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

const MANIFEST: &str = r#"[package]
name = "mine"
version = "0.1.0"
edition = "2024"

[dependencies] # mine
tokio = { version = "1.2", default-features = false, features = ["rt"] }

[workspace]
"#;

const MAIN: &str = "//! Mine.
#![allow(
    unused_mut
)]

mod own;

#[tokio::main]
async fn main() {
    own::it();
    good::both().await.unwrap();
}
";

/// A project with a dependency and a module gets two examples, and compiles and runs.
#[test]
fn a_project_gets_examples() {
    let fixture = fixture();
    let path = |name: &str| format!("copied/mine/{name}");
    fixture.write(&path("Cargo.toml"), MANIFEST);
    fixture.write(&path("src/main.rs"), MAIN);
    fixture.write(&path("src/own.rs"), "pub fn it() {}\n");
    let add = |words: &[&str]| {
        let output = fixture.xtask(&[&["copy", "--into", "copied/mine"], words].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    };
    let dry = add(&["good", "first", "--only", "--dry-run"]);
    let said = add(&["good", "first", "--only"]);
    assert_eq!(dry, format!("Nothing is written. It would be:\n{said}"));
    assert!(said.contains("    use crate::good::both;\n"), "{said}");
    let changed = MANIFEST.replace("default-features = false, ", "");
    let changed = changed.replace("[\"rt\"]", "[\"rt\", \"full\"]");
    assert_eq!(fixture.read(&path("Cargo.toml")), changed);
    let allow = "#[allow(dead_code)]\nmod";
    let mods = format!("mod own;\n{allow} good;\n{allow} first;\n");
    let changed = MAIN.replace("mod own;\n", &mods);
    assert_eq!(fixture.read(&path("src/main.rs")), changed);
    assert!(!fixture.read(&path("src/good.rs")).contains("fn main"));
    // What is there already stays as it is.
    let again = add(&["good", "first", "--only"]);
    assert!(
        again.starts_with("copied/mine/src/good.rs is there\n"),
        "{again}"
    );
    assert_eq!(fixture.read(&path("src/main.rs")), changed);

    let dir = fixture.dir.join("copied/mine");
    std::fs::copy(tests::root().join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    let mut cargo = fixture.command(cargo());
    let output = cargo.arg("run").current_dir(dir).output().unwrap();
    assert!(
        stdout(&output).ends_with("both are done\n"),
        "{}",
        stderr(&output)
    );
}

/// Where there is no module yet, the lines come behind what is about the file.
#[test]
fn a_project_without_modules_keeps_its_head() {
    let fixture = fixture();
    let manifest = "[package]\nname = \"mine\"\n\n[dependencies]\ntokio = \"0.2\"\n";
    fixture.write("copied/mine/Cargo.toml", manifest);
    let (head, rest) = (
        "/*! Mine.\n*/\n#![allow(\n    unused\n)]\n",
        "fn main() {}\n",
    );
    fixture.write("copied/mine/src/main.rs", &format!("{head}{rest}"));
    let output = fixture.xtask(&["copy", "--into", "copied/mine", "good"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mods = "\n#[allow(dead_code)]\nmod good;\n\n";
    let came = fixture.read("copied/mine/src/main.rs");
    assert_eq!(came, format!("{head}{mods}{rest}"));
    // The version is the reader's, and he is told.
    let kept = "Cargo.toml: tokio stays 0.2; the example is tried with 1\n";
    assert!(stdout(&output).contains(kept), "{}", stdout(&output));
    let long = "tokio = { version = \"0.2\", features = [\"full\"] }";
    let changed = manifest.replace("tokio = \"0.2\"", long);
    assert_eq!(fixture.read("copied/mine/Cargo.toml"), changed);
}

/// A file that is in the way is found before anything is written.
#[test]
fn a_project_is_changed_wholly_or_not() {
    let fixture = fixture();
    let path = |name: &str| format!("copied/mine/{name}");
    fixture.write(&path("Cargo.toml"), MANIFEST);
    fixture.write(&path("src/main.rs"), MAIN);
    fixture.write(&path("src/first.rs"), "// mine\n");
    for (words, said) in [
        (&["good", "first"][..], "first.rs has another text"),
        (&["good", "no_such"], "no example `no_such`"),
    ] {
        let output = fixture.xtask(&[&["copy", "--into", "copied/mine"], words].concat());
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
        assert_eq!((output.status.code(), &*stdout(&output)), (Some(2), ""));
        assert_eq!(fixture.read(&path("Cargo.toml")), MANIFEST);
        assert_eq!(fixture.read(&path("src/main.rs")), MAIN);
        assert_eq!(fixture.read(&path("src/first.rs")), "// mine\n");
        assert!(!fixture.dir.join(path("src/good.rs")).exists());
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
