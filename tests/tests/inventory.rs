//! The files of this workspace belong together, and the README shows what is so.

use std::fs;

use xtask::inventory;
use xtask::workspace::Workspace;

#[test]
fn every_file_has_its_place() {
    let workspace = Workspace::open().expect("the workspace opens");
    let failures = inventory::check(&workspace, "").expect("the files can be read");
    let failures: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "\n{}", failures.concat());
}

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
            let golden = workspace.example(&id).expect("it is there").read_golden();
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
