//! Makes the book, a folder of static pages, from the files that were checked, so that it
//! cannot disagree with them. Only the chapters are written by hand.
//!
//! [`contents`] reads everything and refuses what does not belong together, the modules
//! named after pages turn it into Markdown by the files under `templates/`, and [`render`]
//! has mdBook make the pages.

mod changes;
mod chapters;
mod checks;
mod compile_fail;
mod contents;
mod example_page;
mod guide_page;
mod links;
mod list_pages;
mod markup;
mod other_forms;
mod render;
mod search;
mod speed_page;
mod tasks;

use std::path::{PathBuf, absolute};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use catalog::workspace::Workspace;
use clap::Parser;

use crate::contents::Contents;

/// Makes the book, a folder of static pages, from the examples.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask book")]
struct Options {
    /// Open it in the browser.
    #[arg(long)]
    open: bool,
    /// Where its pages go [default: target/book].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Build and run nothing: the transcripts lack the tasks, the programs that must not
    /// compile the compiler's full words, and the search finds nothing.
    #[arg(long)]
    no_run: bool,
}

fn main() -> ExitCode {
    catalog::ended(run(&Options::parse()).map(|()| ExitCode::SUCCESS))
}

fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::open()?;
    let default = workspace.target.join("book");
    let out = absolute(options.out.as_ref().unwrap_or(&default))?;
    let started = Instant::now();
    let contents = Contents::read(&workspace, !options.no_run)?;
    render::render(&contents, &out, !options.no_run)?;
    println!(
        "{}: {} examples, {:.1} s",
        out.join("index.html").display(),
        contents.entries().count(),
        started.elapsed().as_secs_f64()
    );
    if options.open {
        let index = out.join("index.html");
        opener::open(&index)
            .with_context(|| format!("cannot open {}", index.display()))?;
    }
    Ok(())
}
