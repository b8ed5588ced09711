//! What must be so before the book is made: whatever is referred to, is there.

use std::collections::BTreeSet;

use anyhow::Result;
use catalog::chapters::Heading;
use catalog::files::read;
use catalog::inventory;
use catalog::tables::{Advice, ApiName, Block, SheetRow};
use catalog::workspace::Workspace;
use regex::Regex;

use crate::links::{meant, target};

/// Returns what is wrong with the files of the sections.
pub fn inventory(workspace: &Workspace) -> Result<Vec<String>> {
    let failures = inventory::check(workspace, "")?.into_iter();
    Ok(failures
        .map(|it| format!("{}: {}", it.subject, it.problem))
        .collect())
}

/// Returns the pieces of advice that stand behind no block, or lead to no page.
pub fn advice(
    workspace: &Workspace,
    blocks: &[(String, Block)],
    headings: &[Heading],
    advice: &[(String, Advice)],
) -> Vec<String> {
    let mut problems = Vec::new();
    for (place, row) in advice {
        let is_there = |name: &str| {
            let mut blocks = blocks.iter();
            blocks.any(|(_, it)| it.block == name || format!("{}-00", it.guide()) == name)
        };
        let strange = row.after.iter().filter(|name| !is_there(name));
        problems.extend(strange.map(|name| format!("{place}: no block `{name}`")));
        let is_nowhere = |it: &&String| target(workspace, headings, it).is_none();
        let nowhere = row.here.iter().filter(is_nowhere);
        problems
            .extend(nowhere.map(|it| format!("{place}: no example or chapter `{it}`")));
    }
    problems
}

/// Returns the words in backticks in headers that look like the name of an example and
/// are none. Below `In production:` functions of crates are named.
pub fn headers(workspace: &Workspace, names: &[ApiName]) -> Result<Vec<String>> {
    let mut known = BTreeSet::new();
    let mut learn = |text: &str| {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        known.extend(words.filter(|word| word.contains('_')).map(str::to_owned));
    };
    names.iter().for_each(|name| learn(&name.name));
    for example in workspace.examples() {
        let source = read(&example.source)?;
        let code = source.lines().filter(|line| !line.starts_with("//!"));
        code.for_each(&mut learn);
        let twin = example.has_twin().then_some(&example.twin);
        for path in twin.into_iter().chain(&example.demo).chain(&example.tests) {
            learn(&read(path)?);
        }
    }
    let mut problems = Vec::new();
    for example in workspace.examples() {
        for paragraph in &example.header.paragraphs {
            // Crates have names of their own.
            let is_of_crates = paragraph.label == Some("In production");
            for word in paragraph.text.split('`').skip(1).step_by(2) {
                let is_name = word.split('/').all(|part| {
                    !part.is_empty()
                        && part.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                });
                let is_strange =
                    !is_of_crates && word.contains('_') && !known.contains(word);
                if is_name && is_strange && meant(workspace, word, None).is_none() {
                    problems.push(format!(
                        "{}: its header names `{word}`, which is no example, and which \
                         no program here uses",
                        workspace.relative(&example.source)
                    ));
                }
            }
        }
    }
    Ok(problems)
}

/// Returns what the sheet names and the programs of the row's example do not: whatever is
/// called, and each name with a capital letter or an underscore.
pub fn sheet(workspace: &Workspace, rows: &[(String, SheetRow)]) -> Result<Vec<String>> {
    let names = Regex::new(r"\b(?:\w*[A-Z_]\w{2,}|\w{4,}(?:\(|!|::))")?;
    let mut problems = Vec::new();
    for (place, row) in rows {
        // The inventory names the examples that are not there.
        let Some(example) = row.example.first().and_then(|id| workspace.find(id)) else {
            continue;
        };
        let rust = example.sources().chain(&example.tests);
        let rust = rust.map(|path| read(path)).collect::<Result<String>>()?;
        let python = match example.has_twin() {
            true => read(&example.twin)?,
            false => String::new(),
        };
        for (cell, program) in [(&row.asyncio, python), (&row.tokio, rust)] {
            let names = names.find_iter(cell).map(|name| name.as_str());
            for name in names.filter(|name| !program.contains(name)) {
                let problem = format!("{place}: {} does not show `{name}`", example.id());
                problems.push(problem);
            }
        }
    }
    Ok(problems)
}
