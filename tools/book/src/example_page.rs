//! The page of an example.

use anyhow::Result;
use askama::Template;
use catalog::chapters::slug;
use catalog::compile_fail::CompileFail;
use catalog::header::Paragraph;
use catalog::speed::{Measured, Of, Speed, figures};
use catalog::tables::Block;
use catalog::transcript::{Line, Transcript};
use catalog::workspace::Example;
use similar::TextDiff;

use crate::contents::{Contents, Entry};
use crate::links::{address, docs_of_python, docs_of_rust, meant};
use crate::markup::{after_header, anchor, block, seconds, with_code};
use crate::speed_page::each;

#[derive(Template)]
#[template(path = "example.md", escape = "html")]
struct Page<'a> {
    contents: &'a Contents<'a>,
    entry: &'a Entry<'a>,
    /// The header's prose, in which the names of other examples are links: each paragraph
    /// with its text. These stand before the program, up to the first trap, so that the
    /// program begins on the first screen.
    answer: Vec<(&'a Paragraph, String)>,
    /// These stand after the program.
    notes: Vec<(&'a Paragraph, String)>,
    /// The Rust program without its header, and what was before it.
    program: &'a str,
    header_text: &'a str,
    rust: Vec<Row>,
    /// Where it differs.
    python: Option<Vec<Row>>,
    compile_fail: Vec<&'a CompileFail>,
    measured: Vec<&'a Measured>,
    /// The blocks of guides that it answers, each with its address.
    blocks: Vec<(String, &'a Block)>,
}

/// Returns the page's Markdown.
pub fn page<'a>(contents: &'a Contents<'a>, entry: &'a Entry<'a>) -> Result<String> {
    let example = entry.example;
    let paragraphs = example.header.paragraphs.iter();
    let mut answer: Vec<_> = paragraphs
        .map(|it| (it, linked(contents, entry, it)))
        .collect();
    let notes = answer.split_off(length_of_answer(&example.header.paragraphs));
    let (rust, python) = rows(entry);
    let speed = contents.speed.iter();
    let measured = speed.flat_map(Speed::all);
    let program = after_header(&entry.source);
    let blocks = contents.blocks.iter();
    let blocks = blocks.filter(|block| block.examples.contains(&example.id()));
    let blocks = blocks.filter_map(|it| Some((address(&contents.guides, it)?, it)));
    let page = Page {
        contents,
        entry,
        answer,
        notes,
        program,
        header_text: entry.source.strip_suffix(program).unwrap_or_default(),
        rust,
        python,
        compile_fail: refused(contents, example),
        measured: measured.filter(|it| it.example == example.id()).collect(),
        blocks: blocks.collect(),
    };
    Ok(page.render()?)
}

/// Returns how many paragraphs stand before the program: what it does, its bounds, and its
/// first trap.
fn length_of_answer(paragraphs: &[Paragraph]) -> usize {
    let is_note = |it: &Paragraph| !matches!(it.label, None | Some("Bounds"));
    let first = paragraphs.iter().position(is_note);
    let first = first.unwrap_or(paragraphs.len());
    let has_trap = paragraphs
        .get(first)
        .is_some_and(|it| it.label == Some("Trap"));
    first + usize::from(has_trap)
}

/// Crates that the Rust Playground certainly has, in their newest versions.
const ON_PLAYGROUND: [&str; 8] = [
    "anyhow",
    "bytes",
    "futures",
    "regex",
    "serde",
    "serde_json",
    "thiserror",
    "tokio",
];

/// Where they are.
const PLAYGROUND: &str =
    "https://play.rust-lang.org/?version=stable&mode=debug&edition=2024";

/// The longest program that goes into an address, as it is encoded there. Servers take 8 KB.
const IN_ADDRESS: usize = 7500;

impl Page<'_> {
    /// Returns what the notes are, as in `2 more traps, in production`.
    fn names_of_notes(&self) -> String {
        let labels = self.notes.iter().filter_map(|it| it.0.label);
        let (traps, others): (Vec<_>, Vec<_>) = labels.partition(|it| *it == "Trap");
        let traps = match traps.len() {
            0 => None,
            1 => Some("1 more trap".to_owned()),
            count => Some(format!("{count} more traps")),
        };
        let others = others.into_iter().map(str::to_lowercase);
        let names: Vec<String> = traps.into_iter().chain(others).collect();
        names.join(", ")
    }

    /// Returns where the Rust Playground runs the program as it is, if it can. The page's
    /// script adds the program.
    fn playground(&self) -> Option<&'static str> {
        let mut words = self.entry.cargo_add.split_whitespace();
        let mut crates = words.clone().filter_map(|word| word.split_once('@'));
        let has_all = crates.all(|(name, _)| ON_PLAYGROUND.contains(&name));
        let is_special = words.any(|word| word.contains("test-util"));
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || b" *-._".contains(&byte);
        let length = |byte| if is_plain(byte) { 1 } else { 3 };
        let is_short = self.program.bytes().map(length).sum::<usize>() <= IN_ADDRESS;
        (has_all && !is_special && is_short).then_some(PLAYGROUND)
    }
}

/// Returns the programs that must not compile and belong to the example.
pub fn refused<'a>(
    contents: &'a Contents<'_>,
    example: &Example,
) -> Vec<&'a CompileFail> {
    let belongs =
        |it: &&CompileFail| it.section == example.section && it.example == example.name;
    contents.compile_fail.iter().filter(belongs).collect()
}

/// Returns the names of the tests as words.
fn names_of_tests(tests: &str) -> Vec<String> {
    let (mut names, mut is_test) = (Vec::new(), false);
    for line in tests.lines().map(str::trim) {
        is_test |= line.starts_with("#[test") || line.starts_with("#[tokio::test");
        let function = line.strip_prefix("async ").unwrap_or(line);
        let function = function.strip_prefix("fn ");
        if let Some((name, _)) = function.and_then(|it| it.split_once('(')) {
            names.extend(is_test.then(|| name.replace('_', " ")));
            is_test = false;
        }
    }
    names
}

/// Returns the text in which the names of other examples lead to them, and those of Python
/// and of crates to their documentation.
fn linked(contents: &Contents<'_>, entry: &Entry<'_>, paragraph: &Paragraph) -> String {
    let (workspace, example) = (contents.workspace, entry.example);
    let code = entry.source.lines();
    let code = code.filter(|line| !line.trim_start().starts_with("//"));
    let words = code
        .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    // A name in the program itself is not another example's, but where others are named.
    let names_others = paragraph.label == Some("See also");
    let is_used = |name: &str| !names_others && words.clone().any(|word| word == name);
    let mut text = String::new();
    for (index, part) in paragraph.text.split('`').enumerate() {
        if index % 2 == 0 {
            text.push_str(part);
            continue;
        }
        let other = meant(workspace, part, Some(&example.section))
            .filter(|other| other.id() != example.id() && !is_used(part));
        let other = other.map(|other| format!("../{}.md", other.id()));
        let other = other.or_else(|| docs_of_python(&contents.names, part));
        match other.or_else(|| docs_of_rust(&entry.source, &entry.cargo_add, part)) {
            Some(address) => text.push_str(&format!("[`{part}`]({address})")),
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
    let rust = with_end(&entry.golden);
    let Some(python) = entry.twin_golden.as_ref().map(with_end) else {
        let is_shared = vec![true; rust.len()];
        return (rows_of(&rust, &entry.tasks, &is_shared), None);
    };
    let (in_ours, in_theirs) = shared(&rust, &python);
    let rust = rows_of(&rust, &entry.tasks, &in_ours);
    (rust, Some(rows_of(&python, &[], &in_theirs)))
}

fn with_end(transcript: &Transcript) -> Vec<Line> {
    let end = Line {
        millis: Some(transcript.end),
        text: "(end)".to_owned(),
        task: None,
    };
    transcript.lines.iter().cloned().chain([end]).collect()
}

/// Returns which lines of each transcript the other one has too, as long after the line
/// before that both have: a later time that only follows from an earlier difference is none.
fn shared(ours: &[Line], theirs: &[Line]) -> (Vec<bool>, Vec<bool>) {
    let [texts, others] = [ours, theirs].map(|lines| {
        let texts = lines.iter().map(|line| line.text.as_str());
        texts.collect::<Vec<&str>>()
    });
    let (mut in_ours, mut in_theirs) =
        (vec![false; ours.len()], vec![false; theirs.len()]);
    let (mut last_of_ours, mut last_of_theirs) = (0, 0);
    for change in TextDiff::from_slices(&texts, &others).iter_all_changes() {
        let (Some(own), Some(other)) = (change.old_index(), change.new_index()) else {
            continue;
        };
        let time = ours[own].millis.unwrap_or(last_of_ours);
        let time_of_other = theirs[other].millis.unwrap_or(last_of_theirs);
        let is_shared = time - last_of_ours == time_of_other - last_of_theirs;
        (in_ours[own], in_theirs[other]) = (is_shared, is_shared);
        (last_of_ours, last_of_theirs) = (time, time_of_other);
    }
    (in_ours, in_theirs)
}

fn rows_of(lines: &[Line], tasks: &[String], is_shared: &[bool]) -> Vec<Row> {
    let row = |(index, line): (usize, &Line)| Row {
        time: line.millis.as_ref().map(seconds).unwrap_or_default(),
        task: tasks.get(index).cloned(),
        text: line.text.clone(),
        is_shared: is_shared[index],
    };
    lines.iter().enumerate().map(row).collect()
}
