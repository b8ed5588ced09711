//! `asyncio-to-tokio` answers where there is no clone, no network and nothing in the cache.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

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
        fs::create_dir(dir.path().join("work")).unwrap();
        Self { dir }
    }

    /// Cargo is not on the path, nor a Python.
    fn start(&self, words: &[&str]) -> Child {
        let mut command = Command::new(self.dir.path().join("program"));
        let command = command
            .args(words)
            .current_dir(self.dir.path().join("work"));
        let cache = self.dir.path().join("cache");
        let command = command.env_clear().env("XDG_CACHE_HOME", &cache);
        let command = command.env("PATH", self.dir.path());
        let command = command.env("LOCALAPPDATA", cache).stdin(Stdio::null());
        // The port gets its Python by name.
        if words[0] == "port" && words[1..] != ["without"] {
            command.env("PYTHON", python().program());
            command.env("PATH", std::env::var_os("PATH").unwrap());
        }
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    fn run(&self, words: &[&str]) -> Output {
        self.start(words).wait_with_output().unwrap()
    }

    fn said(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", stderr(&output));
        stdout(&output)
    }

    /// Where the texts are.
    fn unpacked(&self) -> PathBuf {
        let dir = self.dir.path().join("cache/asyncio-to-tokio");
        let [only] = &entries(&dir).unwrap()[..] else {
            panic!("one folder is in {}", dir.display());
        };
        only.clone()
    }
}

#[test]
fn each_command_answers_outside_of_a_clone() {
    let reader = Reader::new();
    let found = reader.said(&["find", "where", "is", "asyncio.gather"]);
    assert!(found.starts_with("concurrency/gather_results "), "{found}");
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

    let source =
        fs::read_to_string(root().join("crates/context-managers/src/connection_pool.rs"));
    reader.said(&["copy", "connection_pool", "copy"]);
    let copy = reader.dir.path().join("work/copy");
    let copied = fs::read_to_string(copy.join("src/main.rs"));
    assert_eq!(copied.unwrap(), source.unwrap());
    let manifest = fs::read_to_string(copy.join("Cargo.toml")).unwrap();
    let mut in_clone = Command::new(tests::xtask());
    let in_clone = in_clone.args(["copy", "connection_pool", "--print-manifest"]);
    let in_clone = stdout(&in_clone.current_dir(root()).output().unwrap());
    assert!(in_clone.contains("tokio = "), "{in_clone}");
    for line in in_clone.lines() {
        assert!(manifest.contains(line), "`{line}` is not in {manifest}");
    }

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

/// Whether many start at once, or something has happened to the files.
#[test]
fn the_texts_are_whole_at_each_start() {
    let reader = Reader::new();
    let started = [(); 8].map(|()| reader.start(&["list"]));
    let said = started.map(|child| child.wait_with_output().unwrap());
    for output in &said {
        assert_eq!(stderr(output), "");
        assert_eq!(output.stdout, said[0].stdout);
    }
    assert!(stdout(&said[0]).contains("basics/hello_async"));
    let file = reader.unpacked().join("crates/basics/src/hello_async.rs");
    let whole = fs::read_to_string(&file).unwrap();
    let shown = reader.said(&["show", "hello_async"]);
    for damage in ["", &whole.replace('a', "b")] {
        fs::write(&file, damage).unwrap();
        assert_eq!(reader.said(&["show", "hello_async"]), shown);
        assert_eq!(fs::read_to_string(&file).unwrap(), whole);
    }
    fs::remove_dir_all(file.parent().unwrap()).unwrap();
    assert_eq!(reader.said(&["show", "hello_async"]), shown);
}

#[test]
fn a_cache_that_cannot_be_written_is_told() {
    let reader = Reader::new();
    fs::write(reader.dir.path().join("cache"), "a file").unwrap();
    let output = reader.run(&["list"]);
    let said = stderr(&output);
    assert!(said.starts_with("error: cannot unpack into "), "{said}");
    assert!(
        said.contains(" to a folder that can be written: "),
        "{said}"
    );
    assert_eq!((output.status.code(), &*stdout(&output)), (Some(1), ""));
}

/// What is unpacked names no folder of the machine on which it was packed.
#[test]
fn the_clone_is_not_in_the_texts() {
    let reader = Reader::new();
    reader.said(&["list"]);
    let (mut folders, mut files) = (vec![reader.unpacked()], 0);
    let root = root().display().to_string();
    while let Some(folder) = folders.pop() {
        for path in entries(&folder).unwrap() {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains(&root), "{}", path.display());
        }
    }
    assert!(files > 500, "{files} files");
}
