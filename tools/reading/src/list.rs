//! `cargo xtask list` and `cargo xtask show`: finding an example and reading it.

use anyhow::Result;
use catalog::directives::shown;
use catalog::files::read;
use catalog::workspace::{Example, Workspace};
use serde_json::{Value, json};

/// Every example, one a line, with its summary. A `*` marks examples whose transcripts
/// differ on purpose.
pub fn list(workspace: &Workspace) -> String {
    let all: Vec<&Example> = workspace.read_examples().collect();
    let groups = all.chunk_by(|a, b| (&a.section, &a.group) == (&b.section, &b.group));
    let texts = groups.map(|group| {
        let heading = format!("{}: {}", group[0].section, group[0].group);
        format!("{heading}\n{}", table(group))
    });
    texts.collect::<Vec<String>>().join("\n") + LEGEND
}

/// Every example as JSON, with its summary, why it differs, and the numbers of its traps.
pub fn json(workspace: &Workspace) -> String {
    let rows = workspace.read_examples().map(|example| {
        let header = &example.header;
        let traps: Vec<&String> =
            header.paragraphs.iter().flat_map(|it| &it.number).collect();
        json!({
            "example": example.id(), "group": example.group, "summary": header.summary,
            "differs": header.differs, "traps": traps,
        })
    });
    format!("{}\n", Value::from_iter(rows))
}

const LEGEND: &str = "\n* Rust and asyncio differ here; the example shows how.\n";

/// A row for each example.
fn table(examples: &[&Example]) -> String {
    let width = examples.iter().map(|example| example.id().len()).max();
    let width = width.unwrap_or_default();
    let mut text = String::new();
    for example in examples {
        let mark = example.header.differs.as_ref().map_or(' ', |_| '*');
        let (id, summary) = (example.id(), &example.header.summary);
        text += &format!("{id:width$} {mark} {summary}\n");
    }
    text
}

/// Returns header, both programs and transcript of an example.
pub fn show(workspace: &Workspace, example: &Example) -> Result<String> {
    let header = &example.header;
    let names: Vec<&str> = example.names().map(String::as_str).collect();
    let (id, names) = (example.id(), names.join(", "));
    let mut text = format!("{id}\n{}\n\n", header.summary);
    for paragraph in &header.paragraphs {
        text += &match paragraph.title() {
            Some(title) => {
                let boxed = format!("| {title}: {}", paragraph.text);
                boxed.replace('\n', "\n| ") + "\n\n"
            }
            None => format!("{}\n\n", paragraph.text),
        };
    }
    text += &format!("asyncio: {names}\n");
    if let Some(platform) = &example.platform {
        text += &format!("tried on: {platform}\nneeds: {}\n", platform.needs);
    }
    let twin = example.has_twin().then_some(&example.twin);
    for path in example.sources().chain(twin) {
        let source = read(path)?;
        let is_header = |line: &&str| line.starts_with("//!") || line.is_empty();
        let code: Vec<&str> = shown(&source).lines().skip_while(is_header).collect();
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
