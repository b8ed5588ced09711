//! `cargo xtask list` and `cargo xtask show`: finding an example and reading it.

use std::fs;

use anyhow::{Context, Result};
use console::Term;

use crate::workspace::{Example, Workspace};

/// Every example whose name, summary or asyncio names have all of the words, one a line,
/// with its summary; a `*` marks those whose transcripts differ on purpose. If there is
/// none: a [`WrongCall`](crate::WrongCall).
pub fn list(workspace: &Workspace, words: &[String]) -> Result<String> {
    let found: Vec<&Example> = workspace
        .examples()
        .filter(|example| words.iter().all(|word| mentions(example, word)))
        .collect();
    if found.is_empty() {
        let words = words.join(" ");
        refuse!("no example mentions `{words}`; `cargo xtask list` shows all");
    }
    let width = found.iter().map(|example| example.id().len()).max();
    let width = width.unwrap_or_default();
    let mut text = String::new();
    for example in &found {
        let mark = example.header.differs.as_ref().map_or(' ', |_| '*');
        let (id, summary) = (example.id(), &example.header.summary);
        text.push_str(&format!("{id:width$} {mark} {summary}\n"));
    }
    if found.iter().any(|example| example.header.differs.is_some()) {
        text.push_str("\n* Rust and asyncio differ here; the example shows how.\n");
    }
    Ok(text)
}

fn mentions(example: &Example, word: &str) -> bool {
    let (summary, names) = (&example.header.summary, example.header.asyncio.join("\n"));
    let text = format!("{}\n{summary}\n{names}", example.id()).to_lowercase();
    text.contains(&word.to_lowercase())
}

/// Header, both programs (side by side where the terminal is wide enough) and transcript
/// of an example.
pub fn show(workspace: &Workspace, example: &Example) -> Result<String> {
    let header = &example.header;
    let read = |path| {
        fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", workspace.relative(path)))
    };
    let (id, names) = (example.id(), header.asyncio.join(", "));
    let (summary, prose) = (&header.summary, header.prose.join("\n"));
    let mut text = format!("{id}\n{summary}\n\n{prose}\n\nasyncio: {names}\n\n");
    let source = read(&example.source)?;
    let rust = source
        .lines()
        .skip_while(|line| line.starts_with("//!") || line.is_empty());
    let rust: Vec<&str> = rust.collect();
    let path = workspace.relative(&example.source);
    if example.has_twin() {
        let twin_path = workspace.relative(&example.twin);
        let twin = read(&example.twin)?;
        let python: Vec<&str> = twin.lines().collect();
        let wide = |lines: &[&str]| lines.iter().map(|line| line.chars().count()).max();
        let left = wide(&rust).unwrap_or(0).max(path.len());
        let needed = left + 3 + wide(&python).unwrap_or(0);
        let term = Term::stdout();
        if term.is_term() && usize::from(term.size().1) >= needed {
            text.push_str(&format!("{path:left$} | {twin_path}\n"));
            for index in 0..rust.len().max(python.len()) {
                let [rust, python] =
                    [&rust, &python].map(|lines| *lines.get(index).unwrap_or(&""));
                let row = format!("{rust:left$} | {python}");
                text.push_str(&format!("{}\n", row.trim_end()));
            }
        } else {
            let rust = rust.join("\n");
            text.push_str(&format!("{path}:\n\n{rust}\n\n{twin_path}:\n\n{twin}"));
        }
    } else {
        text.push_str(&format!("{path}:\n\n{}\n", rust.join("\n")));
    }
    let golden = read(&example.golden)?;
    let Some(why) = &header.differs else {
        return Ok(format!("{text}\nTranscript:\n\n{golden}"));
    };
    let of_twin = read(&example.twin_golden)?;
    Ok(format!(
        "{text}\nThe transcripts differ: {why}\n\nRust:\n\n{golden}\nPython:\n\n{of_twin}"
    ))
}
