//! What stands beside the pages: their text as Markdown, a skill for coding agents, snippets
//! for editors, and the description that search engines read.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use askama::Template;
use catalog::compile_fail::CompileFail;
use catalog::files::{read, replace};
use mdbook_renderer::book::{Book, BookItem, Chapter};
use regex::Regex;
use serde_json::{Map, json};

use crate::contents::{Contents, Entry, Part};
use crate::example_page::refused;
use crate::markup::{after_header, block};

/// The page of an example as text.
#[derive(Template)]
#[template(path = "plain.md", escape = "none")]
struct Plain<'a> {
    contents: &'a Contents<'a>,
    entry: &'a Entry<'a>,
    compile_fail: Vec<&'a CompileFail>,
}

#[derive(Template)]
#[template(path = "skill.md", escape = "none")]
struct Skill<'a> {
    contents: &'a Contents<'a>,
}

#[derive(Template)]
#[template(path = "skill-section.md", escape = "none")]
struct SkillSection<'a> {
    part: &'a Part<'a>,
}

#[derive(Template)]
#[template(path = "llms.txt", escape = "none")]
struct Llms<'a> {
    pages: &'a [Page],
    address: &'a str,
}

#[derive(Template)]
#[template(path = "head.html", escape = "html")]
struct Head<'a> {
    page: &'a Page,
}

/// What is said of a page.
struct Page {
    /// Below the folder: `concurrency/gather.html`.
    path: String,
    /// As the table of contents has it.
    title: String,
    heading: String,
    /// Its first sentence.
    note: String,
    /// Its first lines.
    description: String,
    /// The heading of a list that begins with it.
    begins: Option<String>,
}

impl Page {
    fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// Writes all of it to the folder of pages. The `address` is where they will be found, if
/// that is known.
pub fn write(
    contents: &Contents<'_>,
    book: &Book,
    address: Option<&str>,
    [index, latest_index]: &[String; 2],
    out: &Path,
) -> Result<()> {
    let write = |path: &str, text: &str| replace(&out.join(path), text);
    let entries = contents.entries().map(|it| (it.example.id(), it));
    let entries: HashMap<String, &Entry<'_>> = entries.collect();
    let links = Regex::new(r"\]\(([^):]+)\.md([)#])")?;
    let unused = Regex::new(UNUSED)?;
    let (mut pages, mut full) = (Vec::new(), Vec::new());
    let mut begins = None;
    for item in book.iter() {
        let chapter = match item {
            BookItem::Chapter(chapter) => chapter,
            BookItem::PartTitle(title) => {
                begins = Some(title.clone());
                continue;
            }
            BookItem::Separator => continue,
        };
        let path = chapter
            .path
            .as_deref()
            .context("a chapter without a page")?;
        let id = path.with_extension("").display().to_string();
        let entry = entries.get(id.as_str());
        let text = match entry {
            Some(entry) => plain(contents, entry)?,
            None => chapter.content.clone(),
        };
        let text = links.replace_all(&text, "]($1.html.md$2").into_owned();
        if !chapter.sub_items.is_empty() {
            begins = Some(chapter.name.clone());
        }
        let page = page(chapter, &id, &text, begins.take());
        write(&format!("{}.md", page.path), &text)?;
        if let Some(tests) = entry.and_then(|it| it.tests.as_deref()) {
            write(&format!("{id}.tests.rs"), tests)?;
        }
        if entry.is_some() || contents.chapters.iter().any(|it| it.page == id) {
            full.push(text);
        }
        let first = Some("index.html").filter(|_| pages.is_empty());
        for path in first.into_iter().chain([page.path.as_str()]) {
            let path = out.join(path);
            let html = read(&path)?.replace(index, latest_index);
            replace(&path, &head(&page, &unused, &html)?)?;
        }
        pages.push(page);
    }
    let (pages, address) = (&pages[..], address.unwrap_or_default());
    write("llms.txt", &Llms { pages, address }.render()?)?;
    write("llms-full.txt", &full.join("\n---\n\n"))?;
    skill(contents, &out.join("skill/asyncio-to-tokio"))?;
    snippets(contents, &out.join("snippets"))
}

fn plain(contents: &Contents<'_>, entry: &Entry<'_>) -> Result<String> {
    let plain = Plain {
        contents,
        entry,
        compile_fail: refused(contents, entry.example),
    };
    // Where a condition of the template is not met, a blank line too many is left.
    Ok(Regex::new("\n{3,}")?
        .replace_all(&plain.render()?, "\n\n")
        .into_owned())
}

/// Says of a page what its Markdown begins with.
fn page(chapter: &Chapter, id: &str, text: &str, begins: Option<String>) -> Page {
    let heading = text.lines().find_map(|line| line.strip_prefix("# "));
    let heading = heading.unwrap_or(&chapter.name).replace('`', "");
    let is_prose =
        |it: &&str| it.starts_with(|c: char| c.is_alphanumeric() || "`[".contains(c));
    let prose = text.split("\n\n").find(is_prose).unwrap_or(&heading);
    let mut prose = prose.replace(['`', '*', '\n'], " ");
    while let Some((before, link)) = prose.split_once('[')
        && let Some((text, after)) = link.split_once("](")
        && let Some((_, after)) = after.split_once(')')
    {
        prose = format!("{before}{text}{after}");
    }
    let prose = prose.split_whitespace().collect::<Vec<&str>>().join(" ");
    let sentence = prose
        .split_once(". ")
        .map_or(prose.as_str(), |(first, _)| first);
    let mut description = format!("{heading}. {prose}");
    if let Some((cut, _)) = description.char_indices().nth(200) {
        let end = description[..cut].rfind(' ').unwrap_or(cut);
        description.replace_range(end.., " …");
    }
    Page {
        path: format!("{id}.html"),
        title: chapter.name.clone(),
        note: match chapter.number {
            Some(_) if chapter.sub_items.is_empty() => heading.clone(),
            _ => sentence.trim_end_matches('.').to_owned(),
        },
        heading,
        description,
        begins,
    }
}

/// Finds in what mdBook puts around each page: what no page uses, and a third of its size.
const UNUSED: &str = r"(?s)<!--.*?-->|<template id=fa-(?:eye|eye-slash|play|clock-rotate-left)>.*?</template>|\n\s+";

/// Adds a description, and the way to the Markdown, to a page that mdBook has written.
fn head(page: &Page, unused: &Regex, html: &str) -> Result<String> {
    let parts = html.split_once("<main>").and_then(|(before, rest)| {
        let (main, after) = rest.split_once("</main>")?;
        let start = "<meta name=\"description\" content=\"";
        let (top, rest) = before.split_once(start)?;
        Some([top, rest.split_once('>')?.1, main, after])
    });
    let parts = parts.context("mdBook has written a page in another form")?;
    let [top, bar, after] =
        [parts[0], parts[1], parts[3]].map(|it| unused.replace_all(it, "\n"));
    // The title bar is a landmark of its own.
    let bar = bar.replacen(
        "<div id=\"mdbook-menu-bar\"",
        "<div role=\"banner\" id=\"mdbook-menu-bar\"",
        1,
    );
    let bar = bar
        .replacen(
            "<body>",
            "<body>\n<a class=\"skip\" href=\"#mdbook-content\">Skip to the text</a>",
            1,
        )
        .replacen(
            "<div id=\"mdbook-searchresults-header\"",
            "<div role=\"status\" id=\"mdbook-searchresults-header\"",
            1,
        );
    let (before, title) = top.split_once("<title>").context("a page has no title")?;
    let (_, after_title) = title
        .split_once("</title>")
        .context("a page has no title")?;
    let top = format!("{before}{after_title}");
    let head = Head { page }.render()?;
    // mdBook takes every link to Markdown for one to a page.
    let main = parts[2].replace("/SKILL.html", "/SKILL.md");
    Ok(format!("{top}{head}{bar}<main>{main}</main>{after}"))
}

/// Returns what comes before the first colon.
fn clause(summary: &str) -> &str {
    let clause = summary
        .split_once(": ")
        .map_or(summary, |(clause, _)| clause);
    clause.trim_end_matches('.')
}

/// Makes the folder that a coding agent takes: an index, what to know of the examples of
/// each section, and their programs.
fn skill(contents: &Contents<'_>, folder: &Path) -> Result<()> {
    replace(&folder.join("SKILL.md"), &Skill { contents }.render()?)?;
    for part in &contents.parts {
        let path = folder.join(format!("sections/{}.md", part.section.name));
        replace(&path, &SkillSection { part }.render()?)?;
    }
    for entry in contents.entries() {
        let path = folder.join(format!("examples/{}.rs", entry.example.id()));
        replace(&path, &entry.source)?;
    }
    Ok(())
}

/// Writes the programs as snippets, in the form that VS Code and Zed share.
fn snippets(contents: &Contents<'_>, folder: &Path) -> Result<()> {
    let mut snippets = Map::new();
    for entry in contents.entries() {
        let needs = entry.cargo_add.lines().map(|line| format!("// {line}"));
        let program = after_header(&entry.source).lines();
        let program = program.map(|it| it.replace('\\', r"\\").replace('$', r"\$"));
        let snippet = json!({
            "prefix": format!("aio_{}", entry.example.name),
            "description": entry.example.header.summary,
            "body": needs.chain(program).collect::<Vec<String>>(),
        });
        snippets.insert(entry.example.id(), snippet);
    }
    let text = serde_json::to_string_pretty(&snippets)?;
    replace(&folder.join("rust.json"), &text)
}
