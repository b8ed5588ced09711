//! The page of an example.

use anyhow::Result;
use askama::Template;
use catalog::compile_fail::CompileFail;
use catalog::header::Paragraph;
use catalog::speed::{Measured, Of, figures};
use catalog::transcript::{Line, Transcript};
use catalog::workspace::Workspace;
use similar::{ChangeTag, TextDiff};

use crate::contents::{Contents, Entry, meant};
use crate::markup::{anchor, block, with_code};
use crate::speed_page::each;
use crate::timeline::Timeline;

#[derive(Template)]
#[template(path = "example.md", escape = "html")]
struct Page<'a> {
    contents: &'a Contents<'a>,
    entry: &'a Entry<'a>,
    /// The header's prose, in which the names of other examples are links: each paragraph
    /// with its text.
    paragraphs: Vec<(&'a Paragraph, String)>,
    /// The Rust program without its header.
    program: &'a str,
    rust: Vec<Row>,
    /// Where it differs.
    python: Option<Vec<Row>>,
    timeline: String,
    compile_fail: Vec<&'a CompileFail>,
    measured: Vec<&'a Measured>,
}

/// Returns the page's Markdown.
pub fn page<'a>(contents: &'a Contents<'a>, entry: &'a Entry<'a>) -> Result<String> {
    let (workspace, example) = (contents.workspace, entry.example);
    let paragraphs = example.header.paragraphs.iter();
    let paragraphs = paragraphs.map(|it| (it, linked(workspace, entry, &it.text)));
    let (rust, python) = rows(entry);
    let belongs =
        |it: &&CompileFail| it.section == example.section && it.example == example.name;
    let speed = contents.speed.iter();
    let measured = speed.flat_map(|speed| &speed.measurements);
    let page = Page {
        contents,
        entry,
        paragraphs: paragraphs.collect(),
        program: after_header(&entry.source),
        rust,
        python,
        timeline: Timeline::new(&example.name, &entry.golden, &entry.tasks).render()?,
        compile_fail: contents.compile_fail.iter().filter(belongs).collect(),
        measured: measured.filter(|it| it.example == example.id()).collect(),
    };
    Ok(page.render()?)
}

/// Returns the program without the comment at its beginning.
pub fn after_header(source: &str) -> &str {
    let mut rest = source;
    while rest.starts_with("//!") || rest.starts_with('\n') {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    rest
}

/// Returns the text with the names of other examples as links.
fn linked(workspace: &Workspace, entry: &Entry<'_>, prose: &str) -> String {
    let example = entry.example;
    let code = entry.source.lines();
    let code = code.filter(|line| !line.trim_start().starts_with("//"));
    let words = code
        .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    // A name in the program itself is not another example's.
    let is_used = |name: &str| words.clone().any(|word| word == name);
    let mut text = String::new();
    for (index, part) in prose.split('`').enumerate() {
        if index % 2 == 0 {
            text.push_str(part);
            continue;
        }
        let other = meant(workspace, part, Some(&example.section))
            .filter(|other| other.id() != example.id() && !is_used(part));
        match other {
            Some(other) => text.push_str(&format!("[`{part}`](../{}.md)", other.id())),
            None => text.push_str(&format!("`{part}`")),
        }
    }
    text
}

/// A line of a transcript.
struct Row {
    time: String,
    task: Option<String>,
    text: String,
    /// Whether the other program prints it too.
    is_shared: bool,
}

/// Returns the lines of the Rust program, and those of the twin where they differ.
fn rows(entry: &Entry<'_>) -> (Vec<Row>, Option<Vec<Row>>) {
    let rust = &entry.golden;
    let Some(python) = &entry.twin_golden else {
        return (rows_of(rust, &entry.tasks, |_| true), None);
    };
    let [texts, others] = [rust, python].map(Transcript::to_string);
    let diff = TextDiff::from_lines(&texts, &others);
    let without = |left_out: ChangeTag| -> Vec<bool> {
        let changes = diff.iter_all_changes().map(|change| change.tag());
        let changes = changes.filter(|tag| *tag != left_out);
        changes.map(|tag| tag == ChangeTag::Equal).collect()
    };
    let (ours, theirs) = (without(ChangeTag::Insert), without(ChangeTag::Delete));
    let rust = rows_of(rust, &entry.tasks, |index| ours[index]);
    (rust, Some(rows_of(python, &[], |index| theirs[index])))
}

fn rows_of(
    transcript: &Transcript,
    tasks: &[String],
    is_shared: impl Fn(usize) -> bool,
) -> Vec<Row> {
    let end = Line {
        millis: Some(transcript.end),
        text: "(end)".to_owned(),
        task: None,
    };
    let lines = transcript.lines.iter().chain([&end]).enumerate();
    let row = |(index, line): (usize, &Line)| Row {
        time: line.millis.as_ref().map(seconds).unwrap_or_default(),
        task: tasks.get(index).cloned(),
        text: line.text.clone(),
        is_shared: is_shared(index),
    };
    lines.map(row).collect()
}

/// Returns a time in seconds.
pub fn seconds(millis: &u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}
