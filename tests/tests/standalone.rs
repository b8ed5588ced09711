//! `asyncio-to-tokio` answers where there is no clone, no network and no cache.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::{Command, Stdio};

use catalog::files::entries;
use catalog::workspace::cargo;
use tempfile::TempDir;
use tests::{Ran, build, python, root};

/// A reader's machine: the program, an empty home, an empty folder to work in.
struct Reader {
    dir: TempDir,
}

impl Reader {
    fn new() -> Self {
        let mut command = Command::new(cargo());
        command.current_dir(root());
        let built = build(command, "asyncio-to-tokio");
        let dir = tempfile::tempdir().unwrap();
        fs::copy(built, dir.path().join("program")).unwrap();
        fs::create_dir(dir.path().join("temporary")).unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        Self { dir }
    }

    /// Cargo is not on the path, nor a Python, but for what calls them.
    fn run(&self, words: &[&str]) -> Ran {
        let mut command = Command::new(self.dir.path().join("program"));
        command.args(words).stdin(Stdio::null());
        command.current_dir(self.dir.path().join("work"));
        if words.contains(&"--into") || words[0] == "port" && words[1] != "without" {
            command.env("PYTHON", python().program());
        } else {
            command.env_clear().env("PATH", self.dir.path());
        }
        let temporary = self.dir.path().join("temporary");
        command.env("CARGO_NET_OFFLINE", "true");
        Ran::of(command.env("TMPDIR", temporary))
    }

    fn says(&self, words: &[&str], text: &str) -> String {
        self.run(words).says(0, text)
    }
}

#[test]
fn each_command_answers_outside_of_a_clone() {
    let reader = Reader::new();
    let gather = ["find", "where", "is", "asyncio.gather"];
    for (words, said) in [
        (&gather[..], "Python: asyncio.gather = "),
        (&gather, "\nconcurrency/gather_results "),
        (
            &["find", "Which", "channel"],
            "docs/chapters/05-which-one.md",
        ),
        (
            &["find", "--json", "T289"],
            "\"example\":\"real-world/ttl_cache\"",
        ),
        (&["show", "docs/chapters/05-which-one.md"], "# Which"),
        (
            &["show", "generator"],
            "crates/iterators/python/generator.py:",
        ),
        (&["guide", "3"], "\n003-31 "),
        (&["list"], "\nreal-world/tcp_proxy "),
        (&["list", "--json"], "\"T289\""),
        (&["list", "--json"], "\"interop/cpu_bound\""),
        (&["completions", "bash"], "--into"),
    ] {
        reader.says(words, said);
    }

    let source =
        fs::read_to_string(root().join("crates/context-managers/src/connection_pool.rs"));
    reader.says(&["copy", "connection_pool", "copy"], "cargo run");
    let copy = reader.dir.path().join("work/copy");
    let copied = fs::read_to_string(copy.join("src/main.rs"));
    // But for what only checks read.
    assert!(source.unwrap().starts_with(&copied.unwrap()));
    // The project is on the disk, the examples are in the program.
    reader.says(
        &["copy", "--into", "copy", "deadlines", "--only"],
        "use crate::",
    );
    let main = fs::read_to_string(copy.join("src/main.rs")).unwrap();
    assert!(main.contains("\nmod deadlines;\n"), "{main}");
    assert!(copy.join("src/deadlines.rs").exists());

    let program = "import asyncio\nasyncio.run(asyncio.gather())\n";
    fs::write(reader.dir.path().join("work/mine.py"), program).unwrap();
    let of_gather = "asyncio.gather (a few lines): mine.py:2";
    let ported = reader.says(&["port", "mine.py"], of_gather);
    assert!(ported.contains("\n  asyncio-to-tokio show "), "{ported}");
    assert!(!ported.contains("cargo xtask"), "{ported}");
}

#[test]
fn a_wrong_call_is_told_with_exit_code_2() {
    let reader = Reader::new();
    for (words, said) in [
        (&["show", "gathr"][..], "did you mean `concurrency/gather`?"),
        (
            &["show", "qqq"],
            "`asyncio-to-tokio list` shows which there are",
        ),
        (&["find"], "`asyncio-to-tokio find WORDS`"),
        (&["guide", "99"], "`asyncio-to-tokio guide` lists all"),
        (
            &["port", "without"],
            "this needs CPython 3.11 or later; install it",
        ),
        (&["port", "no_such.py"], "there is no no_such.py"),
        (&["check-all"], "unrecognized subcommand 'check-all'"),
    ] {
        let ran = reader.run(words);
        assert_eq!(ran.stdout, "");
        ran.says(2, said);
    }
}

/// The texts name no folder of the machine on which they were packed, and stay in the
/// program.
#[test]
fn nothing_is_left_behind_and_nothing_of_the_clone_is_in_it() {
    let reader = Reader::new();
    let program = root().join("crates/basics/python/hello_async.py");
    reader.says(&["port", &program.display().to_string()], "asyncio.run");
    let left = entries(reader.dir.path()).unwrap();
    let names = left.iter().filter_map(|path| path.file_name()?.to_str());
    assert_eq!(names.collect::<Vec<_>>(), ["program", "temporary", "work"]);
    for folder in ["temporary", "work"] {
        assert_eq!(entries(&reader.dir.path().join(folder)).unwrap().len(), 0);
    }
    let root = root().display().to_string();
    let said =
        reader.says(&["show", "generator"], "") + &reader.says(&["find", "gather"], "");
    assert!(!said.contains(&root), "{said}");
}
