//! What readers type leads to the right example.

use std::process::Command;

use catalog::tables;
use catalog::workspace::Workspace;
use search::{Index, Kind};

/// A query that was written without sight of the tables, and the examples that answer it.
#[derive(serde::Deserialize)]
struct Query {
    query: String,
    examples: String,
}

fn ids(index: &Index<'_>, query: &str, most: usize) -> Vec<String> {
    let hits = index.find(query, most).hits.into_iter();
    hits.filter_map(|hit| Some(hit.example?.id())).collect()
}

/// Each question, name, library and message, word for word, has a right example first.
#[test]
fn what_is_written_to_be_found_is_found_first() {
    let workspace = Workspace::open().expect("the workspace opens");
    let index = Index::of(&workspace).expect("the tables can be read");
    let (mut total, mut missed) = (0, Vec::new());
    for (kind, text, examples) in index.written() {
        // A name is searched without its counterpart, a message without what it means.
        let queries: Vec<&str> = match kind {
            Kind::Name | Kind::Library => text.split(" = ").take(1).collect(),
            Kind::Rust => text
                .split(" = ")
                .take(1)
                .flat_map(str::split_whitespace)
                .collect(),
            Kind::Message => text.split(" (").take(1).collect(),
            _ => vec![text],
        };
        if examples.is_empty() {
            continue;
        }
        for query in queries {
            total += 1;
            if !ids(&index, query, 1).iter().all(|id| examples.contains(id)) {
                missed.push(query);
            }
        }
    }
    assert!(
        missed.len() * 100 <= total * 3,
        "{} of {total}: {missed:#?}",
        missed.len()
    );
}

/// A name that many examples are about leads to the plainest of them, wherever it stands in
/// the book.
#[test]
fn a_name_leads_to_its_plain_example() {
    let workspace = Workspace::open().expect("the workspace opens");
    let index = Index::of(&workspace).expect("the tables can be read");
    for (name, plain) in [
        ("asyncio.gather", "concurrency/gather_results"),
        ("TaskGroup", "concurrency/join_set_group"),
        ("asyncio.wait", "concurrency/wait_all"),
        ("wait_for", "error-handling/call_with_timeout"),
        ("create_task", "basics/spawn_tasks"),
    ] {
        let found = ids(&index, name, 2);
        assert!(found.iter().any(|id| id == plain), "{name}: {found:?}");
    }
}

/// What no single example answers leads to a chapter, or to a guide's own page.
#[test]
fn headings_lead_to_their_pages() {
    let workspace = Workspace::open().expect("the workspace opens");
    let index = Index::of(&workspace).expect("the tables can be read");
    for (query, page) in [
        (
            "layout of an application",
            "docs/chapters/09-application.md",
        ),
        ("project structure", "docs/chapters/09-application.md"),
        ("guide 3", "cargo xtask guide 3"),
        (
            "Python Async Programming: A Detailed Guide",
            "cargo xtask guide 3",
        ),
        (
            "When to use async",
            "docs/chapters/04-async-threads-processes.md",
        ),
        ("Which channel", "docs/chapters/05-which-one.md"),
        // Words that are everywhere.
        ("which one do I use?", "docs/chapters/05-which-one.md"),
        ("how do I do it in Rust", "docs/chapters/05-which-one.md"),
    ] {
        let found = index.find(query, 4).hits;
        let is_found = found.iter().any(|hit| hit.page.as_deref() == Some(page));
        let found: Vec<_> = found.iter().map(|hit| &hit.reason).collect();
        assert!(is_found, "{query}: {found:?}");
    }
}

/// Questions in words that are not in the tables: eight of ten have a right example among
/// the first three.
#[test]
fn other_words_find_it_too() {
    let workspace = Workspace::open().expect("the workspace opens");
    let index = Index::of(&workspace).expect("the tables can be read");
    let rows = tables::read::<Query>(&workspace.root, "xtask/tests/queries.tsv");
    let rows = rows.expect("the queries can be read");
    let missed: Vec<String> = rows
        .iter()
        .filter_map(|(place, row)| {
            let found = ids(&index, &row.query, 3);
            let is_right = row
                .examples
                .split_whitespace()
                .any(|id| found.iter().any(|hit| hit == id));
            (!is_right).then(|| {
                format!("{place} {}: {found:?}, not {}", row.query, row.examples)
            })
        })
        .collect();
    let total = rows.len();
    assert!(
        missed.len() * 10 <= total * 2,
        "{} of {total}: {missed:#?}",
        missed.len()
    );
}

/// A guide is named by its number or its title. It has its mistakes, differences and advice.
#[test]
fn a_guide_is_printed_block_by_block() {
    let said = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let output = command.arg("guide").args(words).output();
        let output = output.expect("the command runs");
        let said = String::from_utf8(output.stdout).expect("text");
        (output.status.code(), said)
    };
    let (code, text) = said(&["3"]);
    assert_eq!((code, &text), (Some(0), &said(&["detailed", "Guide"]).1));
    let place = |part: &str| text.find(part).expect(part);
    let order = [
        "Guide 3: Python Async Programming: A Detailed Guide",
        "Said here: Concurrent tasks",
        "003-01 Synchronous",
        "003-30 Practical",
        "Wrong in the block: The limit of 2 requests",
        "real-world/token_bucket",
        "003-31 Practical",
        "See docs/chapters/10-key-points.md#what-to-remember",
    ];
    assert!(order.map(place).is_sorted(), "{text}");
    assert!(text.contains("    Differs: asyncio's gather"), "{text}");
    assert_eq!(said(&[]).1.lines().count(), 6);
    assert_eq!(said(&["7"]), (Some(2), String::new()));
}
