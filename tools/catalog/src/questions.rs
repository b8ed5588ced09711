//! `docs/questions.tsv`: questions in the words of somebody who does not know the Rust
//! term yet, each with the examples that answer it, the best one first.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::files::read;
use crate::workspace::{Example, Workspace};

/// Where the questions stand, below the workspace's root.
pub const PATH: &str = "docs/questions.tsv";

/// A question and the examples that answer it.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// In the words of a Python developer.
    pub text: String,
    /// The best answer first.
    pub examples: Vec<&'a Example>,
}

/// Every question, in the order of the file, or what is wrong with its row.
///
/// # Errors
///
/// When the file cannot be read.
pub fn find(workspace: &Workspace) -> Result<Vec<Result<Question<'_>, String>>> {
    let table = read(&workspace.root.join(PATH))?;
    let mut seen = BTreeMap::new();
    let rows = (1..).zip(table.lines()).skip(1);
    let parsed = rows.map(|(number, row)| {
        let question = parse(workspace, row)
            .map_err(|problem| format!("row {number}, `{row}`: {problem}"))?;
        // A full stop or a capital letter does not make another question.
        let bare = question.text.trim_end_matches(['?', '.']).to_lowercase();
        match seen.insert(bare, number) {
            Some(first) => Err(format!(
                "row {number}, `{row}`: row {first} asks the same; keep one of them"
            )),
            None => Ok(question),
        }
    });
    Ok(parsed.collect())
}

fn parse<'a>(workspace: &'a Workspace, row: &str) -> Result<Question<'a>, String> {
    let columns: Vec<&str> = row.split('\t').collect();
    let &[text, ids] = columns.as_slice() else {
        return Err(format!(
            "it has {} columns, not two: the question, a tab, and the examples with a \
             blank between them",
            columns.len()
        ));
    };
    if text.trim().is_empty() {
        return Err("the question is empty".to_owned());
    }
    if text.trim() != text {
        return Err("the question begins or ends with a blank".to_owned());
    }
    let mut examples: Vec<&Example> = Vec::new();
    for id in ids.split(' ') {
        if id.is_empty() {
            return Err("it names no example, or has a blank too many".to_owned());
        }
        let example = workspace.example(id).map_err(|error| error.to_string())?;
        if example.id() != id {
            return Err(format!("write `{}` for `{id}`", example.id()));
        }
        if examples.iter().any(|other| other.id() == id) {
            return Err(format!("it names `{id}` twice"));
        }
        examples.push(example);
    }
    Ok(Question {
        text: text.to_owned(),
        examples,
    })
}
