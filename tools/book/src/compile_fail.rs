//! The programs that must not compile, with what the compiler says to each.

use anyhow::{Error, Result, ensure};
use catalog::compile_fail::{CompileFail, find};
use catalog::workspace::Workspace;
use checks::Built;
use regex::Regex;

/// Reads all such programs.
pub fn read_all(workspace: &Workspace) -> Result<Vec<CompileFail>> {
    let mut all = Vec::new();
    for section in &workspace.sections {
        for (_, program) in find(section)? {
            all.push(program.map_err(Error::msg)?);
        }
    }
    Ok(all)
}

/// Returns what the compiler says to the program, without where things are on this
/// machine: files of crates begin with the crate's name and version.
pub fn compile(
    workspace: &Workspace,
    built: &Built,
    program: &CompileFail,
) -> Result<String> {
    let section = workspace.section(&program.section)?;
    let errors = checks::compile_fail::compile(workspace, built, section, program)?;
    let shown = workspace.relative(&program.path);
    ensure!(!errors.is_empty(), "{shown} compiles, but must not");
    let hints = r"(?m)^.*(has been written to '|using `--verbose` to print the full).*\n";
    let hints = Regex::new(hints)?;
    let registry = Regex::new(r"[^\s`']*/registry/src/[^/]+/")?;
    let root = format!("{}/", workspace.root.display());
    let rendered = errors.iter().filter_map(|error| error.rendered.as_ref());
    let shown = rendered.map(|text| {
        let text = hints.replace_all(text.trim_end(), "");
        registry.replace_all(&text, "").replace(&root, "") + "\n"
    });
    Ok(shown.collect())
}
