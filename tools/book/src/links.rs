//! Where links lead: to examples, chapters and blocks of guides.

use askama::filters::Safe;
use catalog::chapters::{Heading, slug};
use catalog::tables::{ApiName, Block, Guide};
use catalog::workspace::{Example, Workspace};

use crate::contents::Contents;
use crate::markup::with_code;

/// Returns the example that a text within a section means by a name: one of its own, or
/// the only one of that name, or `SECTION/EXAMPLE`.
pub fn meant<'a>(
    workspace: &'a Workspace,
    name: &str,
    section: Option<&str>,
) -> Option<&'a Example> {
    let own = workspace.read_examples().find(|example| {
        example.name == name && section.is_some_and(|section| example.section == section)
    });
    own.or_else(|| workspace.find(name))
}

/// Returns the examples that a row of a table names.
pub fn named<'a>(workspace: &'a Workspace, ids: &[String]) -> Vec<&'a Example> {
    let examples = ids.iter().map(|id| workspace.example(id));
    examples.filter_map(Result::ok).collect()
}

/// Returns the address of an example, a page or a heading of a chapter, and its name.
pub fn target(
    workspace: &Workspace,
    headings: &[Heading],
    place: &str,
) -> Option<(String, String)> {
    if let Some(example) = workspace.find(place) {
        return Some((format!("{place}.html"), format!("`{}`", example.name)));
    }
    let others = [
        ("glossary", "Rust words"),
        ("speed", "What it costs"),
        ("by-section", "By section"),
        ("guide-ex", "the exercises"),
    ];
    if let Some((_, title)) = others.into_iter().find(|(name, _)| *name == place) {
        return Some((format!("{place}.html"), title.to_owned()));
    }
    let heading = headings.iter().find(|it| it.id == place)?;
    let text = match heading.is_title() {
        true => heading.title.replace('`', ""),
        false => format!("{}: {}", heading.title.replace('`', ""), heading.words),
    };
    Some((chapter_page(place), text))
}

/// Returns links to examples, and to chapters or parts of them.
pub fn links(contents: &Contents<'_>, places: &[String]) -> Safe<String> {
    let (workspace, headings) = (contents.workspace, &contents.headings);
    let targets = places.iter();
    let targets = targets.filter_map(|it| target(workspace, headings, it));
    let link = |(page, text): (String, String)| {
        format!("<a href=\"{page}\">{}</a>", with_code(&text))
    };
    Safe(targets.map(link).collect::<Vec<String>>().join("; "))
}

/// Returns the address of a chapter or of one of its headings.
pub fn chapter_page(id: &str) -> String {
    match id.split_once('#') {
        Some((page, anchor)) => format!("{page}.html#{anchor}"),
        None => format!("{id}.html"),
    }
}

/// Returns the name of the page of a guide, without an ending.
pub fn guide_name(guide: &Guide) -> String {
    format!("guide-{}", guide.number().to_lowercase())
}

/// Returns the address of a block, as seen from an example's page.
pub fn address(guides: &[Guide], block: &Block) -> Option<String> {
    let guide = guides.iter().find(|guide| guide.guide == block.guide())?;
    let (_, heading) = block.headings();
    let slug = slug(&format!("{} {heading}", block.block));
    Some(format!("../{}.html#{slug}", guide_name(guide)))
}

/// Returns where Python documents a name, if it is a public one: `asyncio.Queue.get`.
pub fn docs_of_python(names: &[ApiName], code: &str) -> Option<String> {
    let code = code.trim_end_matches("()");
    let row = names
        .iter()
        .find(|row| row.name == code && code.contains('.'))?;
    let page = match row.category.as_str() {
        "debugging" => "asyncio-dev",
        "futures" => "asyncio-future",
        "loop" => "asyncio-eventloop",
        "platform" => "asyncio-platforms",
        "policies" => "asyncio-policy",
        "protocols/transports" => "asyncio-protocol",
        "queues" => "asyncio-queue",
        "runners" => "asyncio-runner",
        "tasks" | "timeouts" => "asyncio-task",
        it @ ("streams" | "sync" | "subprocess" | "exceptions") => {
            &format!("asyncio-{it}")
        }
        it @ ("contextlib" | "contextvars" | "functools" | "threading") => it,
        _ => return None,
    };
    let anchor = code.replace("loop.", "asyncio.loop.");
    Some(format!(
        "https://docs.python.org/3/library/{page}.html#{anchor}"
    ))
}

/// Returns where a name is documented that the program imports from a crate; the commands
/// that add its crates say which.
pub fn docs_of_rust(source: &str, cargo_add: &str, code: &str) -> Option<String> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut parts = code.split(|c| !is_name(c) && c != ':');
    let path = parts.next().filter(|it| it.len() > 2)?;
    let first = path.split(':').next()?;
    let uses = source.split("\nuse ").skip(1);
    let mut uses = uses.filter_map(|it| it.split_once(';')?.0.split_once("::"));
    let has = |list: &str| list.split(|c| !is_name(c)).any(|name| name == first);
    let (name, _) = uses.find(|(name, list)| *name == first || has(list))?;
    let item = path.strip_prefix(&format!("{name}::")).unwrap_or(path);
    if name == "std" {
        return Some(format!("https://doc.rust-lang.org/std/?search={item}"));
    }
    let mut added = cargo_add.split_whitespace();
    let package = added.find_map(|word| {
        let (package, _) = word.split_once('@')?;
        (package.replace('-', "_") == name).then_some(package)
    })?;
    Some(format!(
        "https://docs.rs/{package}/latest/{name}/?search={item}"
    ))
}
