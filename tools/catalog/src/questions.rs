//! `docs/questions.tsv`: questions in the words of somebody who does not know the Rust
//! term yet, each with the examples that answer it, the best one first.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::tables;
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
pub fn find(workspace: &Workspace) -> Result<Vec<Result<Question<'_>, String>>> {
    let mut seen = BTreeMap::new();
    let rows: Vec<(String, tables::Question)> = tables::read(&workspace.root, PATH)?;
    let parsed = rows.into_iter().map(|(place, row)| {
        let text = row.question.clone();
        let question = parse(workspace, row);
        let question =
            question.map_err(|problem| format!("{place}, `{text}`: {problem}"))?;
        // A full stop or a capital letter does not make another question.
        let bare = text.trim_end_matches(['?', '.']).to_lowercase();
        match seen.insert(bare, place.clone()) {
            Some(first) => Err(format!("{place}, `{text}`: {first} asks the same")),
            None => Ok(question),
        }
    });
    Ok(parsed.collect())
}

fn parse(workspace: &Workspace, row: tables::Question) -> Result<Question<'_>, String> {
    let text = row.question;
    if text.is_empty() || text.trim() != text {
        return Err("the question is empty, or begins or ends with a blank".to_owned());
    }
    let mut examples: Vec<&Example> = Vec::new();
    for id in row.examples {
        let example = workspace.example(&id).map_err(|error| error.to_string())?;
        if example.id() != id {
            return Err(format!("write `{}` for `{id}`", example.id()));
        }
        if examples.iter().any(|other| other.id() == id) {
            return Err(format!("it names `{id}` twice"));
        }
        examples.push(example);
    }
    Ok(Question { text, examples })
}
