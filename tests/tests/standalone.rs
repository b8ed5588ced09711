//! `asyncio-to-tokio` answers where there is no clone, no network and no cache.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::{Command, Output, Stdio};

use catalog::files::entries;
use catalog::workspace::cargo;
use tempfile::TempDir;
use tests::{build, python, root, stderr, stdout};

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

    /// Cargo is not on the path, nor a Python.
    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(self.dir.path().join("program"));
        let command = command
            .args(words)
            .current_dir(self.dir.path().join("work"));
        let temporary = self.dir.path().join("temporary");
        let command = command.env_clear().env("TMPDIR", temporary);
        let command = command.env("PATH", self.dir.path()).stdin(Stdio::null());
        // The port gets its Python by name.
        if words[0] == "port" && words[1..] != ["without"] {
            command.env("PYTHON", python().program());
            command.env("PATH", std::env::var_os("PATH").unwrap());
        }
        command.output().unwrap()
    }

    fn said(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", stderr(&output));
        stdout(&output)
    }
}

#[test]
fn each_command_answers_outside_of_a_clone() {
    let reader = Reader::new();
    let found = reader.said(&["find", "where", "is", "asyncio.gather"]);
    assert!(found.starts_with("Python: asyncio.gather = "), "{found}");
    assert!(found.contains("\nconcurrency/gather_results "), "{found}");
    let found = reader.said(&["find", "Which", "channel"]);
    assert!(found.contains("docs/chapters/05-which-one.md"), "{found}");
    let chapter = reader.said(&["show", "docs/chapters/05-which-one.md"]);
    assert!(chapter.starts_with("# "), "{chapter}");
    let shown = reader.said(&["show", "generator"]);
    assert!(
        shown.contains("crates/iterators/python/generator.py:"),
        "{shown}"
    );
    assert!(reader.said(&["guide", "3"]).contains("\n003-31 "));
    assert!(reader.said(&["list"]).contains("\nreal-world/tcp_proxy "));
    let found = reader.said(&["find", "--json", "T289"]);
    assert!(
        found.contains("\"example\":\"real-world/ttl_cache\""),
        "{found}"
    );
    let listed = reader.said(&["list", "--json"]);
    for expected in ["\"T289\"", "\"interop/cpu_bound\""] {
        assert!(listed.contains(expected), "{expected}\n{listed}");
    }
    let completions = reader.said(&["completions", "bash"]);
    assert!(completions.contains("--into"), "{completions}");

    let source =
        fs::read_to_string(root().join("crates/context-managers/src/connection_pool.rs"));
    reader.said(&["copy", "connection_pool", "copy"]);
    let copy = reader.dir.path().join("work/copy");
    let copied = fs::read_to_string(copy.join("src/main.rs"));
    // But for what only checks read.
    assert!(source.unwrap().starts_with(&copied.unwrap()));
    // The project is on the disk, the examples are in the program.
    reader.said(&["copy", "--into", "copy", "deadlines", "--only"]);
    let main = fs::read_to_string(copy.join("src/main.rs")).unwrap();
    assert!(main.contains("\nmod deadlines;\n"), "{main}");
    assert!(copy.join("src/deadlines.rs").exists());

    let program = "import asyncio\nasyncio.run(asyncio.gather())\n";
    fs::write(reader.dir.path().join("work/mine.py"), program).unwrap();
    let ported = reader.said(&["port", "mine.py"]);
    assert!(
        ported.contains("asyncio.gather (a few lines): mine.py:2"),
        "{ported}"
    );
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
        let output = reader.run(words);
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
        assert_eq!((output.status.code(), &*stdout(&output)), (Some(2), ""));
    }
}

/// The texts name no folder of the machine on which they were packed, and stay in the
/// program.
#[test]
fn nothing_is_left_behind_and_nothing_of_the_clone_is_in_it() {
    let reader = Reader::new();
    reader.said(&["list"]);
    let program = root().join("crates/basics/python/hello_async.py");
    reader.said(&["port", &program.display().to_string()]);
    let left = entries(reader.dir.path()).unwrap();
    let names = left.iter().filter_map(|path| path.file_name()?.to_str());
    assert_eq!(names.collect::<Vec<_>>(), ["program", "temporary", "work"]);
    for folder in ["temporary", "work"] {
        assert_eq!(entries(&reader.dir.path().join(folder)).unwrap().len(), 0);
    }
    let root = root().display().to_string();
    let said = reader.said(&["show", "generator"]) + &reader.said(&["find", "gather"]);
    assert!(!said.contains(&root), "{said}");
}
