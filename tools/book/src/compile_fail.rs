//! The programs that must not compile, with what the compiler says to each.

use anyhow::{Result, ensure};
use catalog::compile_fail;
use catalog::files::{read, stem};
use catalog::workspace::Workspace;
use regex::Regex;

/// A program that must not compile.
#[derive(Debug, Clone)]
pub struct CompileFail {
    /// Code, words, and the example that the program belongs to.
    pub fail: compile_fail::CompileFail,
    /// The section of both.
    pub section: String,
    /// The program's name.
    pub name: String,
    /// The program.
    pub source: String,
    /// The errors as rustc prints them; nothing if it was not asked.
    pub said: Option<String>,
}

impl CompileFail {
    /// Returns the program's comment, which says what is wrong with it.
    pub fn summary(&self) -> String {
        let lines = self.source.lines().skip(1);
        let lines = lines.map_while(|line| line.strip_prefix("//! "));
        let lines = lines.take_while(|line| !line.starts_with("example: "));
        lines.collect::<Vec<&str>>().join(" ")
    }

    /// Returns the program without that comment.
    pub fn program(&self) -> String {
        let lines = self.source.lines();
        let lines = lines.skip_while(|line| line.starts_with("//") || line.is_empty());
        lines.collect::<Vec<&str>>().join("\n")
    }
}

/// Reads all such programs.
pub fn read_all(workspace: &Workspace) -> Result<Vec<CompileFail>> {
    let mut all = Vec::new();
    for section in &workspace.sections {
        for (path, fail) in compile_fail::find(section)? {
            all.push(CompileFail {
                fail: fail.map_err(anyhow::Error::msg)?,
                section: section.name.clone(),
                name: stem(&path),
                source: read(&path)?,
                said: None,
            });
        }
    }
    Ok(all)
}

/// Returns what the compiler says to the program.
pub fn compile(built: &Workspace, program: &CompileFail) -> Result<String> {
    let section = built.section(&program.section)?;
    let (path, name) = (&program.fail.path, &program.name);
    let out = format!("compile-fail/{}-{name}.rmeta", section.name);
    let out = built.target.join(out);
    let errors = built.built().compile(section, path, None, &out)?;
    let shown = built.relative(path);
    ensure!(!errors.is_empty(), "{shown} compiles, but must not");
    let rendered = errors.iter().filter_map(|error| error.rendered.as_ref());
    rendered.map(|text| without_paths(built, text)).collect()
}

/// Returns what the compiler says without where things are on this machine: files of
/// crates begin with the crate's name and version.
fn without_paths(workspace: &Workspace, rendered: &str) -> Result<String> {
    let hints = r"(?m)^.*(has been written to '|using `--verbose` to print the full).*\n";
    let registry = Regex::new(r"[^\s`']*/registry/src/[^/]+/")?;
    let root = format!("{}/", workspace.root.display());
    let text = Regex::new(hints)?.replace_all(rendered.trim_end(), "");
    let text = registry.replace_all(&text, "").replace(&root, "");
    Ok(text + "\n")
}
