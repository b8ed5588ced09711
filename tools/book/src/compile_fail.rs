//! The programs that must not compile, with what the compiler says to each.

use std::collections::HashMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use xtask::fails::{self, Fail};
use xtask::files::read;
use xtask::inventory::stem;
use xtask::workspace::Workspace;

/// A program that must not compile.
#[derive(Debug, Clone)]
pub struct CompileFail {
    /// Code, words, and the example that the program belongs to.
    pub fail: Fail,
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
    /// Returns the code and the words of the message.
    pub fn message(&self) -> String {
        let words = &self.fail.words;
        let code = self.fail.code.as_ref();
        code.map_or(words.clone(), |code| format!("{code}: {words}"))
    }

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
///
/// # Errors
///
/// When a file cannot be read.
pub fn read_all(workspace: &Workspace) -> Result<Vec<CompileFail>> {
    let mut all = Vec::new();
    for section in &workspace.sections {
        for (path, fail) in fails::find(section)? {
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

/// Asks the compiler about the programs whose sources are not in `refused` yet.
///
/// # Errors
///
/// When the programs cannot be checked, or one of them compiles.
pub fn compile(
    workspace: &Workspace,
    programs: &mut [CompileFail],
    refused: &mut HashMap<String, String>,
) -> Result<()> {
    for section in &workspace.sections {
        let is_new = |it: &&CompileFail| {
            it.section == section.name && !refused.contains_key(&it.source)
        };
        let new: Vec<&CompileFail> = programs.iter().filter(is_new).collect();
        if new.is_empty() {
            continue;
        }
        let fails: Vec<Fail> = new.iter().map(|program| program.fail.clone()).collect();
        let errors = fails::compile(workspace, section, &fails)?;
        for program in new {
            let errors = errors.get(&program.name);
            let errors = errors.with_context(|| {
                let path = workspace.relative(&program.fail.path);
                format!("{path} compiles, but must not")
            })?;
            let mut said = String::new();
            for error in errors {
                let rendered = error.rendered.as_ref().unwrap_or(&error.message);
                said.push_str(&without_paths(workspace, rendered));
            }
            refused.insert(program.source.clone(), said);
        }
    }
    for program in programs {
        program.said = refused.get(&program.source).cloned();
    }
    Ok(())
}

/// Returns what the compiler says without where things are on this machine: files of
/// crates begin with the crate's name and version.
fn without_paths(workspace: &Workspace, rendered: &str) -> String {
    let root = format!("{}/", workspace.root.display());
    let mut text = String::new();
    for line in rendered.trim_end().lines() {
        if line.contains("has been written to '")
            || line.contains("using `--verbose` to print the full type")
        {
            continue;
        }
        let line = line.replace(&root, "");
        let short = line
            .split_once("/registry/src/")
            .and_then(|(before, after)| {
                let start = before.rfind([' ', '`', '\''])? + 1;
                let (_index, path) = after.split_once('/')?;
                Some(format!("{}{path}", &before[..start]))
            });
        let _ = writeln!(text, "{}", short.unwrap_or(line));
    }
    text
}
