//! The pages of the guides to asyncio: block by block, with what answers each.

use std::mem;

use anyhow::Result;
use askama::Template;
use askama::filters::Safe;
use catalog::tables::{Advice, Block, Guide};
use catalog::workspace::Workspace;

use crate::chapters::Chapter;
use crate::contents::Contents;
use crate::list_pages::named;
use crate::markup::with_code;

#[derive(Template)]
#[template(path = "guide.md", escape = "html")]
struct Page<'a> {
    contents: &'a Contents<'a>,
    guide: &'a Guide,
    /// Each with the part of the guide that begins with it, if one does.
    blocks: Vec<(&'a str, &'a Block)>,
    previous: Option<&'a Guide>,
    next: Option<&'a Guide>,
}

/// Returns the page's Markdown.
pub fn page(contents: &Contents<'_>, guide: &Guide) -> Result<String> {
    let guides = &contents.guides;
    let at = guides.iter().position(|other| other.guide == guide.guide);
    let beside = |step: isize| guides.get(at?.checked_add_signed(step)?);
    let mut last = "";
    let blocks = contents.blocks_of(guide).map(|block| {
        let (part, _) = block.headings();
        let is_same = part == mem::replace(&mut last, part);
        (if is_same { "" } else { part }, block)
    });
    let page = Page {
        contents,
        guide,
        blocks: blocks.collect(),
        previous: beside(-1),
        next: beside(1),
    };
    Ok(page.render()?)
}

/// Returns how many blocks of a guide get something wrong.
pub fn mistakes(contents: &Contents<'_>, guide: &Guide) -> usize {
    let blocks = contents.blocks_of(guide);
    blocks.filter(|block| !block.wrong.is_empty()).count()
}

/// Returns the name of the page, without an ending.
pub fn name(guide: &Guide) -> String {
    format!("guide-{}", guide.number().to_lowercase())
}

impl<'a> Page<'a> {
    /// Returns the advice that stands behind a block; `00` is before the first.
    fn advice(&self, number: &str) -> Vec<&'a Advice> {
        let block = match number {
            "00" => format!("{}-00", self.guide.guide),
            block => block.to_owned(),
        };
        let advice = self.contents.advice.iter();
        advice.filter(|row| row.after.contains(&block)).collect()
    }
}

/// Returns the links of a piece of advice: examples, and chapters or parts of them.
fn links(contents: &Contents<'_>, advice: &Advice) -> Safe<String> {
    let (workspace, chapters) = (contents.workspace, &contents.chapters);
    let targets = advice.here.iter();
    let targets = targets.filter_map(|it| target(workspace, chapters, it));
    let link = |(page, text): (String, String)| {
        format!("<a href=\"{page}\">{}</a>", with_code(&text))
    };
    Safe(targets.map(link).collect::<Vec<String>>().join("; "))
}

/// Returns the address of an example, a page or a heading of a chapter, and its name.
pub fn target(
    workspace: &Workspace,
    chapters: &[Chapter],
    place: &str,
) -> Option<(String, String)> {
    if let Some(example) = workspace.find(place) {
        return Some((format!("{place}.html"), format!("`{}`", example.name)));
    }
    let (page, anchor) = place.split_once('#').unwrap_or((place, ""));
    let others = [
        ("glossary", "Rust words"),
        ("speed", "What it costs"),
        ("by-section", "By section"),
        ("guide-ex", "the exercises"),
    ];
    if let Some((_, title)) = others.into_iter().find(|(name, _)| *name == place) {
        return Some((format!("{place}.html"), title.to_owned()));
    }
    let chapter = chapters.iter().find(|it| it.page == page)?;
    if anchor.is_empty() {
        return Some((format!("{page}.html"), chapter.title.clone()));
    }
    let mut headings = chapter.text.lines().filter_map(|it| it.strip_prefix("## "));
    let heading = headings.find(|heading| slug(heading) == anchor)?;
    let text = format!("{}: {heading}", chapter.title);
    Some((format!("{page}.html#{anchor}"), text))
}

/// Returns the address of a block, as seen from an example's page.
pub fn address(contents: &Contents<'_>, block: &Block) -> Option<String> {
    let mut guides = contents.guides.iter();
    let guide = guides.find(|guide| guide.guide == block.guide())?;
    let (_, heading) = block.headings();
    let slug = slug(&format!("{} {heading}", block.block));
    Some(format!("../{}.html#{slug}", name(guide)))
}

/// Returns the anchor that mdBook gives a heading.
fn slug(heading: &str) -> String {
    let words = heading.to_lowercase().replace(' ', "-");
    let is_kept = |c: &char| c.is_alphanumeric() || "-_".contains(*c);
    words.chars().filter(is_kept).collect()
}
