//! The search of the pages: that of `find`, as WebAssembly, behind mdBook's search bar.

use std::fs;
use std::path::Path;
use std::process::Command;

use ::search::{Index, Kind};
use anyhow::{Context, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use catalog::files::replace;
use catalog::workspace::{Workspace, cargo};
use serde_json::json;

use crate::contents::Contents;
use crate::links::chapter_page;
use crate::markup::anchor;

const TARGET: &str = "wasm32-unknown-unknown";

/// Writes the search, which the pages load when somebody searches.
pub fn write(contents: &Contents<'_>, out: &Path) -> Result<()> {
    let workspace = contents.workspace;
    let config = json!({
        "doc_urls": [],
        "search_options": {},
        "results_options": { "limit_results": 30, "teaser_word_count": 30 },
        "index": {
            "engine": BASE64_STANDARD.encode(engine(workspace)?),
            "entries": Index::of(workspace)?.save(page)?,
        },
    });
    let text = format!("window.search = Object.assign(window.search, {config});");
    replace(&out.join("search-index.js"), &text)
}

/// Compiles the search.
fn engine(workspace: &Workspace) -> Result<Vec<u8>> {
    let mut command = Command::new(cargo());
    command.current_dir(&workspace.root);
    command.args(["rustc", "--quiet", "--locked", "--package", "search-page"]);
    command.args(["--lib", "--crate-type", "cdylib"]);
    let status = command
        .args(["--profile", "page", "--target", TARGET])
        .status()?;
    ensure!(
        status.success(),
        "the search does not compile; `rustup target add {TARGET}` installs what it needs"
    );
    let made = workspace.target.join(TARGET).join("page/search_page.wasm");
    fs::read(&made).with_context(|| format!("cannot read {}", made.display()))
}

/// Returns where the book has an entry that is no example: a row of a table, a guide, or a
/// heading of a chapter.
fn page(kind: Kind, text: &str, place: Option<&str>) -> Option<String> {
    let (name, _) = text.split_once(" = ").unwrap_or((text, ""));
    Some(match (kind, place) {
        (Kind::Name, _) => format!("by-name.html#{}", anchor(name)),
        (Kind::Clause, _) => {
            let name = text.split(' ').next().unwrap_or_default();
            format!("by-name.html#{}", anchor(name))
        }
        (Kind::Library, _) => format!("by-library.html#{}", anchor(name)),
        (Kind::Guide, Some(place)) => {
            let number = place.rsplit(' ').next().unwrap_or_default();
            format!("guide-{}.html", number.to_lowercase())
        }
        (Kind::Chapter, Some(_)) => chapter_page(text),
        _ => return None,
    })
}
