//! Whether the rows of the tables lead to examples that are there.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::tables::{
    self, ApiName, Block, Message, Neighbour, Pattern, Platform, Question, Row,
    RustNames, SheetRow,
};
use crate::workspace::Workspace;

/// Returns what is wrong with rows that lead to examples, each with its table.
///
/// # Errors
///
/// When a table cannot be read.
pub fn problems(workspace: &Workspace) -> Result<Vec<(&'static str, String)>> {
    let mut problems = Vec::new();
    of::<ApiName>(workspace, &mut problems)?;
    of::<Block>(workspace, &mut problems)?;
    of::<Message>(workspace, &mut problems)?;
    of::<Neighbour>(workspace, &mut problems)?;
    of::<Pattern>(workspace, &mut problems)?;
    of::<Platform>(workspace, &mut problems)?;
    of::<Question>(workspace, &mut problems)?;
    of::<RustNames>(workspace, &mut problems)?;
    of::<SheetRow>(workspace, &mut problems)?;
    let problem = |it| (Question::PATH, it);
    problems.extend(questions(workspace)?.into_iter().map(problem));
    Ok(problems)
}

/// Each example is named in full, and once.
fn of<T: Row>(
    workspace: &Workspace,
    problems: &mut Vec<(&'static str, String)>,
) -> Result<()> {
    for (place, row) in tables::rows::<T>(&workspace.root)? {
        for (at, id) in row.examples().iter().enumerate() {
            let problem = match workspace.example(id) {
                Err(error) => error.to_string(),
                Ok(example) if example.id() != *id => {
                    format!("write `{}` for `{id}`", example.id())
                }
                Ok(_) if row.examples()[..at].contains(id) => {
                    format!("it names `{id}` twice")
                }
                Ok(_) => continue,
            };
            problems.push((T::PATH, format!("{place}: {problem}")));
        }
    }
    Ok(())
}

/// Each question is there once: a full stop or a capital letter does not make another one.
fn questions(workspace: &Workspace) -> Result<Vec<String>> {
    let (mut seen, mut problems) = (BTreeMap::new(), Vec::new());
    for (place, Question { question, .. }) in tables::rows(&workspace.root)? {
        if question.is_empty() || question.trim() != question {
            let problem = "the question is empty, or begins or ends with a blank";
            problems.push(format!("{place}: {problem}"));
        }
        let bare = question.trim_end_matches(['?', '.']).to_lowercase();
        if let Some(first) = seen.get(&bare) {
            problems.push(format!("{place}: {first} asks the same"));
        }
        seen.entry(bare).or_insert(place);
    }
    Ok(problems)
}
