//! `cargo xtask find`: the examples that are nearest to the reader's own words.

use std::io::{self, IsTerminal as _, Read as _};

use anyhow::{Context as _, Result};
use catalog::refuse;
use catalog::search::{Found, Index};
use catalog::workspace::Workspace;

/// How many examples are shown.
const MOST: usize = 10;

/// How much of standard input is read, in bytes: a long traceback.
const LONGEST: u64 = 64 * 1024;

/// Returns the ten nearest examples, each with its summary and, where it was found by
/// something else, with that. Without words, reads them from standard input.
///
/// # Errors
///
/// A [`WrongCall`](catalog::WrongCall) if there are no words, or nothing has any of them.
pub fn find(workspace: &Workspace, words: &[String]) -> Result<String> {
    let mut query = words.join(" ");
    if query.trim().is_empty() && !io::stdin().is_terminal() {
        let mut bytes = Vec::new();
        let read = io::stdin().lock().take(LONGEST).read_to_end(&mut bytes);
        read.context("cannot read standard input")?;
        query = String::from_utf8_lossy(&bytes).into_owned();
    }
    if query.trim().is_empty() {
        refuse!(
            "nothing to find: `cargo xtask find WORDS`, or `cargo xtask find < error.txt`"
        );
    }
    let index = Index::of(workspace)?;
    let Found { hits, corrected } = index.find(&query, MOST);
    if hits.is_empty() {
        refuse!("nothing has a word of `{query}`; `cargo xtask list` shows all examples");
    }
    let mut text = String::new();
    for (wrong, right) in corrected {
        text += &format!("Nothing has `{wrong}`; searched for `{right}`.\n");
    }
    let width = hits
        .iter()
        .flat_map(|hit| hit.example)
        .map(|example| example.id().len());
    let width = width.max().unwrap_or_default();
    for hit in hits {
        let Some(example) = hit.example else {
            text += &format!(
                "{:width$}  {}\n",
                "(no example)",
                hit.reason.unwrap_or_default()
            );
            continue;
        };
        text += &format!("{:width$}  {}\n", example.id(), example.header.summary);
        if let Some(reason) = hit.reason {
            text += &format!("{:width$}    {reason}\n", "");
        }
    }
    Ok(text + "\nRead one with `cargo xtask show EXAMPLE`.\n")
}
