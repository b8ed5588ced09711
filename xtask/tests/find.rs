//! What readers type leads to the right example.

use catalog::search::{Index, Kind};
use catalog::tables;
use catalog::workspace::Workspace;

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

/// Each question, name and message, word for word, has a right example first.
#[test]
fn what_is_written_to_be_found_is_found_first() {
    let workspace = Workspace::open().expect("the workspace opens");
    let index = Index::of(&workspace).expect("the tables can be read");
    let (mut total, mut missed) = (0, Vec::new());
    for (kind, text, examples) in index.written() {
        // A name is searched without its counterpart, a message without what it means.
        let query = match kind {
            Kind::Name => text.split(" = ").next().unwrap_or(text),
            Kind::Message => text.split(" (").next().unwrap_or(text),
            _ => text,
        };
        if examples.is_empty() {
            continue;
        }
        total += 1;
        if !ids(&index, query, 1).iter().all(|id| examples.contains(id)) {
            missed.push(query);
        }
    }
    assert!(
        missed.len() * 100 <= total * 3,
        "{} of {total}: {missed:#?}",
        missed.len()
    );
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
