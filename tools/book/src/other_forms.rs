//! What is next to the pages: their text as Markdown, a skill for coding agents, snippets
//! for editors, and the description that search engines read.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use anyhow::{Context as _, Result};
use askama::Template;
use askama::filters::{Html, escape};
use catalog::chapters::slug;
use catalog::compile_fail::CompileFail;
use catalog::component::component;
use catalog::files::{read, replace};
use mdbook_renderer::book::{Book, BookItem, Chapter};
use regex::Regex;
use serde_json::{Map, json};

use crate::changes::feed;
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
    contents: &'a Contents<'a>,
    pages: &'a [Page],
    address: &'a str,
    /// The size of the file of all, in KB.
    full: usize,
}

/// What is said of a page.
struct Page {
    /// Below the folder: `concurrency/gather.html`.
    path: String,
    /// As the table of contents has it.
    title: String,
    /// Its first sentence.
    note: String,
    /// Its first lines.
    description: String,
    /// The heading of a list that begins with it.
    begins: Option<String>,
}

impl Page {
    /// Returns what search engines and agents read of the page.
    fn head(&self) -> String {
        let Ok(description) = escape(&self.description, Html);
        let name = self.path.rsplit('/').next().unwrap_or_default();
        format!(
            "<meta name=\"description\" content=\"{description}\">\n\
             <link rel=\"alternate\" type=\"text/markdown\" href=\"{name}.md\">"
        )
    }
}

/// Writes all of it to the folder of pages. The `address` is where they will be found, if
/// that is known.
pub fn write(
    contents: &Contents<'_>,
    book: &Book,
    address: &str,
    out: &Path,
) -> Result<()> {
    let (pages, mut full) = texts(contents, book, out)?;
    full.extend(skill(contents, &out.join(FOLDER))?);
    let full = full.join("\n---\n\n");
    let write = |path: &str, text: &str| replace(&out.join(path), text);
    write("llms-full.txt", &full)?;
    let pages = &pages[..];
    let full = full.len() / 1000;
    write("changes.xml", &feed(&contents.changes, address)?)?;
    let llms = Llms {
        contents,
        pages,
        address,
        full,
    };
    write("llms.txt", &llms.render()?)?;
    write("asyncio-to-tokio.code-snippets", &snippets(contents)?)
}

/// Writes the Markdown of each page, what is read of it into its HTML, and the chapters and
/// lists of the skill. Returns what is said of each page, and the chapters.
fn texts(
    contents: &Contents<'_>,
    book: &Book,
    out: &Path,
) -> Result<(Vec<Page>, Vec<String>)> {
    let entries = contents.entries().map(|it| (it.example.id(), it));
    let entries: HashMap<String, &Entry<'_>> = entries.collect();
    let links = Regex::new(r"\]\(([^):]+)\.md([)#])")?;
    let any = Regex::new(r"\[([^\]]+)\]\([^)]+\)")?;
    let in_skill = LinksInSkill::new(contents)?;
    let (mut pages, mut chapters) = (Vec::new(), Vec::new());
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
        let is_chapter = contents.chapters.iter().any(|it| it.page == id);
        let text = match entries.get(id.as_str()) {
            Some(entry) => plain(contents, entry)?,
            None if is_chapter => chapter.content.clone(),
            None => markdown(&chapter.content)?,
        };
        let text = links.replace_all(&text, "]($1.html.md$2");
        let text = text.replace("/SKILL.html.md)", "/SKILL.md)");
        if !chapter.sub_items.is_empty() {
            begins = Some(chapter.name.clone());
        }
        let page = page(chapter, &id, &text, begins.take(), &any);
        replace(&out.join(format!("{}.md", page.path)), &text)?;
        let list = SKILL.iter().find(|(_, page)| *page == id);
        if let Some(name) = list.map(|it| it.0).or(is_chapter.then_some(&*id)) {
            let text = with_headings(&in_skill.changed(&text));
            replace(&out.join(format!("{FOLDER}/{name}.md")), &text)?;
        }
        let first = Some("index.html").filter(|_| pages.is_empty());
        for path in first.into_iter().chain([page.path.as_str()]) {
            let path = out.join(path);
            // mdBook takes every link to Markdown for one to a page.
            let html = read(&path)?.replace("/SKILL.html", "/SKILL.md");
            replace(&path, &html.replacen("<!-- page -->", &page.head(), 1))?;
        }
        if is_chapter {
            chapters.push(text);
        }
        pages.push(page);
    }
    Ok((pages, chapters))
}

/// Finds the links of a page that has become a file of the skill.
struct LinksInSkill {
    program: Regex,
    chapter: Regex,
    elsewhere: Regex,
}

impl LinksInSkill {
    fn new(contents: &Contents<'_>) -> Result<Self> {
        let chapters = contents.chapters.iter().map(|it| it.page.as_str());
        let chapters = chapters.collect::<Vec<&str>>().join("|");
        Ok(Self {
            program: Regex::new(r"\]\((\w[\w-]*/\w+)\.html\.md[^)]*\)")?,
            chapter: Regex::new(&format!(r"\]\(({chapters})\.html\.md"))?,
            elsewhere: Regex::new(r"\[([^\]]+)\]\([^)]+\.html\.md[^)]*\)")?,
        })
    }

    /// Leads to the files of the skill, and leaves only the words of links that lead out of it.
    fn changed(&self, text: &str) -> String {
        let text = self.program.replace_all(text, "](examples/$1.rs)");
        let text = self.chapter.replace_all(&text, "]($1.md");
        self.elsewhere.replace_all(&text, "$1").into_owned()
    }
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

/// Returns the first heading of a page.
pub fn heading(chapter: &Chapter) -> String {
    let mut lines = chapter.content.lines();
    let heading = lines.find_map(|line| line.strip_prefix("# "));
    heading.unwrap_or(&chapter.name).replace('`', "")
}

/// Says of a page what its Markdown begins with.
fn page(
    chapter: &Chapter,
    id: &str,
    text: &str,
    begins: Option<String>,
    links: &Regex,
) -> Page {
    let heading = heading(chapter);
    let is_prose =
        |it: &&str| it.starts_with(|c: char| c.is_alphanumeric() || "`[".contains(c));
    let prose = text.split("\n\n").find(is_prose).unwrap_or(&heading);
    let prose = prose.replace(['`', '*', '\n'], " ");
    let prose = links.replace_all(&prose, "$1");
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
        note: match id.contains('/') {
            true => heading,
            false => sentence.trim_end_matches('.').to_owned(),
        },
        description,
        begins,
    }
}

/// Returns what comes before the first colon.
fn clause(summary: &str) -> &str {
    let clause = summary
        .split_once(": ")
        .map_or(summary, |(clause, _)| clause);
    clause.trim_end_matches('.')
}

/// Returns the commands that add crates with features to a project, each once.
fn commands<'a>(part: &'a Part<'_>) -> BTreeSet<&'a str> {
    let lines = part.entries.iter().flat_map(|it| it.cargo_add.lines());
    lines.filter(|line| line.contains(" --")).collect()
}

/// Returns the crates of an example, with their versions.
fn crates(entry: &Entry<'_>) -> String {
    let words = entry.cargo_add.split_whitespace();
    let crates: Vec<&str> = words.filter(|word| word.contains('@')).collect();
    crates.join(", ")
}

/// Makes the folder that a coding agent takes: an index, what to know of the examples of
/// each section, which is returned, and their programs without that.
fn skill(contents: &Contents<'_>, folder: &Path) -> Result<Vec<String>> {
    replace(&folder.join("SKILL.md"), &Skill { contents }.render()?)?;
    let mut sections = Vec::new();
    for part in &contents.parts {
        let path = folder.join(format!("sections/{}.md", part.section.name));
        let section = SkillSection { part }.render()?;
        replace(&path, &section)?;
        sections.push(section);
    }
    for entry in contents.entries() {
        let path = folder.join(format!("examples/{}.rs", entry.example.id()));
        replace(&path, after_header(&entry.source))?;
    }
    Ok(sections)
}

/// Returns the programs that are more than a `main` as snippets without it, as VS Code and Zed
/// take them. The first name that a program gives is the reader's.
fn snippets(contents: &Contents<'_>) -> Result<String> {
    let first = Regex::new(r"(?m)^(?:pub )?(?:async )?(?:fn|struct|enum|trait) (\w+)")?;
    let mut snippets = Map::new();
    for entry in contents.entries() {
        let program = component(after_header(&entry.source))?;
        let Some(program) = program.as_deref().map(str::trim) else {
            continue;
        };
        let mut body = program.replace('\\', r"\\").replace('$', r"\$");
        if let Some(name) = first.captures(program).map(|it| it[1].to_owned()) {
            let words = Regex::new(&format!(r"\b{name}\b"))?;
            body = words
                .replace_all(&body, format!("$${{1:{name}}}"))
                .into_owned();
        }
        let needs = entry.cargo_add.lines().map(|line| format!("// {line}\n"));
        let snippet = json!({
            "scope": "rust",
            "prefix": format!("aio_{}", entry.example.name),
            "description": entry.example.header.summary,
            "body": format!("{}{body}\n$0", needs.collect::<String>()),
        });
        snippets.insert(entry.example.id(), snippet);
    }
    Ok(serde_json::to_string(&snippets)?)
}

/// Where the skill is, and which pages of the book lie in it as files next to the chapters.
const FOLDER: &str = "skill/asyncio-to-tokio";
const SKILL: [(&str, &str); 2] =
    [("messages", "by-message"), ("libraries", "by-library")];

/// Returns a text with its headings as a list below the first.
fn with_headings(text: &str) -> String {
    let Some((title, rest)) = text.split_once('\n') else {
        return text.to_owned();
    };
    let headings = rest.lines().filter_map(|line| line.strip_prefix("## "));
    let list = headings.map(|it| format!("- [{it}](#{})\n", slug(it)));
    format!("{title}\n\n{}{rest}", list.collect::<String>())
}

/// What stands in Markdown for the HTML of lists and tables.
const MARKDOWN: [(&str, &str); 14] = [
    (
        r#"<a href="([^":]+)\.html([^"]*)">(.*?)</a>"#,
        "[$3]($1.md$2)",
    ),
    (r#"<a href="([^"]+)">(.*?)</a>"#, "[$2]($1)"),
    ("</?code>", "`"),
    ("</?(?:strong|b)>", "**"),
    ("</dt><dt>", " / "),
    ("<p[^>]*>|</dt><dd>", " "),
    (r"</t[hd]>\s*<t[hd][^>]*>", " | "),
    (r"<dt>|<li[^>]*>|<tr[^>]*>\s*<t[hd][^>]*>", "- "),
    (
        "</?(?:table|thead|tbody|tr|t[dh]|p|div|span|ul|dl|d[dt]|li)(?: [^>]*)?>",
        "",
    ),
    ("&#60;", "<"),
    ("&#62;", ">"),
    ("&#34;", "\""),
    ("&#39;", "'"),
    ("&#38;", "&"),
];

/// Returns the text of a page that lists what others have, as Markdown.
fn markdown(text: &str) -> Result<String> {
    let mut made = text.to_owned();
    for (from, to) in MARKDOWN {
        made = Regex::new(from)?.replace_all(&made, to).into_owned();
    }
    Ok(made)
}
