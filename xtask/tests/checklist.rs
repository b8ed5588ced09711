//! The chapter of the production checklist: each item is ticked for `application`, by a test or
//! a lint; its table has the lints of the example, and ruff refuses the mistakes of the twin.
//! That clippy refuses the mistakes of the example is checked by clippy itself: each is marked by
//! `#[expect(..)]`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use catalog::python::Python;
use catalog::workspace::Workspace;

const CHAPTER: &str = "docs/chapters/08-production-checklist.md";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

/// The text in one line, without links and brackets.
fn plain(text: &str) -> String {
    let mut parts = text.split("](");
    let first = parts.next().map(str::to_owned);
    let rest = parts.filter_map(|part| Some(part.split_once(')')?.1));
    let text: String = first.into_iter().chain(rest.map(str::to_owned)).collect();
    text.replace('[', "")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// A cell names tests and files that are there, or says why there is nothing to show.
#[test]
fn each_item_is_ticked_by_a_test_or_says_why_not() {
    let ticked = read("application/CHECKLIST.md");
    let rows = ticked.lines().filter_map(|line| line.strip_prefix("| "));
    let rows = rows.filter_map(|row| row.strip_suffix(" |")?.rsplit_once(" | "));
    let rows: Vec<_> = rows.filter(|(item, _)| *item != "item").collect();
    let chapter: String = read(CHAPTER).split("```").step_by(2).collect();
    let items = chapter.lines().filter(|line| line.starts_with("- "));
    assert_eq!(rows.len(), items.count(), "the items of {CHAPTER}");
    let chapter = plain(&chapter);

    let folder = root().join("application");
    let files = fs::read_dir(folder.join("tests")).expect("its tests");
    let files = files.map(|entry| entry.expect("an entry").path());
    let tests = files.filter(|path| path.is_file());
    let tests: String = tests
        .map(|path| fs::read_to_string(path).expect("text"))
        .collect();
    for (item, cell) in rows {
        let item = item.replace('[', "");
        let is_item = [":", "."]
            .iter()
            .any(|end| chapter.contains(&format!("{item}{end}")));
        assert!(is_item, "{CHAPTER} has no item `{item}`");
        let named = cell.split('`').skip(1).step_by(2);
        let is_there = |name: &str| {
            tests.contains(&format!("\nfn {name}()"))
                || tests.contains(&format!("\nasync fn {name}()"))
                || folder.join(name).is_file()
        };
        let is_ticked = named.clone().any(is_there);
        assert!(
            cell.starts_with("Not here: ") || is_ticked,
            "{item}: {cell}"
        );
        for test in named.filter(|name| name.matches('_').count() > 2) {
            assert!(is_there(test), "{item}: there is no test {test}");
        }
    }
}

/// The lints, the types and the profile that the chapter shows are those of `application`.
#[test]
fn the_settings_of_the_chapter_are_those_of_the_application() {
    let files = ["Cargo.toml", "clippy.toml", ".cargo/config.toml"];
    let files = files
        .map(|file| read(&format!("application/{file}")))
        .concat();
    let chapter = read(CHAPTER);
    let blocks = chapter.split("```").skip(1).step_by(2);
    let lines: Vec<_> = blocks.flat_map(|block| block.lines().skip(1)).collect();
    assert!(lines.len() > 10, "{lines:?}");
    for line in lines {
        assert!(files.lines().any(|ours| ours == line), "{line}");
    }
}

/// Returns the part of the text between the two.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).expect(start);
    let (part, _) = rest.split_once(end).expect(end);
    part
}

#[test]
fn the_table_has_the_lints_of_the_example() {
    let chapter = read(CHAPTER);
    let table = between(&chapter, "[lints.rust]\n", "```");
    let in_table = table
        .lines()
        .filter_map(|line| line.strip_suffix(" = \"deny\""));
    let in_table: BTreeSet<&str> = in_table.collect();
    let example = read("crates/best-practices/src/lints.rs");
    let denied = between(&example, "#![deny(\n", ")]").lines().map(str::trim);
    let denied = denied.filter(|line| !line.is_empty() && !line.starts_with("//"));
    let denied = denied.map(|line| line.trim_end_matches(','));
    let denied = denied.map(|lint| lint.trim_start_matches("clippy::"));
    assert_eq!(in_table, denied.collect());
    // clippy.toml is that of this workspace.
    let clippy = between(&chapter, "await-holding-invalid-types", "```");
    assert!(read("clippy.toml").contains(clippy), "{clippy}");
}

#[test]
fn ruff_refuses_two_mistakes_of_the_twin() {
    let Some(python) = Python::if_there(false).expect("a CPython") else {
        return;
    };
    let workspace = Workspace::open().expect("the workspace");
    let packages = python.environment(&workspace).expect("the packages");
    let ruff = |options: &[&str]| {
        let mut ruff = Command::new(&packages);
        ruff.args(["-m", "ruff", "check", "--isolated", "--no-cache", "--quiet"]);
        ruff.args(["--output-format=concise"]).args(options);
        let output = ruff.arg("crates/best-practices/python/lints.py");
        let output = output.current_dir(root()).output().expect("it runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    // RUF100: no `noqa` without need.
    assert_eq!(ruff(&["--select=ASYNC,RUF006,RUF100"]), "");
    let all = [
        "--select=ALL",
        "--ignore=ANN,CPY,D,INP,T201",
        "--ignore-noqa",
    ];
    let refused = ruff(&all);
    let rules = refused.lines().filter_map(|line| line.split(' ').nth(1));
    assert_eq!(
        rules.collect::<Vec<_>>(),
        ["RUF006", "ASYNC251"],
        "{refused}"
    );
}
