//! The program that runs the twins: its clock, its `print`, its command line.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use catalog::tables;
use catalog::workspace::{Workspace, cargo};
use snapbox::assert_data_eq;
use tempfile::TempDir;
use tests::{Ran, assert_quiet_in_a_closed_pipe};

fn command() -> Command {
    let mut command = Command::new(tests::python().program());
    command.arg(tests::root().join("tools/python/run_twin.py"));
    command
}

/// Writes a twin into the folder and returns its path.
fn twin(dir: &TempDir, program: &str) -> String {
    let path = dir.path().join("twin.py");
    fs::write(&path, program).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What `cmd/twins.txt` has: options, program and output of each.
fn twins() -> Vec<(String, String, String)> {
    let table =
        fs::read_to_string(tests::root().join("tests/tests/cmd/twins.txt")).unwrap();
    let entries = table.split("\n== ").skip(1).map(|entry| {
        let (title, rest) = entry.split_once('\n').unwrap();
        let (body, output) = rest.split_once("--\n").unwrap();
        let options = title.split(' ').take_while(|word| word.starts_with("--"));
        let program = match body.starts_with("import ") {
            true => body.to_owned(),
            false => format!(
                "import asyncio, sys, threading, time\nasync def main():\n    {}\n\
                 asyncio.run(main())\n",
                body.trim_end().replace('\n', "\n    ")
            ),
        };
        (
            options.collect::<Vec<_>>().join(" "),
            program,
            output.trim_end().to_owned(),
        )
    });
    entries.collect()
}

#[test]
fn what_twins_print() {
    let dir = tempfile::tempdir().unwrap();
    for (options, program, expected) in twins() {
        let mut command = command();
        command.args(options.split_whitespace());
        let ran = Ran::of(command.arg(twin(&dir, &program)));
        let code = ran.code.filter(|code| *code != 0);
        let code = code.map_or(String::new(), |code| format!("? {code}\n"));
        assert_data_eq!(ran.said() + &code, expected + "\n");
    }
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let dir = tempfile::tempdir().unwrap();
    let twin = twin(&dir, "for n in range(1000):\n    print(n)\n");
    assert_quiet_in_a_closed_pipe(command().arg(twin));
}

#[test]
fn wrong_calls() {
    for words in [&[][..], &["no-such-file.py"], &["--fast", "x.py"]] {
        let ran = Ran::of(command().args(words));
        assert_eq!((ran.code, &*ran.stdout), (Some(2), ""), "{words:?}");
        let usage = "usage: run_twin.py [..]\n...\nrun_twin.py: error: [..]\n";
        assert_data_eq!(ran.stderr, usage);
    }
}

/// A row of `tools/python/asyncio-all.tsv`.
#[derive(serde::Deserialize)]
struct PublicName {
    name: String,
    versions: String,
    systems: String,
}

/// `tools/python/asyncio-all.tsv` says what this CPython says, if it is one of those that
/// the table is about.
#[test]
fn the_public_names_of_asyncio() {
    let program = "import asyncio, sys; print('3.%d' % sys.version_info[1]); \
                   print(*asyncio.__all__, sep='\\n')";
    let mut python = Command::new(tests::python().program());
    let said = Ran::of(python.args(["-I", "-c", program])).stdout;
    let (version, names) = said.split_once('\n').unwrap();
    let names = names.lines().map(|name| format!("asyncio.{}", name.trim()));
    let names: BTreeSet<String> = names.collect();
    let path = "tools/python/asyncio-all.tsv";
    let here = if cfg!(windows) { "Windows" } else { "Unix" };
    let rows: Vec<(_, PublicName)> = tables::read(&tests::root(), path).unwrap();
    let mut of_version: Vec<PublicName> = rows.into_iter().map(|(_, row)| row).collect();
    of_version.retain(|row| row.versions.split(' ').any(|it| it == version.trim()));
    if of_version.is_empty() {
        return println!("the table says nothing of CPython {version}");
    }
    of_version.retain(|row| ["all", here].contains(&&*row.systems));
    let listed: BTreeSet<String> = of_version.into_iter().map(|row| row.name).collect();
    assert_eq!(names, listed, "CPython {version}");
}

/// Both serve the same routes: one client gets the same answers.
#[test]
#[cfg(unix)]
fn the_application_and_its_twin_answer_alike() {
    let workspace = Workspace::open().unwrap();
    let python = tests::python().environment(&workspace).unwrap();
    let folder = tests::root().join("application");
    let mut build = Command::new(cargo());
    build.args(["build", "--quiet"]).current_dir(&folder);
    assert!(build.status().unwrap().success());
    let mut compare = Command::new(python);
    compare.arg(folder.join("python/compare.py"));
    let server = workspace.target.join("debug/server");
    Ran::of(compare.arg(server)).says(0, "the same answers to ");
}
