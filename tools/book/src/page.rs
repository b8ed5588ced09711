//! The page of an example.

use std::fmt::Write as _;

use similar::{ChangeTag, TextDiff};
use xtask::transcript::{Line, Transcript};
use xtask::workspace::{Example, Workspace};

use crate::html::{anchor, block, code, escape, json, with_code};
use crate::material::{Entry, Material, meant};
use crate::playground;
use crate::refusals::Refusal;
use crate::{speed, timeline};

/// Where the tests of a file begin, at its end.
const TESTS: &str = "\n#[cfg(test)]\nmod tests {";

/// The page's Markdown.
pub fn page(material: &Material<'_>, entry: &Entry<'_>) -> String {
    let (workspace, example) = (material.workspace, entry.example);
    let mut text = String::new();
    let header = &example.header;
    let _ = writeln!(text, "# {}\n", header.summary.trim_end_matches('.'));
    let _ = writeln!(text, "{}\n", prose(workspace, entry));
    text.push_str(&directives(material, example));
    text.push_str(&programs(workspace, entry));
    text.push_str(&transcripts(entry));
    text.push_str(&heading("Timeline"));
    text.push_str(&timeline_block(entry));
    let refusals: Vec<&Refusal> = material.refusals_of(example).collect();
    if !refusals.is_empty() {
        text.push_str(&heading("What the compiler refuses"));
        for refusal in refusals {
            text.push_str(&refused(refusal));
        }
    }
    text.push_str(&take_home(entry));
    let _ = writeln!(
        text,
        "<p class=\"verified\">Verified with {}.</p>",
        escape(&material.versions.line())
    );
    text
}

/// A heading of a part of the page. It is no heading of Markdown, at which the search
/// would cut the page into parts that all have the same names.
fn heading(text: &str) -> String {
    format!("<div class=\"part\" role=\"heading\" aria-level=\"2\">{text}</div>\n\n")
}

/// The header's prose, in which the names of other examples are links.
fn prose(workspace: &Workspace, entry: &Entry<'_>) -> String {
    let example = entry.example;
    let prose = example.header.prose.join("\n");
    let mut text = String::new();
    for (index, part) in prose.split('`').enumerate() {
        if index % 2 == 0 {
            text.push_str(part);
            continue;
        }
        let is_name = part
            .chars()
            .all(|c| c.is_ascii_lowercase() || "_/".contains(c));
        let other = Some(part).filter(|_| is_name);
        let other = other
            .and_then(|part| meant(workspace, part, Some(&example.section)))
            .filter(|other| other.id() != example.id() && !uses(entry, part));
        match other {
            Some(other) => {
                let _ =
                    write!(text, "[`{part}`]({})", from_section(example, &other.id()));
            }
            None => {
                let _ = write!(text, "`{part}`");
            }
        }
    }
    text
}

/// Whether the name is one in the program itself, and so not another example's.
fn uses(entry: &Entry<'_>, name: &str) -> bool {
    let code = entry
        .source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let mut words = code
        .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    words.any(|word| word == name)
}

/// The page of an example as seen from that of another.
fn from_section(from: &Example, id: &str) -> String {
    match id.split_once('/') {
        Some((section, name)) if section == from.section => format!("{name}.md"),
        _ => format!("../{id}.md"),
    }
}

fn directives(material: &Material<'_>, example: &Example) -> String {
    let header = &example.header;
    let mut rows: Vec<(&str, String)> = Vec::new();
    let names = header.asyncio.iter().map(|name| {
        let known = material.names.iter().any(|row| row.name == *name);
        let target = anchor(name);
        match known {
            true => format!("<a href=\"../by-name.html#{target}\">{}</a>", code(name)),
            false => code(name),
        }
    });
    rows.push(("asyncio", names.collect::<Vec<String>>().join(", ")));
    if header.real_clock {
        rows.push(("clock", "it runs on the real clock".to_owned()));
    }
    if let Some(why) = &header.differs {
        rows.push(("differs", with_code(why)));
    }
    if let Some(why) = &header.no_twin {
        rows.push(("no twin", with_code(why)));
    }
    if let Some(why) = &header.not_send {
        rows.push(("not Send", with_code(why)));
    }
    if let Some(error) = &header.exit {
        rows.push(("ends with", format!("the error {}", code(error))));
    }
    for error in &header.stderr {
        rows.push(("standard error", code(error)));
    }
    let measured = material.speed.as_ref();
    if let Some(line) = measured.and_then(|all| speed::line(all, &example.id())) {
        rows.push(("speed", line));
    }
    let mut text = "<table class=\"facts\"><tbody>\n".to_owned();
    for (key, value) in rows {
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\">{key}</th><td>{value}</td></tr>"
        );
    }
    text.push_str("</tbody></table>\n\n");
    text
}

/// Both programs, side by side where there is room.
fn programs(workspace: &Workspace, entry: &Entry<'_>) -> String {
    let example = entry.example;
    let mut text = heading("The programs");
    let count = 1 + usize::from(entry.twin.is_some());
    let _ = writeln!(text, "<div class=\"side-by-side of-{count}\">");
    let rust = entry.source.lines();
    let rust = rust.skip_while(|line| line.starts_with("//!") || line.is_empty());
    let rust = rust.collect::<Vec<&str>>().join("\n");
    let (rust, tests) = match rust.split_once(TESTS) {
        Some((program, tests)) => {
            (program, Some(format!("{}{tests}", TESTS.trim_start())))
        }
        None => (rust.as_str(), None),
    };
    let mut program = |title: &str, path, language, program: &str| {
        let path = workspace.relative(path);
        let _ = writeln!(
            text,
            "<details open><summary>{title} <span class=\"path\">{}</span></summary>\n\n\
             {}\n</details>",
            escape(&path),
            block(language, program)
        );
    };
    program("Rust", &example.source, "rs", rust);
    if let Some(twin) = &entry.twin {
        program("Python", &example.twin, "python", twin);
    }
    text.push_str("</div>\n\n");
    if let Some(tests) = tests {
        let count = tests.lines().count();
        let tests = block("rs", &tests);
        let _ = writeln!(
            text,
            "<details class=\"tests\"><summary>Its tests, at the end of the same file: \
             {count} lines</summary>\n\n{tests}\n</details>\n"
        );
    }
    let _ = writeln!(
        text,
        "<p class=\"actions\">\
         <button type=\"button\" class=\"copy-file\">Copy the Rust file</button>"
    );
    let program = entry.source.split(TESTS).next().unwrap_or_default();
    if let Some(link) = playground::link(program, &entry.needs.crates) {
        let link = escape(&link);
        let _ = writeln!(
            text,
            "<a class=\"playground-link\" href=\"{link}\" rel=\"external\">Open in the \
             Rust Playground</a>"
        );
    }
    let _ = writeln!(
        text,
        "<span class=\"copied\" role=\"status\"></span></p>\n\n\
         <script type=\"application/json\" id=\"file\">{}</script>\n",
        json(&entry.source)
    );
    text
}

/// A line of a transcript as a row, and whether the other program prints it too.
struct Row<'a> {
    time: String,
    task: Option<&'a str>,
    text: &'a str,
    is_shared: bool,
}

impl<'a> Row<'a> {
    fn new(line: &'a Line, task: Option<&'a String>, is_shared: bool) -> Self {
        Self {
            time: line.millis.map_or_else(String::new, seconds),
            task: task.map(String::as_str),
            text: &line.text,
            is_shared,
        }
    }
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

fn transcripts(entry: &Entry<'_>) -> String {
    let mut text = heading("Transcript");
    let Some(other) = &entry.twin_golden else {
        let said = match entry.twin {
            Some(_) => "Both programs print these lines at these times, in seconds.",
            None => "The program prints these lines at these times, in seconds.",
        };
        let _ = writeln!(text, "<p>{said}</p>\n");
        let same = vec![true; entry.golden.lines.len() + 1];
        text.push_str(&transcript(
            "Transcript",
            &entry.golden,
            &entry.tasks,
            &same,
        ));
        return text;
    };
    let why = entry.example.header.differs.as_deref().unwrap_or_default();
    let (rust, python) = shared(&entry.golden, other);
    let _ = writeln!(
        text,
        "<p class=\"why\"><strong>The two differ:</strong> {}. Lines that only one of \
         them prints, or that come at another time, are marked with ≠.</p>\n\n\
         <div class=\"side-by-side of-2\">\n<div>\n<p class=\"of\">Rust</p>\n{}</div>\n\
         <div>\n<p class=\"of\">Python</p>\n{}</div>\n</div>\n",
        with_code(why.trim_end_matches('.')),
        transcript("Rust", &entry.golden, &entry.tasks, &rust),
        transcript("Python", other, &[], &python)
    );
    text
}

/// For the lines and the end of each of both whether the other has it too.
fn shared(one: &Transcript, other: &Transcript) -> (Vec<bool>, Vec<bool>) {
    let [texts, others] = [one, other].map(Transcript::to_string);
    let diff = TextDiff::from_lines(&texts, &others);
    let (mut rust, mut python) = (Vec::new(), Vec::new());
    for change in diff.iter_all_changes() {
        match change.tag() {
            ChangeTag::Equal => {
                rust.push(true);
                python.push(true);
            }
            ChangeTag::Delete => rust.push(false),
            ChangeTag::Insert => python.push(false),
        }
    }
    (rust, python)
}

fn transcript(
    title: &str,
    transcript: &Transcript,
    tasks: &[String],
    is_shared: &[bool],
) -> String {
    let is_shared = |index: usize| is_shared.get(index).copied().unwrap_or(true);
    let lines = transcript.lines.iter().enumerate();
    let rows =
        lines.map(|(index, line)| Row::new(line, tasks.get(index), is_shared(index)));
    let with_tasks = !tasks.is_empty();
    let task = if with_tasks {
        "<th scope=\"col\">task</th>"
    } else {
        ""
    };
    let mut text = format!(
        "<table class=\"transcript\" aria-label=\"{title}\"><thead><tr>\
         <th scope=\"col\">time</th>{task}<th scope=\"col\">line</th></tr></thead>\
         <tbody>\n"
    );
    for row in rows {
        text.push_str(&table_row(&row, with_tasks));
    }
    let end = Row {
        time: seconds(transcript.end),
        task: None,
        text: "(end)",
        is_shared: is_shared(transcript.lines.len()),
    };
    text.push_str(&table_row(&end, with_tasks));
    text.push_str("</tbody></table>\n\n");
    text
}

fn table_row(row: &Row<'_>, with_tasks: bool) -> String {
    let (class, mark) = match row.is_shared {
        true => ("", ""),
        false => (" class=\"differs\"", "<span class=\"mark\">≠</span>"),
    };
    let task = row.task.map_or(String::new(), escape);
    let task = if with_tasks {
        format!("<td>{task}</td>")
    } else {
        String::new()
    };
    let (time, text) = (&row.time, escape(row.text));
    format!("<tr{class}><td>{mark}{time}</td>{task}<td>{text}</td></tr>\n")
}

fn timeline_block(entry: &Entry<'_>) -> String {
    let svg = timeline::svg(&entry.example.name, &entry.golden, &entry.tasks);
    format!(
        "<p>A lane for each task of the Rust program, and a mark for each time at which \
         it prints; a number is how many lines that are.</p>\n\n\
         <div class=\"timeline-box\">\n{svg}</div>\n\n"
    )
}

/// A program that must not compile, with the compiler's words.
fn refused(refusal: &Refusal) -> String {
    let code_and_words = match refusal.fail.code {
        Some(_) => format!("{}: {}", refusal.code(), refusal.fail.words),
        None => refusal.fail.words.clone(),
    };
    let said = match &refusal.said {
        Some(said) => block("text", said),
        None => format!("<p>{}</p>\n", code(&code_and_words)),
    };
    format!(
        "<div class=\"refusal\" id=\"{}\">\n\n<p class=\"words\">{}</p>\n\n{}\n\n{}\n\
         {said}\n\
         </div>\n\n",
        anchor(&refusal.name),
        code(&code_and_words),
        refusal.summary(),
        block("rs", &refusal.program())
    )
}

/// The dependencies, and the commands that run the example.
fn take_home(entry: &Entry<'_>) -> String {
    let example = entry.example;
    let (section, name, id) = (&example.section, &example.name, example.id());
    let mut run = format!("cargo run -p {section} -- {name}\n");
    if !example.header.real_clock {
        let _ = writeln!(run, "cargo run -p {section} -- --virtual-time {name}");
    }
    let _ = writeln!(run, "cargo xtask copy {id} ../my-project");
    format!(
        "{}The file is a whole program: it goes to `src/main.rs` as it is. It needs, in \
         `Cargo.toml`:\n\n{}\n{}In a clone of the project, these run it, and make a \
         project from it:\n\n{}\n",
        heading("Take it home"),
        block("toml", &entry.needs.manifest),
        heading("Run it"),
        block("sh", &run)
    )
}
