//! The files of this workspace belong together, and the README shows what is so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;

use xtask::workspace::{Workspace, read_golden};
use xtask::{inventory, questions};

#[test]
fn every_file_has_its_place() {
    let workspace = Workspace::open().expect("the workspace opens");
    let failures = inventory::check(&workspace, "").expect("the files can be read");
    let failures: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "\n{}", failures.concat());
}

/// Each block of the five guides that docs/README.md names is answered by examples that
/// exist, or will be by a section that does not exist yet: how many of those there are is
/// printed.
#[test]
fn every_block_of_the_guides_has_its_examples() {
    let workspace = Workspace::open().expect("the workspace opens");
    let path = tests::root().join("docs/guides.tsv");
    let table = fs::read_to_string(path).expect("docs/guides.tsv");
    let mut blocks = BTreeSet::new();
    let mut open = 0;
    for row in table.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let &[block, heading, examples] = columns.as_slice() else {
            panic!("not three columns: {row}");
        };
        assert!(!heading.is_empty() && !examples.is_empty(), "{row}");
        assert!(blocks.insert(block), "{block} stands twice");
        let mut answered = true;
        for id in examples.split(' ') {
            let (section, _) = id.split_once('/').expect("SECTION/EXAMPLE");
            assert!(SECTIONS.contains(&section), "{block}: no section {section}");
            if workspace.section(section).is_err() {
                answered = false;
            } else if let Err(error) = workspace.example(id) {
                panic!("{block}: {error}");
            }
        }
        open += usize::from(!answered);
    }
    assert_eq!(blocks.len(), 113, "108 blocks and 5 exercises");
    say(&format!(
        "docs/guides.tsv: {open} of {} rows are open",
        blocks.len()
    ));
}

/// Past the harness, which shows only what a test that fails prints.
fn say(line: &str) {
    let line = format!("{line}\n");
    let written = std::io::stderr().write_all(line.as_bytes());
    written.expect("standard error");
}

/// What CPython 3.11 to 3.14 call public is in the table of names, on every system.
#[test]
fn every_public_name_of_asyncio_is_in_the_table() {
    let api = table("docs/asyncio-api.tsv");
    let known: BTreeSet<&str> = api.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(known.len(), api.len(), "a name stands twice in the table");
    let mut seen = BTreeSet::new();
    let mut of_version = BTreeMap::new();
    for row in table("tests/python/asyncio-all.tsv") {
        let [name, versions, systems] = row.as_slice() else {
            panic!("not three columns: {row:?}");
        };
        assert!(seen.insert(name.clone()), "{name} stands twice");
        assert!(
            ["all", "Unix", "Windows"].contains(&systems.as_str()),
            "{row:?}"
        );
        assert!(
            known.contains(name.as_str()),
            "{name} is in asyncio.__all__ of {versions}, but not in docs/asyncio-api.tsv"
        );
        for version in versions.split(' ') {
            *of_version.entry(version.to_owned()).or_insert(0) += 1;
        }
    }
    let versions: Vec<&str> = of_version.keys().map(String::as_str).collect();
    assert_eq!(versions, ["3.11", "3.12", "3.13", "3.14"]);
    assert!(
        of_version.values().all(|names| *names > 90),
        "{of_version:?}"
    );
}

/// Each row has its columns and a status; how many names with a counterpart no example
/// shows is printed.
#[test]
fn names_of_asyncio_have_their_examples() {
    let workspace = Workspace::open().expect("the workspace opens");
    let headers = workspace.examples().map(|example| &example.header);
    let shown: BTreeSet<&String> = headers.flat_map(|header| &header.asyncio).collect();
    let mut open = 0;
    for row in table("docs/asyncio-api.tsv") {
        assert_eq!(row.len(), 10, "{row:?}");
        let [name, removed, counterpart, status] =
            [0, 4, 5, 6].map(|column| row[column].as_str());
        assert!(!name.is_empty() && !counterpart.is_empty(), "{row:?}");
        let has_counterpart = match status {
            "direct" | "pattern" => true,
            "none" => false,
            other => panic!("{name}: no status `{other}`; direct, pattern or none"),
        };
        // What no CPython has that the twins run on need not be shown.
        let gone = ["3.9", "3.10", "3.11"].map(|version| format!("removed {version}"));
        let is_gone = gone.iter().any(|gone| removed.ends_with(gone.as_str()));
        let is_shown = shown.contains(&row[0]);
        open += usize::from(has_counterpart && !is_gone && !is_shown);
    }
    say(&format!(
        "docs/asyncio-api.tsv: {open} names are shown by no example"
    ));
}

/// The rows of a table below its heading.
fn table(path: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(tests::root().join(path)).expect(path);
    let columns = |row: &str| row.split('\t').map(str::to_owned).collect();
    text.lines().skip(1).map(columns).collect()
}

/// What somebody asks who does not know the Rust term yet is answered, in every section.
#[test]
fn every_section_answers_questions() {
    let workspace = Workspace::open().expect("the workspace opens");
    let questions = questions::find(&workspace).expect("docs/questions.tsv");
    let questions: Vec<_> = questions.into_iter().filter_map(Result::ok).collect();
    assert!(questions.len() >= 60, "{} questions", questions.len());
    for section in &workspace.sections {
        let name = &section.name;
        let best = questions
            .iter()
            .filter_map(|question| question.examples.first());
        let answered = best.filter(|example| example.section == *name).count();
        assert!(answered >= 5, "{answered} questions are about {name}");
    }
}

/// What `rust-toolchain.toml` installs is the oldest Rust that Cargo.toml promises.
#[test]
fn the_oldest_rust_is_the_one_that_is_tested() {
    let read = |name| fs::read_to_string(tests::root().join(name)).expect(name);
    let value = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.expect(key).trim_matches([' ', '=', '"']).to_owned()
    };
    let promised = value(&read("Cargo.toml"), "rust-version");
    let installed = value(&read("rust-toolchain.toml"), "channel");
    assert_eq!(installed, format!("{promised}.0"));
}

const SECTIONS: [&str; 7] = [
    "basics",
    "concurrency",
    "context-managers",
    "iterators",
    "error-handling",
    "real-world",
    "best-practices",
];

/// What the README shows of a run is the beginning of a golden, the code above it is of
/// that example, and the examples that its commands name are there.
#[test]
fn the_readme_shows_what_is_so() {
    let workspace = Workspace::open().expect("the workspace opens");
    let readme = fs::read_to_string(tests::root().join("README.md")).expect("a README");
    let mut lines = readme.lines();
    let (mut shown, mut code) = (0, Vec::new());
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            code.push(lines.by_ref().take_while(|line| *line != "```").collect());
        }
        if let Some(run) = line.trim().strip_prefix("$ cargo run -q -p ") {
            let id = run.replace(" -- --virtual-time ", "/");
            let example = workspace.example(&id).expect("it is there");
            let read = |path| fs::read_to_string(path).expect("it can be read");
            let programs = [read(&example.source), read(&example.twin)].concat();
            for block in code.drain(..) {
                let block: Vec<&str> = block;
                assert!(
                    programs.contains(&block.join("\n")),
                    "{block:?} is not of {id}"
                );
                shown += 1;
            }
            let golden = read_golden(&example.golden);
            let golden = golden.expect("it has a golden").to_string();
            let block = lines.by_ref().take_while(|line| !line.trim().is_empty());
            let block: Vec<&str> =
                block.filter_map(|line| line.strip_prefix("    ")).collect();
            let (last, first) = block.split_last().expect("the README shows lines");
            assert_eq!(last.trim(), "...");
            assert!(
                golden.starts_with(&first.join("\n")),
                "{first:?} is not of {id}"
            );
        }
        for word in line.split_whitespace() {
            let word = word.trim_matches('`');
            if let Some(name) = word.strip_prefix("iterators/") {
                let found = workspace.matching(word).expect("it selects something");
                assert!(!found.is_empty(), "{name}");
            }
        }
    }
    assert_eq!(
        (shown, code.len()),
        (2, 0),
        "the README shows both programs and a run"
    );
}
