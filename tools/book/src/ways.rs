//! The ways in: pages that lead to the examples.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use xtask::workspace::Example;

use crate::html::{anchor, code, escape, with_code};
use crate::material::{Material, Part, meant};
use crate::refusals::Refusal;
use crate::tables::{Answered, ApiName};

/// A page: its name without an ending, its title, its Markdown.
pub type Page = (&'static str, &'static str, String);

/// All of them, in the order of the table of contents.
pub fn pages(material: &Material<'_>) -> Vec<Page> {
    vec![
        ("by-question", "By question", by_question(material)),
        ("by-name", "By asyncio name", by_name(material)),
        ("by-section", "By section", by_section(material)),
        ("by-difference", "By difference", by_difference(material)),
        (
            "by-message",
            "By the compiler's words",
            by_message(material),
        ),
        ("by-guide", "By guide", by_guide(material)),
    ]
}

/// The first page, where nobody has written one: what this is, and the ways in.
pub fn front(material: &Material<'_>) -> String {
    let count = material.entries().count();
    let agree = material
        .entries()
        .filter(|entry| entry.twin.is_some() && entry.twin_golden.is_none());
    let differ = material
        .entries()
        .filter(|entry| entry.twin_golden.is_some());
    format!(
        "# From asyncio to Tokio\n\n\
         Every idiom of asyncio as a complete Rust program on Tokio that you can copy \
         into your own project as it is. Beside each stands its twin in Python, and both \
         must print the same lines, in the same order, at the same times. Where the two \
         languages truly differ, both transcripts are kept, and the difference is the \
         lesson.\n\n\
         {count} examples; {} agree with their twins, {} differ on purpose.\n\n\
         - [By question](by-question.md): you know what you want to do.\n\
         - [By asyncio name](by-name.md): you know what it is called in Python.\n\
         - [By section](by-section.md): every example, from the plainest to the \
         hardest.\n\
         - [By difference](by-difference.md): what changes when asyncio code moves to \
         Tokio.\n\
         - [By the compiler's words](by-message.md): you have an error message.\n\
         - [By guide](by-guide.md): you come from one of the five guides.\n{}\n\
         Press `/` to search: names such as `as_completed` or `asyncio.wait_for` are \
         found.\n\n<p class=\"verified\">Verified with {}.</p>\n",
        agree.count(),
        differ.count(),
        match material.speed {
            Some(_) =>
                "- [What it costs](speed.md): beside asyncio, and beside crates.\n",
            None => "",
        },
        escape(&material.versions.line())
    )
}

fn link(example: &Example) -> String {
    let id = example.id();
    format!("[`{}`]({id}.md)", example.name)
}

/// An example's name as a link in HTML.
fn link_html(example: &Example) -> String {
    format!(
        "<a href=\"{}.html\">{}</a>",
        example.id(),
        code(&example.name)
    )
}

fn joined(examples: &[&Example]) -> String {
    let links = examples.iter().map(|example| link_html(example));
    links.collect::<Vec<String>>().join(", ")
}

fn by_section(material: &Material<'_>) -> String {
    let mut text =
        "# By section\n\nEach section goes from the plainest to the hardest.\n\n"
            .to_owned();
    for part in &material.parts {
        let name = &part.section.name;
        let _ = writeln!(text, "## {name}\n\n{}\n", summaries(part));
    }
    text
}

/// The page of a section.
pub fn section(part: &Part<'_>) -> String {
    let name = &part.section.name;
    format!(
        "# {name}\n\n{}\n\n```sh\ncargo run -p {name}\n```\n",
        summaries(part)
    )
}

fn summaries(part: &Part<'_>) -> String {
    let (title, name) = (part.title.trim_end_matches('.'), &part.section.name);
    let mut text = format!("[{title}](section-{name}.md).\n\n");
    for entry in &part.entries {
        let mark = match entry.twin_golden {
            Some(_) => " (differs)",
            None => "",
        };
        let summary = &entry.example.header.summary;
        let _ = writeln!(text, "- {}{mark}: {summary}", link(entry.example));
    }
    text
}

/// The categories of names in the order in which asyncio's own documentation has them,
/// and the language after that.
const CATEGORIES: [&str; 16] = [
    "runners",
    "tasks",
    "timeouts",
    "streams",
    "sync",
    "subprocess",
    "queues",
    "exceptions",
    "loop",
    "futures",
    "protocols/transports",
    "policies",
    "platform",
    "debugging",
    "language",
    "builtins",
];

/// The place of a category on the page. Those that are not in the list, which are modules
/// other than asyncio, come after it.
fn rank(category: &str) -> usize {
    let place = CATEGORIES.iter().position(|listed| *listed == category);
    place.unwrap_or(CATEGORIES.len())
}

fn by_name(material: &Material<'_>) -> String {
    let mut categories: BTreeMap<_, Vec<&ApiName>> = BTreeMap::new();
    for name in &material.names {
        let category = name.category.as_str();
        let of_category = categories.entry((rank(category), category)).or_default();
        of_category.push(name);
    }
    let (count, open) = (material.names.len(), material.open_names().len());
    let mut text = format!(
        "# By asyncio name\n\n\
         The public names of asyncio and the constructs of Python beside them, {count} \
         in all, each with what takes its place and the examples that show it. *Direct*: \
         there is one thing that does the same. *A few lines*: it is put together from \
         others. *None*: there is nothing like it, for the reason that is given. {open} \
         have a counterpart that no example shows yet.\n\n<p class=\"jump\">"
    );
    for (_, category) in categories.keys() {
        let target = anchor(&format!("group {category}"));
        let _ = write!(text, "<a href=\"#{target}\">{}</a> ", escape(category));
    }
    text.push_str("</p>\n\n");
    for ((_, category), mut names) in categories {
        // Search does not tell `asyncio.timeout` from `asyncio.Timeout`: the first wins.
        names.sort_by_key(|name| (name.name.to_lowercase(), Reverse(name.name.clone())));
        let target = anchor(&format!("group {category}"));
        let _ = writeln!(
            text,
            "<div class=\"group\" id=\"{target}\">{}</div>\n",
            escape(category)
        );
        for name in names {
            text.push_str(&named(material, name));
        }
    }
    text
}

fn named(material: &Material<'_>, name: &ApiName) -> String {
    let examples = material.examples_of(name);
    let examples = match (examples.is_empty(), name.has_counterpart()) {
        (false, _) => joined(&examples),
        (true, true) => "no example yet".to_owned(),
        (true, false) => "none".to_owned(),
    };
    let mut history = Vec::new();
    if !name.added.is_empty() {
        history.push(format!("since {}", escape(&name.added)));
    }
    if !name.removed.is_empty() {
        history.push(escape(&name.removed));
    }
    let history = match history.is_empty() {
        true => String::new(),
        false => format!(" <span class=\"history\">{}</span>", history.join("; ")),
    };
    // Only whole words are found: the name is there without its module too, in the
    // heading where it is the name that people look for.
    let (in_heading, in_text) = match name.short() {
        Some((short, true)) => (format!(" <span hidden>{}</span>", escape(short)), ""),
        Some((short, false)) => (String::new(), short),
        None => (String::new(), ""),
    };
    format!(
        "## {}{in_heading} {{#{}}}\n\n<div class=\"api status-{}\">\n\
         <p><span class=\"status\">{}</span> {}{history}</p>\n\
         <p class=\"examples\">Examples: {examples}</p>\n\
         <p class=\"short\" hidden>{}</p>\n</div>\n\n",
        code(&name.name),
        anchor(&name.name),
        escape(&name.status),
        escape(name.status()),
        with_code(&name.counterpart),
        escape(in_text)
    )
}

fn by_difference(material: &Material<'_>) -> String {
    let mut text = "# By difference\n\nWhat changes when asyncio code moves to Tokio: \
                    every example in which the two programs print different transcripts, \
                    with the reason. Both transcripts are checked.\n\n"
        .to_owned();
    for part in &material.parts {
        let differing = part.entries.iter().filter_map(|entry| {
            let why = entry.example.header.differs.as_ref()?;
            Some((entry.example, why))
        });
        let differing: Vec<_> = differing.collect();
        if differing.is_empty() {
            continue;
        }
        let _ = writeln!(text, "## {}\n", part.section.name);
        for (example, why) in differing {
            let _ = writeln!(text, "- {}: {why}", link(example));
        }
        text.push('\n');
    }
    text
}

fn by_message(material: &Material<'_>) -> String {
    let mut text = "# By the compiler's words\n\nAn error of the compiler or a panic \
                    leads to the page that explains it and shows the way out.\n\n\
                    ## Errors of the compiler\n\n\
                    <table class=\"messages\"><thead><tr><th scope=\"col\">code</th>\
                    <th scope=\"col\">words</th><th scope=\"col\">example</th>\
                    </tr></thead>\
                    <tbody>\n"
        .to_owned();
    // By the same words one below the other; errors without a code come last.
    let mut same: BTreeMap<_, Vec<&Refusal>> = BTreeMap::new();
    for refusal in &material.refusals {
        let (code, words) = (refusal.fail.code.as_deref(), &refusal.fail.words);
        let key = (code.is_none(), code, words);
        same.entry(key).or_default().push(refusal);
    }
    for ((_, name, words), refusals) in same {
        let shown = name.map_or(String::new(), code);
        let links: String = refusals.into_iter().map(explained).collect();
        let words = code(words);
        let _ = writeln!(
            text,
            "<tr><td>{shown}</td><td>{words}</td><td>{links}</td></tr>"
        );
    }
    text.push_str(
        "</tbody></table>\n\n## What programs say when they fail\n\n\
         <table class=\"messages\"><thead><tr><th scope=\"col\">words</th>\
         <th scope=\"col\">example</th></tr></thead><tbody>\n",
    );
    for entry in material.entries() {
        let header = &entry.example.header;
        for words in header.exit.iter().chain(&header.stderr) {
            let _ = writeln!(
                text,
                "<tr><td>{}</td><td>{}</td></tr>",
                code(words),
                link_html(entry.example)
            );
        }
    }
    text.push_str("</tbody></table>\n");
    text
}

/// A link to a program that must not compile, with what is wrong with it.
fn explained(refusal: &Refusal) -> String {
    let (section, example) = (&refusal.section, &refusal.fail.example);
    let target = anchor(&refusal.name);
    format!(
        "<p><a href=\"{section}/{example}.html#{target}\">{}</a> {}</p>",
        code(example),
        with_code(&refusal.summary())
    )
}

/// The examples of a row as links; a section that does not exist yet has none.
fn answers(material: &Material<'_>, row: &Answered) -> String {
    let workspace = material.workspace;
    let found = row
        .examples
        .iter()
        .filter_map(|id| meant(workspace, id, None));
    let found: Vec<&Example> = found.collect();
    match found.is_empty() {
        true => "no example yet".to_owned(),
        false => joined(&found),
    }
}

fn by_question(material: &Material<'_>) -> String {
    let mut text = "# By question\n\n<dl class=\"questions\">\n".to_owned();
    for row in &material.questions {
        let _ = writeln!(
            text,
            "<dt>{}</dt><dd>{}</dd>",
            with_code(&row.text),
            answers(material, row)
        );
    }
    text.push_str("</dl>\n");
    text
}

fn by_guide(material: &Material<'_>) -> String {
    let mut text =
        "# By guide\n\nEvery block of code and every exercise of the five guides, \
                    and the examples that answer it.\n\n"
            .to_owned();
    let guide =
        |row: &Answered| row.block.split('-').next().unwrap_or_default().to_owned();
    let mut last = None;
    for row in &material.guides {
        let this = guide(row);
        if last.as_ref() != Some(&this) {
            if last.is_some() {
                text.push_str("</tbody></table>\n\n");
            }
            let title = match this.parse::<u32>() {
                Ok(number) => format!("Guide {}", number + 1),
                Err(_) => "Exercises of the first guide".to_owned(),
            };
            let _ = writeln!(
                text,
                "## {title}\n\n<table class=\"messages\"><thead><tr>\
                 <th scope=\"col\">block</th><th scope=\"col\">heading</th>\
                 <th scope=\"col\">examples</th></tr></thead><tbody>"
            );
            last = Some(this);
        }
        let _ = writeln!(
            text,
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&row.block),
            with_code(&row.text),
            answers(material, row)
        );
    }
    text.push_str("</tbody></table>\n");
    text
}
