//! The pages of the guides to asyncio: block by block, with what answers each.

use std::mem;

use anyhow::Result;
use askama::Template;
use catalog::tables::{Advice, Block, Guide};

use crate::contents::Contents;
use crate::links::{links, named};
use crate::markup::with_code;

#[derive(Template)]
#[template(path = "guide.md", escape = "html")]
struct Page<'a> {
    contents: &'a Contents<'a>,
    guide: &'a Guide,
    /// Each with the part of the guide that begins with it, if one does.
    blocks: Vec<(&'a str, &'a Block)>,
}

/// Returns the page's Markdown.
pub fn page(contents: &Contents<'_>, guide: &Guide) -> Result<String> {
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
    };
    Ok(page.render()?)
}

/// Returns how many blocks of a guide get something wrong.
pub fn mistakes(contents: &Contents<'_>, guide: &Guide) -> usize {
    let blocks = contents.blocks_of(guide);
    blocks.filter(|block| !block.wrong.is_empty()).count()
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
