//! The command line of the xtask, as a user calls it. `cmd/*.txt` have what it says.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

use catalog::transcript::Transcript;
use snapbox::file;
use tests::{Fixture, Ran, assert_quiet_in_a_closed_pipe, assert_transcript};

fn fixture() -> Fixture {
    Fixture::new(env!("CARGO_TARGET_TMPDIR"))
}

#[test]
fn what_is_refused_changes_nothing() {
    let fixture = fixture();
    assert_transcript(&file!["cmd/refused.txt"], |words| {
        let ran = fixture.xtask(words);
        assert_eq!(ran.stdout, "", "{words:?}");
        assert_ne!(ran.code, Some(0), "{words:?}");
        ran
    });
    assert!(fixture.is_untouched());
}

/// Also where nothing can be built.
#[test]
fn what_needs_only_text_builds_nothing() {
    let fixture = fixture();
    assert_transcript(&file!["cmd/text.txt"], |words| fixture.xtask(words));
    let source = fixture.read("crates/sample/src/good.rs");
    assert_eq!(fixture.read("copied/new/src/main.rs"), source);
}

#[test]
fn checks() {
    let fixture = fixture();
    assert_transcript(&file!["cmd/checks.txt"], |words| fixture.xtask(words));
    assert!(fixture.is_untouched());
}

#[test]
fn bless() {
    let fixture = fixture();
    let golden =
        |name: &str| fixture.read(&format!("crates/sample-more/golden/{name}.txt"));
    let raises = golden("twin_raises");
    assert_transcript(&file!["cmd/bless.txt"], |words| fixture.xtask(words));
    for name in ["wrong_port", "stale", "alone"] {
        assert_eq!(golden(name), golden("real"), "{name}");
    }
    assert_eq!(golden("twin_raises"), raises);
}

/// An example that needs the real clock runs there without being asked to, and its times
/// are recorded on a grid. A busy machine may shift them: then it is tried again.
#[test]
fn bless_on_the_real_clock() {
    let fixture = fixture();
    let path = "crates/sample-more/golden/real.txt";
    let golden = fixture.read(path);
    let is_recorded = |_: &u32| {
        fs::remove_file(fixture.dir.join(path)).unwrap();
        fixture
            .xtask(&["bless", "real"])
            .says(0, "1 golden changed");
        fixture.read(path) == golden
    };
    assert!((0..20).any(|n| is_recorded(&n)), "{}", fixture.read(path));
    assert!(Transcript::parse_golden(&golden).is_ok());
}

/// What `new` makes fails until it is written and blessed, and passes then.
#[test]
fn a_new_example() {
    let fixture = fixture();
    assert_transcript(&file!["cmd/new.txt"], |words| {
        if words == ["write"] {
            let numbers = fixture.read("docs/traps.tsv") + "T006\tfresh/second\n";
            fixture.write("docs/traps.tsv", &numbers);
            for path in ["src/second.rs", "python/second.py"] {
                let path = format!("crates/fresh/{path}");
                fixture.write(&path, &fixture.read(&path).replace("TODO", "Done"));
            }
            return Ran::of(&mut Command::new("true"));
        }
        fixture.xtask(words)
    });
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let fixture = fixture();
    for words in [
        &["list"][..],
        &["check-all", "--only", "run", "fresh"],
        &["--help"],
    ] {
        let mut command = fixture.command(tests::xtask());
        assert_quiet_in_a_closed_pipe(command.args(words));
    }
}

#[test]
fn outside_of_a_workspace() {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = Command::new(tests::xtask());
    let said = "error: cargo finds no workspace to work on: could not find `Cargo.toml`";
    Ran::of(command.arg("list").current_dir(&elsewhere)).says(1, said);
}

#[test]
fn without_a_python_on_the_path() {
    let (fixture, bin) = (fixture(), tempfile::tempdir().unwrap());
    let assert_says = |text: &str| {
        let mut command = fixture.command(tests::xtask());
        command.args(["check-all", "--only", "twin", "fresh"]);
        command.env_remove("PYTHON").env("PATH", bin.path());
        Ran::of(&mut command).says(2, text);
    };
    let missing = "error: this needs CPython 3.11 or later; install it, or name it in \
                   the variable PYTHON; python3: there is no such program; python: there \
                   is no such program\n";
    assert_says(missing);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;

        let python = bin.path().join("python3");
        fs::write(&python, "#!/bin/sh\necho cpython 3 10\n").unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        assert_says("; python3: it is cpython 3.10, not CPython 3.11 or later; ");
    }
}
