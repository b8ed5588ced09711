//! `cargo xtask new`: the files of a new example, ready to be filled in.

use anyhow::Result;
use catalog::files::{make_files, read, replace};
use catalog::refuse;
use catalog::workspace::Workspace;

const SOURCE: &str = "\
//! TODO: say in one sentence what the reader learns here.
//!
//! TODO (two or three sentences): how it is done here, and what asyncio calls it.
//!
//! Trap: TODO, what goes wrong, and the words that appear.
//!
//! See also: TODO.
//!
//! asyncio: asyncio.sleep

use std::time::Duration;

use tokio::time::sleep;

#[tokio::main]
async fn main() {
    println!(\"TODO\");
    sleep(Duration::from_millis(100)).await;
}
";

const TWIN: &str = "\
import asyncio


async def main():
    print(\"TODO\")
    await asyncio.sleep(0.1)


asyncio.run(main())
";

/// Makes source and twin of `SECTION/EXAMPLE`, lists it in the section's `main.rs`, and
/// returns what to tell the user.
///
/// # Errors
///
/// [`WrongCall`](catalog::WrongCall) when the section is unknown or the name is taken or
/// not one of a module; nothing has changed then. Any other error when a file cannot be
/// written.
pub fn new(workspace: &Workspace, id: &str) -> Result<String> {
    let Some((section, name)) = id.split_once('/') else {
        refuse!("`{id}` is not of the form SECTION/EXAMPLE");
    };
    let section = workspace.section(section)?;
    check_name(name)?;
    let source = section.dir.join("src").join(format!("{name}.rs"));
    let twin = section.dir.join("python").join(format!("{name}.py"));
    let golden = section.dir.join("golden").join(format!("{name}.txt"));
    for path in [&source, &twin, &golden] {
        if path.symlink_metadata().is_ok() {
            let path = workspace.relative(path);
            refuse!("the name `{name}` is taken: there is {path}");
        }
    }
    let main = section.dir.join("src/main.rs");
    let listed = list(&read(&main)?, name);
    let new = [(source, SOURCE.to_owned()), (twin, TWIN.to_owned())];
    make_files(&new)?;
    replace(&main, &listed)?;
    let [source, twin, main] =
        [&new[0].0, &new[1].0, &main].map(|p| workspace.relative(p));
    Ok(format!(
        "made {source}\nmade {twin}\nchanged {main}\n\
         Write the program and its twin, then record and check the transcript:\n    \
         cargo xtask bless {id}\n    cargo xtask check-all {id}\n"
    ))
}

fn check_name(name: &str) -> Result<()> {
    let is_word = |word: &str| {
        let is_small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        !word.is_empty() && word.chars().all(is_small)
    };
    if name.starts_with(|c: char| c.is_ascii_digit()) || !name.split('_').all(is_word) {
        refuse!(
            "`{name}` is not in snake_case: small letters, digits and single underscores, \
             as in `fetch_stream`"
        );
    }
    Ok(())
}

/// The text of a `main.rs` with one more example behind the last one.
fn list(main: &str, name: &str) -> String {
    let is_example = |line: &&str| {
        line.starts_with("mod ") && !["mod demos;", "mod tests;"].contains(line)
    };
    let last = main
        .lines()
        .rfind(is_example)
        .unwrap_or("extern crate harness as tokio;");
    let gap = if last.starts_with("mod ") { "" } else { "\n" };
    main.replacen(
        &format!("{last}\n"),
        &format!("{last}\n{gap}mod {name};\n"),
        1,
    )
}
