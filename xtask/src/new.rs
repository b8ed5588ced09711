//! `cargo xtask new`: the files of a new example, ready to be filled in.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::WrongCall;
use crate::scaffold::{Interrupt, make_files};
use crate::workspace::Workspace;

const SOURCE: &str = "\
//! Say in one sentence what the reader learns here.
//!
//! Then in a few sentences what carries over from asyncio, what does not, and the trap.
//!
//! asyncio: sleep

use std::time::Duration;

use tokio::time::sleep;

pub async fn run() {
    println!(\"before\");
    sleep(Duration::from_millis(100)).await;
    println!(\"after\");
}

#[tokio::main]
pub async fn main() {
    run().await;
}
";

const TWIN: &str = "\
import asyncio


async def main():
    print(\"before\")
    await asyncio.sleep(0.1)
    print(\"after\")


asyncio.run(main())
";

/// Makes source and twin of `SECTION/EXAMPLE`, lists it in the section's `main.rs`, and
/// returns the paths of what was made and of what was changed.
///
/// # Errors
///
/// [`WrongCall`] when the section is unknown or the name is taken or not one of a module;
/// any other error when a file cannot be written. Everything is then as it was.
pub fn new(workspace: &Workspace, id: &str) -> Result<(Vec<PathBuf>, PathBuf)> {
    let Some((section, name)) = id.split_once('/') else {
        bail!(WrongCall(format!(
            "`{id}` is not of the form SECTION/EXAMPLE"
        )));
    };
    let section = workspace.section(section)?;
    check_name(name)?;
    let source = section.dir.join("src").join(format!("{name}.rs"));
    let twin = section.dir.join("python").join(format!("{name}.py"));
    let golden = workspace.root.join("tests/golden").join(&section.name);
    let golden = golden.join(format!("{name}.txt"));
    for path in [&source, &twin, &golden] {
        if path.symlink_metadata().is_ok() {
            let path = workspace.relative(path);
            bail!(WrongCall(format!(
                "the name `{name}` is taken: there is {path}"
            )));
        }
    }
    let main = section.dir.join("src/main.rs");
    let text = fs::read_to_string(&main)
        .with_context(|| format!("cannot read {}", main.display()))?;
    let listed = list(&text, name)
        .with_context(|| format!("{} has no `examples! {{ ... }}`", main.display()))?;
    let new = [(source, SOURCE.to_owned()), (twin, TWIN.to_owned())];
    let interrupt = Interrupt::listen()?;
    make_files(&new, (&main, &listed), &|| interrupt.check())?;
    Ok((new.map(|(path, _)| path).to_vec(), main))
}

fn check_name(name: &str) -> Result<()> {
    let is_snake_case = name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('_')
        && !name.contains("__")
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !is_snake_case {
        bail!(WrongCall(format!(
            "`{name}` is not in snake_case: small letters, digits and single underscores, \
             as in `fetch_stream`"
        )));
    }
    // `gen` is a keyword since the edition 2024, which the parser does not ask for.
    if name == "main" || name == "gen" || syn::parse_str::<syn::Ident>(name).is_err() {
        bail!(WrongCall(format!(
            "`{name}` cannot be the name of a module"
        )));
    }
    Ok(())
}

/// The text of a `main.rs` with one more name at the end of its `examples!`.
fn list(main: &str, name: &str) -> Option<String> {
    let start = main.find("examples!")?;
    let open = start + main[start..].find('{')? + 1;
    let close = open + main[open..].find('}')?;
    let names = main[open..close].trim().trim_end_matches(',');
    let mut lines: Vec<&str> = names.lines().map(str::trim).collect();
    // A list on one line becomes one with a line for each.
    if let [line] = lines.as_slice() {
        lines = line.split(',').map(str::trim).collect();
    }
    let mut body = String::from("\n");
    for line in lines.iter().filter(|line| !line.is_empty()) {
        body.push_str(&format!("    {},\n", line.trim_end_matches(',')));
    }
    body.push_str(&format!("    {name},\n"));
    Some(format!("{}{body}{}", &main[..open], &main[close..]))
}

#[cfg(test)]
mod tests {
    use super::{check_name, list};

    #[test]
    fn a_name_is_added_at_the_end() {
        let expected = "//! X.\n\nexamples! {\n    a,\n    b (not Send),\n    c,\n}\n";
        for before in [
            "//! X.\n\nexamples! {\n    a,\n    b (not Send),\n}\n",
            "//! X.\n\nexamples! {\n    a,\n    b (not Send)\n}\n",
            "//! X.\n\nexamples! { a, b (not Send) }\n",
            "//! X.\n\nexamples! { a, b (not Send), }\n",
        ] {
            assert_eq!(list(before, "c").as_deref(), Some(expected));
        }
        assert_eq!(list("fn main() {}\n", "c"), None);
    }

    #[test]
    fn names_of_modules_only() {
        for good in ["a", "fetch_stream", "http2_push"] {
            assert!(check_name(good).is_ok(), "{good} was refused");
        }
        for bad in [
            "",
            "A",
            "fetchStream",
            "fetch-stream",
            "2nd",
            "_a",
            "a_",
            "a__b",
            "a b",
            "ä",
        ] {
            assert!(check_name(bad).is_err(), "{bad} was taken");
        }
        for bad in ["main", "async", "match", "self", "gen"] {
            assert!(check_name(bad).is_err(), "{bad} was taken");
        }
    }
}
