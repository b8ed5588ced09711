//! The tables under `docs/`: names of asyncio, blocks of the guides, questions.

use anyhow::{Result, bail};
use xtask::files::read;
use xtask::workspace::Workspace;

/// A row of a table, with where it stands.
#[derive(Debug, Clone)]
struct Row {
    place: String,
    columns: Vec<String>,
}

/// The rows of a table below its heading, which is told by its first column.
fn rows(
    workspace: &Workspace,
    path: &str,
    first: &str,
    width: usize,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (number, line) in (1..).zip(read(&workspace.root.join(path))?.lines()) {
        let columns: Vec<String> = line.split('\t').map(str::to_owned).collect();
        let is_heading = number == 1 && columns[0] == first;
        if is_heading || line.is_empty() {
            continue;
        }
        if columns.len() < width || columns[0].is_empty() {
            bail!("{path}:{number}: not {width} columns, separated by tabs: `{line}`");
        }
        let place = format!("{path}:{number}");
        rows.push(Row { place, columns });
    }
    Ok(rows)
}

/// A name of asyncio, or a construct of Python.
#[derive(Debug, Clone)]
pub struct ApiName {
    /// As it is written in `asyncio:` lines.
    pub name: String,
    /// What it belongs to: tasks, queues, streams.
    pub category: String,
    /// The version of Python that brought it; may be empty.
    pub added: String,
    /// When it went or will go, in words; may be empty.
    pub removed: String,
    /// What takes its place in Rust.
    pub counterpart: String,
    /// `direct`, `pattern` or `none`.
    pub status: String,
}

impl ApiName {
    /// The status in words.
    pub fn status(&self) -> &str {
        match self.status.as_str() {
            "pattern" => "a few lines",
            other => other,
        }
    }

    /// Whether there is something that an example could show.
    pub fn has_counterpart(&self) -> bool {
        self.status != "none"
    }

    /// The name without what it belongs to: `wait_for` of `asyncio.wait_for`; and whether
    /// that is a module, and no class or loop.
    pub fn short(&self) -> Option<(&str, bool)> {
        let (before, short) = self.name.rsplit_once('.')?;
        let is_module = before.chars().all(|c| c.is_ascii_lowercase());
        Some((short, is_module && before != "loop"))
    }
}

/// Reads `docs/asyncio-api.tsv`.
///
/// # Errors
///
/// When it cannot be read, or a row has too few columns.
pub fn names(workspace: &Workspace) -> Result<Vec<ApiName>> {
    let rows = rows(workspace, "docs/asyncio-api.tsv", "name", 7)?.into_iter();
    let names = rows.map(|row| {
        let column = |index: usize| row.columns[index].trim().to_owned();
        ApiName {
            name: column(0),
            category: column(2),
            added: column(3),
            removed: column(4),
            counterpart: column(5),
            status: column(6),
        }
    });
    Ok(names.collect())
}

/// A text and the examples that answer it.
#[derive(Debug, Clone)]
pub struct Answered {
    /// File and line, for messages.
    pub place: String,
    /// The block of a guide; empty for a question.
    pub block: String,
    /// The heading in the guide, or the question.
    pub text: String,
    /// Names of examples.
    pub examples: Vec<String>,
}

/// Reads `docs/guides.tsv`.
///
/// # Errors
///
/// When it cannot be read, or a row has too few columns.
pub fn guides(workspace: &Workspace) -> Result<Vec<Answered>> {
    let rows = rows(workspace, "docs/guides.tsv", "block", 3)?;
    Ok(rows.iter().map(answered).collect())
}

/// Reads `docs/questions.tsv`.
///
/// # Errors
///
/// When it cannot be read, or a row has too few columns.
pub fn questions(workspace: &Workspace) -> Result<Vec<Answered>> {
    let mut rows = rows(workspace, "docs/questions.tsv", "question", 2)?;
    rows.iter_mut()
        .for_each(|row| row.columns.insert(0, String::new()));
    Ok(rows.iter().map(answered).collect())
}

fn answered(row: &Row) -> Answered {
    let column = |index: usize| row.columns[index].as_str();
    Answered {
        place: row.place.clone(),
        block: column(0).to_owned(),
        text: column(1).to_owned(),
        examples: column(2).split_whitespace().map(str::to_owned).collect(),
    }
}
