//! A small workspace with a section whose programs are wrong on purpose.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::root;

/// A program that is `good` with one text replaced.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    /// The example's name, which says what is wrong with it.
    pub name: &'static str,
    /// What is replaced; it stands in `good` exactly once.
    pub from: &'static str,
    /// What it is replaced by.
    pub to: &'static str,
}

impl Mutant {
    /// The program `name`, which has `to` in place of `from`.
    pub const fn new(name: &'static str, from: &'static str, to: &'static str) -> Self {
        Self { name, from, to }
    }
}

/// A copy of `tests/fixture` below the target folder, with a mutant of `good.rs` for
/// each of `programs`, a mutant of `good.py` for each of `twins`, and the golden of
/// `good` as the golden of all of them.
#[derive(Debug)]
pub struct Fixture {
    dir: PathBuf,
    /// What is compiled, shared by all fixtures: Tokio is compiled once.
    build: PathBuf,
    /// The executables, which have the same name in all fixtures.
    target: PathBuf,
    /// Held while the fixture is in use: nextest runs each test in a process of its own.
    _lock: File,
}

impl Fixture {
    /// Makes the fixture `name` below `tmp`, which is `CARGO_TARGET_TMPDIR`, or brings it
    /// up to date. Files that do not change are not written, so little is compiled anew.
    ///
    /// # Panics
    ///
    /// When files cannot be read or written, or when a mutant replaces nothing.
    pub fn new(tmp: &str, name: &str, programs: &[Mutant], twins: &[Mutant]) -> Self {
        let tmp = Path::new(tmp);
        fs::create_dir_all(tmp).expect("the folder for temporary files can be made");
        let lock = File::create(tmp.join(format!("{name}.lock"))).expect("a lock file");
        lock.lock().expect("the lock can be taken");

        let (dir, from) = (tmp.join(name), root().join("tests/fixture"));
        let fixture = Self {
            build: tmp.join("fixture-build"),
            target: dir.join("target"),
            dir,
            _lock: lock,
        };
        let runner = root().join("crates/example-runner");
        // TOML takes a backslash for an escape.
        let runner = runner.display().to_string().replace('\\', "/");
        // Cargo tells packages in the shared build folder apart by name and version, and
        // by their place in the workspace, which is the same in all fixtures.
        let version = format!("0.0.0-{}", name.replace('_', "-"));
        for path in [
            "Cargo.toml",
            "crates/sample/Cargo.toml",
            "crates/sample/src/good.rs",
            "crates/sample/python/good.py",
            "tests/golden/sample/good.txt",
        ] {
            let text = read(&from.join(path))
                .replace("../../../../crates/example-runner", &runner)
                .replace("0.0.0-fixture", &version);
            fixture.write(path, &text);
        }
        for path in [
            "Cargo.lock",
            "docs/asyncio-api.tsv",
            "tests/python/run_twin.py",
        ] {
            fixture.write(path, &read(&root().join(path)));
        }
        fixture.write("tests/python/requirements.txt", "");
        let question = "How do I wait for two at once?\tsample/good\n";
        let table = format!("question\texamples\n{question}");
        fixture.write("docs/questions.tsv", &table);

        let mut names = vec!["good"];
        names.extend(programs.iter().chain(twins).map(|mutant| mutant.name));
        fixture.remove_what_is_left(&names);

        let program = read(&from.join(source("good")));
        let good_twin = read(&from.join(twin("good")));
        let golden = read(&from.join("tests/golden/sample/good.txt"));
        for mutant in programs {
            fixture.write(&source(mutant.name), &mutate(&program, mutant));
            fixture.write(&twin(mutant.name), &good_twin);
        }
        for mutant in twins {
            fixture.write(&source(mutant.name), &program);
            fixture.write(&twin(mutant.name), &mutate(&good_twin, mutant));
        }
        for name in &names[1..] {
            fixture.write(&format!("tests/golden/sample/{name}.txt"), &golden);
        }
        let list = format!(
            "//! Made by the tests.\n#[macro_use]\nextern crate example_runner;\n\
             examples! {{ {} }}\n",
            names.join(", ")
        );
        fixture.write("crates/sample/src/main.rs", &list);
        fixture
    }

    /// Removes the files of mutants that an earlier version of the tests has made.
    fn remove_what_is_left(&self, names: &[&str]) {
        for folder in [
            "crates/sample/src",
            "crates/sample/python",
            "tests/golden/sample",
        ] {
            let Ok(entries) = fs::read_dir(self.dir.join(folder)) else {
                continue;
            };
            for entry in entries {
                let path = entry.expect("the folder can be read").path();
                let stem = path.file_stem().unwrap_or_default();
                if path.is_file()
                    && stem != "main"
                    && !names.iter().any(|name| stem == *name)
                {
                    fs::remove_file(&path).expect("the file can be removed");
                }
            }
        }
    }

    /// The folder of the workspace.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a file, unless it has this text already.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: &str) {
        write(&self.dir.join(path), text);
    }

    /// Runs the xtask in this workspace, as `cargo xtask` does.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn xtask(&self, arguments: &[&str]) -> Output {
        self.xtask_command(arguments)
            .output()
            .expect("the xtask can be run")
    }

    /// The command that [`xtask`](Self::xtask) runs, to be changed before.
    pub fn xtask_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(crate::xtask());
        command.args(arguments);
        command
    }

    /// A command that is run in this workspace.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.dir)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_BUILD_BUILD_DIR", &self.build)
            .env("CARGO_NET_OFFLINE", "true")
            .stdin(Stdio::null());
        command
    }

    /// Builds the section and returns its executable.
    ///
    /// # Panics
    ///
    /// When it does not build.
    pub fn section(&self) -> PathBuf {
        let status = self
            .command(Path::new(&xtask::workspace::cargo()))
            .args(["build", "--quiet"])
            .status()
            .expect("cargo can be run");
        assert!(status.success(), "the fixture does not build");
        self.target
            .join("debug")
            .join(format!("sample{}", std::env::consts::EXE_SUFFIX))
    }
}

fn source(name: &str) -> String {
    format!("crates/sample/src/{name}.rs")
}

fn twin(name: &str) -> String {
    format!("crates/sample/python/{name}.py")
}

fn mutate(text: &str, mutant: &Mutant) -> String {
    let Mutant { name, from, to } = mutant;
    assert_eq!(
        text.matches(from).count(),
        1,
        "{name}: `{from}` must stand there once"
    );
    text.replace(from, to)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Writes a file and the folders above it, unless it has this text already: what is not
/// written is not compiled anew.
pub fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|now| now == text) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a file is in a folder"))
        .expect("the folder can be made");
    fs::write(path, text).expect("the file can be written");
}
