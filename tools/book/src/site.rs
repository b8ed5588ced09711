//! From Markdown to pages, by mdBook.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use mdbook_driver::MDBook;
use mdbook_driver::config::Config;
use xtask::files::replace;

/// Settings for a folder of static files that asks nothing of another host.
///
/// Tokens of the search are cut at white space and hyphens only, so that
/// `asyncio.wait_for` is one; a heading counts much more than text.
const CONFIG: &str = r#"
[book]
title = "From asyncio to Tokio"
description = "Every idiom of asyncio as a complete Rust program, verified"
language = "en"
src = "src"

[build]
create-missing = false
use-default-preprocessors = false

[output.html]
default-theme = "light"
preferred-dark-theme = "navy"
smart-punctuation = false
no-section-label = true
sidebar-header-nav = false
additional-css = ["theme/asyncio-to-tokio.css"]
additional-js = ["theme/asyncio-to-tokio.js"]

[output.html.fold]
enable = true
level = 0

[output.html.print]
enable = false

[output.html.playground]
runnable = false
copy-js = false

[output.html.search]
boost-title = 8
boost-hierarchy = 2
boost-paragraph = 1
use-boolean-and = true
expand = true
heading-split-level = 2
limit-results = 30
"#;

/// What is added to mdBook's own looks.
const STYLE: &str = include_str!("../../../docs/theme/asyncio-to-tokio.css");

/// What the buttons do.
const SCRIPT: &str = include_str!("../../../docs/theme/asyncio-to-tokio.js");

/// Makes the pages in `out` from the Markdown in `src` below `root`.
///
/// # Errors
///
/// When `out` has something in it that is no book, or when mdBook cannot make the pages.
pub fn make(root: &Path, out: &Path) -> Result<()> {
    check_out(out)?;
    for (name, text) in [("css", STYLE), ("js", SCRIPT)] {
        replace(
            &root.join("theme/asyncio-to-tokio").with_extension(name),
            text,
        )?;
    }
    let mut config: Config = CONFIG.parse().context("the book's own settings")?;
    config.build.build_dir = out.to_owned();
    let book = MDBook::load_with_config(root, config)
        .with_context(|| format!("mdBook cannot read {}", root.display()))?;
    book.build()
        .with_context(|| format!("mdBook cannot make {}", out.display()))
}

/// mdBook empties the folder first, so it must not be anybody else's.
fn check_out(out: &Path) -> Result<()> {
    let Ok(mut entries) = fs::read_dir(out) else {
        return Ok(());
    };
    let is_book = out.join("toc.html").exists() && out.join(".nojekyll").exists();
    ensure!(
        is_book || entries.next().is_none(),
        "{} has something in it that is no book; nothing there was touched",
        out.display()
    );
    Ok(())
}
