//! `docs/crates.tsv`: the crates that headers name for production, and what each is for.

use anyhow::Result;

use crate::tables::{self, Crate};
use crate::traps::Problems;
use crate::workspace::{Example, Workspace};

/// Where the table stands, below the workspace's root.
pub const PATH: &str = "docs/crates.tsv";

/// Returns what stands in backticks in the paragraphs `In production:` of a header.
pub fn in_production(example: &Example) -> impl Iterator<Item = &str> {
    let paragraphs = example.header.labelled("In production");
    paragraphs.flat_map(|it| it.text.split('`').skip(1).step_by(2))
}

/// Returns the rows that no header names, and the examples whose headers name a crate
/// without a row.
///
/// # Errors
///
/// When the table cannot be read.
pub fn problems(workspace: &Workspace) -> Result<Problems<'_>> {
    let rows: Vec<(String, Crate)> = tables::rows(&workspace.root)?;
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_new = |word: &&str| {
        word.starts_with(is_letter)
            && word.chars().all(|c| is_letter(c) || c == '-')
            && !rows.iter().any(|(_, row)| row.name == *word)
            && workspace.find(word).is_none()
    };
    let new = workspace.examples().flat_map(|example| {
        in_production(example).filter(is_new).map(move |word| {
            let problem = format!(
                "{PATH} does not say what the crate `{word}` is for; if it is no crate, add \
                 it with an empty second column"
            );
            (example, problem)
        })
    });
    let is_unused = |row: &&(String, Crate)| {
        let mut words = workspace.examples().flat_map(in_production);
        !words.any(|word| word == row.1.name)
    };
    let unused = rows.iter().filter(is_unused).map(|(place, row)| {
        format!(
            "{place}: no paragraph `In production:` names `{}`; remove the row",
            row.name
        )
    });
    Ok((unused.collect(), new.collect()))
}
