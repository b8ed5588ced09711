//! The chapters of prose, `docs/chapters/NN-title.md`.
//!
//! A block of Rust or Python in them is empty and says what is included:
//!
//! ````text
//! ```rust include=iterators/generator item=async_range
//! ```
//! ````
//!
//! `include=SECTION/EXAMPLE` is the program or, for `python`, its twin,
//! `include=SECTION/compile-fail/NAME` a program that must not compile, and
//! `include=application/MODULE` a module of the application; `item=NAME` is one function,
//! type or class of it or of its demonstration. A link `[text](example:SECTION/EXAMPLE)`
//! goes to an example's page, and `[text](asyncio:asyncio.wait_for)` to a name's entry.

use std::path::PathBuf;

use anyhow::Result;
use catalog::files::{read, stem};
use catalog::tables::ApiName;
use catalog::workspace::{Example, Workspace};
use regex::{Captures, Regex};

use crate::markup::{anchor, block};

/// A chapter, ready to be taken into the book.
#[derive(Debug, Clone)]
pub struct Chapter {
    /// The name of its page: the file's without the number.
    pub page: String,
    /// Its heading.
    pub title: String,
    /// Its text, with what it includes.
    pub text: String,
}

/// Reads all chapters in the order of their numbers, and reports what is wrong in them.
pub fn read_all(
    workspace: &Workspace,
    names: &[ApiName],
    problems: &mut Vec<String>,
) -> Result<Vec<Chapter>> {
    let mut chapters = Vec::new();
    for path in catalog::chapters::files(workspace)? {
        let place = workspace.relative(&path);
        let mut report = |line: usize, problem: String| {
            problems.push(format!("{place}:{line}: {problem}"));
        };
        let text = read(&path)?;
        let name = stem(&path);
        let page = catalog::chapters::page(&name);
        let title = text.lines().find_map(|line| line.strip_prefix("# "));
        if title.is_none() || page.is_empty() {
            let form = "a chapter is `NN-title.md` and begins with `# Title`";
            report(1, form.to_owned());
        }
        let with_links = linked(workspace, &text, names, &mut report)?;
        chapters.push(Chapter {
            title: title.unwrap_or(page).replace('`', ""),
            text: included(workspace, &with_links, &mut report)?,
            page: page.to_owned(),
        });
    }
    Ok(chapters)
}

/// Returns the text with the programs that its blocks ask for.
fn included(
    workspace: &Workspace,
    text: &str,
    report: &mut impl FnMut(usize, String),
) -> Result<String> {
    let blocks =
        Regex::new(r"(?ms)^ *```(rust|rs|python|py)\b([^\n]*)\n(.*?)(^ *```\n|\z)")?;
    let included = blocks.replace_all(text, |found: &Captures<'_>| {
        let is_rust = found[1].starts_with('r');
        let program = match found[3].trim() {
            "" => asked(workspace, is_rust, found[2].split_whitespace()),
            _ => Err(
                "a block of Rust or Python includes a checked file, and is empty itself: \
                 ```rust include=SECTION/EXAMPLE item=NAME"
                    .to_owned(),
            ),
        };
        let line = text[..found.get_match().start()].lines().count() + 1;
        let program = program.map_err(|problem| report(line, problem));
        let language = if is_rust { "rs" } else { "python" };
        block(language, &program.unwrap_or_default()).0
    });
    Ok(included.into_owned())
}

/// Returns the program, or the part of it, that a block asks for.
fn asked<'a>(
    workspace: &Workspace,
    is_rust: bool,
    options: impl Iterator<Item = &'a str>,
) -> Result<String, String> {
    let (mut include, mut item) = (None, None);
    for option in options {
        match option.split_once('=') {
            Some(("include", name)) => include = Some(name),
            Some(("item", name)) => item = Some(name),
            _ => return Err(format!("`{option}` is neither `include=` nor `item=`")),
        }
    }
    let name = include.ok_or(
        "a block of Rust or Python says which checked file it includes: \
         `include=SECTION/EXAMPLE` or `include=SECTION/compile-fail/NAME`",
    )?;
    let path = file(workspace, is_rust, name).map_err(|error| error.to_string())?;
    let shown = workspace.relative(&path);
    let text = read(&path).map_err(|_| format!("there is no {shown}"))?;
    let text = catalog::directives::shown(&text);
    match item {
        Some(item) => cut(text, item, is_rust)
            .or_else(|| {
                let demo = workspace.find(name)?.demo.as_deref()?;
                cut(&read(demo).ok()?, item, is_rust).filter(|_| is_rust)
            })
            .ok_or(format!("there is no `{item}` in {shown}")),
        None => {
            let comment = |line: &&str| line.starts_with("//") || line.is_empty();
            let lines = text.lines().skip_while(|line| is_rust && comment(line));
            Ok(lines.collect::<Vec<&str>>().join("\n"))
        }
    }
}

fn file(workspace: &Workspace, is_rust: bool, name: &str) -> Result<PathBuf> {
    if let Some((section, program)) = name.split_once("/compile-fail/") {
        let dir = &workspace.section(section)?.dir;
        return Ok(dir.join(format!("compile-fail/{program}.rs")));
    }
    if let Some(module) = name.strip_prefix("application/") {
        return Ok(workspace.root.join(format!("application/src/{module}.rs")));
    }
    let example = workspace.example(name)?;
    Ok(match is_rust {
        true => example.source.clone(),
        false => example.twin.clone(),
    })
}

/// Returns one item of a program, with the comments and attributes above it.
fn cut(text: &str, item: &str, is_rust: bool) -> Option<String> {
    let kinds = match is_rust {
        true => "fn|struct|enum|trait|type|const|macro_rules!",
        false => "def|class",
    };
    let item = regex::escape(item);
    let head = Regex::new(&format!(r"^\s*(pub\S* )?(async )?({kinds}) {item}\b")).ok()?;
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let start = lines.iter().position(|line| head.is_match(line))?;
    let margin = indent(lines[start]);
    let belongs = |line: &&&str| {
        let text = line.trim_start();
        indent(line) == margin && ["///", "#[", "@"].iter().any(|it| text.starts_with(it))
    };
    let above = lines[..start].iter().rev().take_while(belongs).count();
    let below = &lines[start..];
    let is_one_line = below[0].ends_with([';', '}']);
    let is_end =
        |line: &&str| indent(line) == margin && ["}", ");", "};"].contains(&line.trim());
    let is_inside = |line: &&&str| {
        line.is_empty() || indent(line) > margin || line.trim_start().starts_with(')')
    };
    let length = match is_rust {
        true if is_one_line => 1,
        true => below.iter().position(is_end)? + 1,
        false => below[1..].iter().take_while(is_inside).count() + 1,
    };
    let item = lines[start - above..start + length].iter();
    let item = item.map(|line| line.get(margin..).unwrap_or_default());
    Some(item.collect::<Vec<&str>>().join("\n").trim_end().to_owned())
}

/// Returns the text with its links to examples and names as links to pages.
fn linked(
    workspace: &Workspace,
    text: &str,
    names: &[ApiName],
    report: &mut impl FnMut(usize, String),
) -> Result<String> {
    let links = Regex::new(r"\]\((example|asyncio):([^)]+)\)")?;
    let linked = links.replace_all(text, |link: &Captures<'_>| {
        let number = text[..link.get_match().start()].lines().count();
        if &link[1] == "example" {
            let id = workspace.example(&link[2]).map(Example::id);
            let id = id.map_err(|error| report(number, error.to_string()));
            return format!("]({}.md)", id.unwrap_or_default());
        }
        let name = &link[2];
        if !names.iter().any(|row| row.name == name) {
            report(number, format!("`{name}` is not in docs/asyncio-api.tsv"));
        }
        format!("](by-name.md#{})", anchor(name))
    });
    Ok(linked.into_owned())
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn items_are_cut_out_whole() {
        let one = "/// Doc.\n#[inline]\npub async fn one(\n    a: u32,\n) -> u32 {\n\
                   \x20   if a {\n    }\n\n    1\n}";
        let others = "struct One;\nfn one_more() {}\n\
                      impl X {\n    fn two() {\n        2\n    }\n}\n";
        let rust = &format!("use a;\n\n{one}\n\n{others}");
        assert_eq!(cut(rust, "one", true).as_deref(), Some(one));
        assert_eq!(cut(rust, "One", true).as_deref(), Some("struct One;"));
        assert_eq!(
            cut(rust, "one_more", true).as_deref(),
            Some("fn one_more() {}")
        );
        assert_eq!(
            cut(rust, "two", true).as_deref(),
            Some("fn two() {\n    2\n}")
        );
        assert_eq!(cut(rust, "three", true), None);
        let one = "@cache\nasync def one(\n    a,\n):\n    pass\n\n    more";
        let python = &format!("{one}\n\n\nclass Two:\n    x = 1\n");
        assert_eq!(cut(python, "one", false).as_deref(), Some(one));
        assert_eq!(
            cut(python, "Two", false).as_deref(),
            Some("class Two:\n    x = 1")
        );
    }
}
