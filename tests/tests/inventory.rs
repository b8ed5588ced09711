//! The files of this workspace belong together, and the README shows what is so.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;

use xtask::{inventory, questions};
use xtask::workspace::{Workspace, read_golden};

#[test]
fn every_file_has_its_place() {
    let workspace = Workspace::open().expect("the workspace opens");
    let failures = inventory::check(&workspace, "").expect("the files can be read");
    let failures: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "\n{}", failures.concat());
}

/// Each block of the five guides is answered by examples that exist, or will be by a
/// section that does not exist yet: how many of those there are is printed.
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
    // Past the harness, which shows only what a test that fails prints.
    let said = format!(
        "docs/guides.tsv: {open} of {} rows are open\n",
        blocks.len()
    );
    std::io::stderr()
        .write_all(said.as_bytes())
        .expect("standard error");
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
        let best = questions.iter().filter_map(|question| question.examples.first());
        let answered = best.filter(|example| example.section == *name).count();
        assert!(answered >= 5, "{answered} questions are about {name}");
    }
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

/// What the README shows of a run is the beginning of a golden, and the examples that its
/// commands name are there.
#[test]
fn the_readme_shows_what_is_so() {
    let workspace = Workspace::open().expect("the workspace opens");
    let readme = fs::read_to_string(tests::root().join("README.md")).expect("a README");
    let mut lines = readme.lines();
    let mut shown = 0;
    while let Some(line) = lines.next() {
        if let Some(run) = line.trim().strip_prefix("$ cargo run -q -p ") {
            let id = run.replace(" -- --virtual-time ", "/");
            let golden = &workspace.example(&id).expect("it is there").golden;
            let golden = read_golden(golden);
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
            shown += first.len();
        }
        for word in line.split_whitespace() {
            let word = word.trim_matches('`');
            if let Some(name) = word.strip_prefix("iterators/") {
                let found = workspace.matching(word).expect("it selects something");
                assert!(!found.is_empty(), "{name}");
            }
        }
    }
    assert!(shown > 0, "the README shows no run");
}
