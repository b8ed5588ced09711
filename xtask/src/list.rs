//! `cargo xtask list` and `cargo xtask show`: finding an example and reading it.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use catalog::compile_fail;
use catalog::questions::{self, Question};
use catalog::refuse;
use catalog::workspace::{Example, Workspace};

/// Without words: every example, one a line, with its summary.
///
/// With words: what has all of them, each with the command that runs it: examples by
/// their names, summaries and asyncio names, then questions, then what the compiler says
/// of the programs that must not compile. If there is nothing: a
/// [`WrongCall`](catalog::WrongCall).
///
/// A `*` marks examples whose transcripts differ on purpose.
pub fn list(workspace: &Workspace, words: &[String]) -> Result<String> {
    if words.is_empty() {
        return Ok(all(workspace));
    }
    let words: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let found = [
        examples(workspace, &words),
        asked(workspace, &words)?,
        said(workspace, &words)?,
    ];
    let found: Vec<String> = found.into_iter().filter(|part| !part.is_empty()).collect();
    if found.is_empty() {
        let words = words.join(" ");
        refuse!(
            "no example, no question and no error message has `{words}`; \
             `cargo xtask list` shows all examples"
        );
    }
    Ok(found.join("\n"))
}

fn all(workspace: &Workspace) -> String {
    let all: Vec<&Example> = workspace.examples().collect();
    let groups = all.chunk_by(|a, b| (&a.section, &a.group) == (&b.section, &b.group));
    let texts = groups.map(|group| {
        let heading = format!("{}: {}", group[0].section, group[0].group);
        format!("{heading}\n{}", table(group, |_| String::new()))
    });
    texts.collect::<Vec<String>>().join("\n") + LEGEND
}

const LEGEND: &str = "\n* Rust and asyncio differ here; the example shows how.\n";

/// A row for each example, with what belongs below it.
fn table(examples: &[&Example], below: impl Fn(&Example) -> String) -> String {
    let width = examples.iter().map(|example| example.id().len()).max();
    let width = width.unwrap_or_default();
    let mut text = String::new();
    for example in examples {
        let mark = example.header.differs.as_ref().map_or(' ', |_| '*');
        let (id, summary) = (example.id(), &example.header.summary);
        text += &format!("{id:width$} {mark} {summary}\n{}", below(example));
    }
    text
}

/// The line that runs an example.
fn command(example: &Example) -> String {
    let Example { section, name, .. } = example;
    format!("    cargo run -p {section} -- {name}\n")
}

/// The examples that have the words in their names, summaries and asyncio names.
fn examples(workspace: &Workspace, words: &[String]) -> String {
    let has_all = |example: &&Example| {
        let header = &example.header;
        let (summary, names) = (&header.summary, header.asyncio.join("\n"));
        has_all(&format!("{}\n{summary}\n{names}", example.id()), words)
    };
    let found: Vec<&Example> = workspace.examples().filter(has_all).collect();
    let differs = found.iter().any(|example| example.header.differs.is_some());
    table(&found, command) + if differs { LEGEND } else { "" }
}

/// The questions that have the words, with the examples that answer them.
fn asked(workspace: &Workspace, words: &[String]) -> Result<String> {
    // A row that is none is told by the inventory.
    let questions = questions::find(workspace)?
        .into_iter()
        .filter_map(Result::ok);
    let found = questions.filter(|question| has_all(&question.text, words));
    let blocks = found.map(|Question { text, examples }| {
        let commands: String = examples.into_iter().map(command).collect();
        format!("{text}\n{commands}")
    });
    Ok(headed("Questions:", &blocks.collect::<String>()))
}

/// What the compiler says that has the words, with the programs of which it says so and
/// the examples that do it right. The words may also be a whole message, with types of the
/// reader's own around what every such message has.
fn said(workspace: &Workspace, words: &[String]) -> Result<String> {
    let message = words.join(" ");
    let mut commands: BTreeMap<String, String> = BTreeMap::new();
    for section in &workspace.sections {
        // A program that cannot be read is told by the inventory.
        for fail in compile_fail::find(section)?
            .into_iter()
            .filter_map(|(_, f)| f.ok())
        {
            let said = fail.message();
            let is_meant =
                has_all(&said, words) || message.contains(&fail.words.to_lowercase());
            let mut own = section.examples.iter();
            if is_meant && let Some(example) = own.find(|own| own.name == fail.example) {
                let (command, path) = (command(example), workspace.relative(&fail.path));
                let line = format!("{}  # {path}\n", command.trim_end());
                commands.entry(said).or_default().push_str(&line);
            }
        }
    }
    let blocks = commands
        .iter()
        .map(|(said, lines)| format!("{said}\n{lines}"));
    Ok(headed("Said by the compiler:", &blocks.collect::<String>()))
}

fn headed(heading: &str, blocks: &str) -> String {
    match blocks {
        "" => String::new(),
        blocks => format!("{heading}\n\n{blocks}"),
    }
}

/// Whether the text has all of the words, which are in lower case.
fn has_all(text: &str, words: &[String]) -> bool {
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word))
}

/// Returns header, both programs and transcript of an example.
pub fn show(workspace: &Workspace, example: &Example) -> Result<String> {
    let header = &example.header;
    let read = |path| {
        fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", workspace.relative(path)))
    };
    let (id, names) = (example.id(), header.asyncio.join(", "));
    let (summary, prose) = (&header.summary, header.prose.join("\n"));
    let mut text = format!("{id}\n{summary}\n\n{prose}\n\nasyncio: {names}\n");
    let twin = example.has_twin().then_some(&example.twin);
    for path in [Some(&example.source), example.demo.as_ref(), twin]
        .into_iter()
        .flatten()
    {
        let source = read(path)?;
        let is_header = |line: &&str| line.starts_with("//!") || line.is_empty();
        let code: Vec<&str> = source.lines().skip_while(is_header).collect();
        text += &format!("\n{}:\n\n{}\n", workspace.relative(path), code.join("\n"));
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
