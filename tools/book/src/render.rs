//! Makes the folder of pages, by mdBook.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use mdbook_html::HtmlHandlebars;
use mdbook_renderer::book::{Book, BookItem, Chapter, SectionNumber};
use mdbook_renderer::config::Config;
use mdbook_renderer::{RenderContext, Renderer as _};

use crate::contents::Contents;
use crate::{
    changes, example_page, guide_page, links, list_pages, other_forms, search, speed_page,
};

/// Makes the pages in `out`. With `runs`, compiles their search.
pub fn render(contents: &Contents<'_>, out: &Path, runs: bool) -> Result<()> {
    // mdBook empties the folder first, so it must not be anybody else's.
    let is_book = out.join("toc.html").exists() && out.join(".nojekyll").exists();
    let is_empty = fs::read_dir(out).map_or(true, |mut entries| entries.next().is_none());
    ensure!(
        is_book || is_empty,
        "{} has something in it that is no book; nothing there was touched",
        out.display()
    );
    let root = contents.workspace.root.join("docs");
    let mut config = Config::from_disk(root.join("book.toml"))?;
    // Where it is published: MDBOOK_OUTPUT__HTML__SITE_URL.
    config.update_from_env()?;
    let mut context = RenderContext::new(root, book(contents)?, config, out);
    let chapters = context.book.chapters();
    let titles = chapters.filter_map(|it| {
        let title = format!("{} - From asyncio to Tokio", other_forms::heading(it));
        Some((it.path.clone()?, title))
    });
    context.chapter_titles = titles.collect();
    let rendered = HtmlHandlebars::new().render(&context);
    rendered.with_context(|| format!("mdBook cannot make {}", out.display()))?;
    if runs {
        search::write(contents, out)?;
    }
    let address = context.config.html_config().unwrap_or_default().site_url;
    let address = address.unwrap_or_default();
    other_forms::write(contents, &context.book, &address, out)
}

fn book(contents: &Contents<'_>) -> Result<Book> {
    let page = |title: &str, text: String, name: &str| {
        Chapter::new(title, text, format!("{name}.md"), Vec::new())
    };
    let mut book = Book::new();
    let front = list_pages::front(contents)?;
    book.push_item(page("From asyncio to Tokio", front, "front"));
    book.push_item(BookItem::PartTitle("Chapters".to_owned()));
    for chapter in &contents.chapters {
        book.push_item(page(&chapter.title, chapter.text.clone(), &chapter.page));
    }
    book.push_item(page("Rust words", contents.glossary.clone(), "glossary"));
    book.push_item(BookItem::PartTitle("Ways in".to_owned()));
    let mut lists = list_pages::pages(contents)?;
    let at = lists.len() - 1;
    if let Some(speed) = &contents.speed {
        lists.insert(at, ("speed", "What it costs", speed_page::page(speed)?));
    }
    lists.insert(at, ("changes", "Changes", changes::page(&contents.changes)));
    for (name, title, text) in lists {
        let mut list = page(title, text, name);
        for (guide, own) in contents
            .guides
            .iter()
            .zip(1..)
            .filter(|_| name == "by-guide")
        {
            let (text, name) =
                (guide_page::page(contents, guide)?, links::guide_name(guide));
            // The numbers nest them in the table of contents.
            list.number = Some(SectionNumber::new([0]));
            let number = SectionNumber::new([0, own]);
            let mut own = page(&guide.full_title(), text, &name);
            own.number = Some(number);
            own.parent_names = vec![title.to_owned()];
            list.sub_items.push(own.into());
        }
        book.push_item(list);
    }
    book.push_item(BookItem::PartTitle("Examples".to_owned()));
    for (part, number) in contents.parts.iter().zip(1..) {
        let section = &part.section.name;
        let text = list_pages::section(part)?;
        let mut chapter = page(section, text, &format!("section-{section}"));
        chapter.number = Some(SectionNumber::new([number]));
        for (entry, own) in part.entries.iter().zip(1..) {
            let (id, name) = (entry.example.id(), &entry.example.name);
            let text = example_page::page(contents, entry)?;
            let mut example = page(name, text, &id);
            example.number = Some(SectionNumber::new([number, own]));
            example.parent_names = vec![section.clone()];
            chapter.sub_items.push(example.into());
        }
        book.push_item(chapter);
    }
    Ok(book)
}
