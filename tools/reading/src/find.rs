//! `cargo xtask find`: the examples, and the headings of chapters, that are nearest to the
//! reader's own words.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use catalog::refuse;
use catalog::workspace::Workspace;
use search::{Found, Hit, Index};
use serde_json::{Value, json};

/// How many examples are shown.
const MOST: usize = 10;

/// How much of a file or standard input is read, in bytes: a long traceback.
const LONGEST: u64 = 64 * 1024;

/// Returns the ten nearest examples, each with its summary and, where it was found by
/// something else, with that, which is told once; or all of it as JSON. The name of a file
/// stands for its text; without words, standard input is read.
///
/// # Errors
///
/// A [`WrongCall`](catalog::WrongCall) if there are no words, or nothing has any of them.
pub fn find(workspace: &Workspace, words: &[String], json: bool) -> Result<String> {
    let command = workspace.command;
    let query = query(words)?;
    if query.trim().is_empty() {
        refuse!("nothing to find: `{command} find WORDS`, or `{command} find error.txt`");
    }
    let index = Index::of(workspace)?;
    let found = index.find(&query, MOST);
    if found.hits.is_empty() && found.section.is_none() && found.answer.is_none() {
        refuse!("nothing has a word of `{query}`; `{command} list` shows all examples");
    }
    if json {
        return Ok(format!("{}\n", as_json(&found)));
    }
    Ok(as_text(found) + &format!("\nRead one with `{command} show EXAMPLE`.\n"))
}

fn as_json(found: &Found<'_>) -> Value {
    let hits = found.hits.iter().map(|hit| {
        let (id, summary) = hit.shown.map(|it| (it.id(), &it.summary)).unzip();
        let id = id.filter(|_| hit.page.is_none());
        json!({ "example": id, "summary": summary, "page": hit.page, "reason": hit.reason })
    });
    json!({
        "answer": found.answer,
        "corrected": found.corrected,
        "hits": hits.collect::<Vec<Value>>(),
        "section": found.section,
    })
}

fn as_text(found: Found<'_>) -> String {
    let (mut text, mut told) = (String::new(), BTreeSet::new());
    if found.is_vague {
        text += "These words are everywhere. Add what it is about, such as `queue` or \
                 `timeout`.\n";
    }
    for (wrong, right) in found.corrected {
        text += &format!("Nothing has `{wrong}`; searched for `{right}`.\n");
    }
    if let Some(answer) = found.answer {
        text += &format!("{answer}\n\n");
        told.insert(answer);
    }
    let place = |hit: &Hit<'_>| match (hit.shown, &hit.page) {
        (Some(example), None) => example.id(),
        (_, page) => page.clone().unwrap_or_else(|| "(no example)".to_owned()),
    };
    let widths = found.hits.iter().map(|hit| place(hit).len());
    let width = widths.max().unwrap_or(0);
    for hit in found.hits {
        let place = place(&hit);
        let Some(shown) = hit.shown else {
            text += &format!("{place:width$}  {}\n", hit.reason.unwrap_or_default());
            continue;
        };
        text += &format!("{place:width$}  {}\n", shown.summary);
        if let Some(reason) = hit.reason.filter(|it| told.insert(it.clone())) {
            text += &format!("{:width$}    {reason}\n", "");
        }
    }
    if let Some((page, heading)) = found.section {
        text += &format!("\nSee also {page}: {heading}\n");
    }
    text
}

/// Returns the words; the text of the file that they name; or standard input.
fn query(words: &[String]) -> Result<String> {
    let query = words.join(" ");
    let is_empty = query.trim().is_empty();
    let source: Box<dyn io::Read> = match words {
        // `error.txt` is the name of a file, and `queue` is not.
        [name] if name.contains('.') && Path::new(name).is_file() => {
            Box::new(File::open(name)?)
        }
        _ if is_empty && !io::stdin().is_terminal() => Box::new(io::stdin().lock()),
        _ => return Ok(query),
    };
    let mut bytes = Vec::new();
    let read = source.take(LONGEST).read_to_end(&mut bytes);
    read.context("cannot read what to find")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
