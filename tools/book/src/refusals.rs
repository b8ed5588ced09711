//! The programs that must not compile, with what the compiler says to each.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use xtask::fails::{self, Fail};
use xtask::files::read;
use xtask::inventory::stem;
use xtask::workspace::{Section, Workspace};

use crate::cache::Cache;
use crate::versions::Versions;

/// A program that must not compile.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Code, words, and the example that it belongs to.
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

impl Refusal {
    /// What the code says: `E0277`, or the name of a lint, or that there is none.
    pub fn code(&self) -> &str {
        self.fail.code.as_deref().unwrap_or("error")
    }

    /// The first sentence of the program's comment, which says what is wrong with it.
    pub fn summary(&self) -> String {
        let lines = self.source.lines().skip(1);
        let lines = lines.map_while(|line| line.strip_prefix("//! "));
        let lines = lines.take_while(|line| !line.starts_with("example: "));
        lines.collect::<Vec<&str>>().join(" ")
    }

    /// The program as it is shown: without the comment that says what it is.
    pub fn program(&self) -> String {
        let lines = self.source.lines();
        let lines = lines.skip_while(|line| line.starts_with("//") || line.is_empty());
        lines.collect::<Vec<&str>>().join("\n")
    }
}

/// All such programs; the compiler is asked only about sections in which one is new, and
/// not at all without `may_run`.
///
/// # Errors
///
/// When a file cannot be read or written, or when cargo cannot check the programs.
pub fn find(
    workspace: &Workspace,
    versions: &Versions,
    may_run: bool,
) -> Result<Vec<Refusal>> {
    let cache = Cache::new(workspace);
    let mut all = Vec::new();
    for section in &workspace.sections {
        let mut own = Vec::new();
        for (path, fail) in fails::find(section)? {
            // What cannot be read is told by the inventory.
            let Ok(fail) = fail else { continue };
            let source = read(&path)?;
            let from = [source.as_str(), &versions.lock, &versions.rustc];
            own.push(Refusal {
                said: cache.get("refusal2", &from),
                section: section.name.clone(),
                name: stem(&path),
                fail,
                source,
            });
        }
        if may_run && own.iter().any(|refusal| refusal.said.is_none()) {
            ask(workspace, section, &mut own)?;
            for refusal in &own {
                let from = [refusal.source.as_str(), &versions.lock, &versions.rustc];
                let said = refusal.said.as_deref().unwrap_or_default();
                cache.put("refusal2", &from, said)?;
            }
        }
        all.extend(own);
    }
    Ok(all)
}

fn ask(workspace: &Workspace, section: &Section, own: &mut [Refusal]) -> Result<()> {
    let fails: Vec<Fail> = own.iter().map(|refusal| refusal.fail.clone()).collect();
    let errors = fails::compile(workspace, section, &fails)?;
    for refusal in own {
        let errors = errors.get(&refusal.name);
        let errors = errors.with_context(|| {
            let path = workspace.relative(&refusal.fail.path);
            format!("{path} compiles, but must not")
        })?;
        let mut said = String::new();
        for error in errors {
            let rendered = error.rendered.as_ref().unwrap_or(&error.message);
            let rendered = of_no_machine(workspace, rendered);
            let _ = writeln!(said, "{}", rendered.trim_end());
        }
        refusal.said = Some(said);
    }
    Ok(())
}

/// What the compiler says without where things are on this machine: files of crates begin
/// with the crate's name and version.
fn of_no_machine(workspace: &Workspace, rendered: &str) -> String {
    let root = format!("{}/", workspace.root.display());
    let lines = rendered.lines().filter(|line| {
        ![
            "has been written to '",
            "using `--verbose` to print the full type",
        ]
        .iter()
        .any(|hint| line.contains(hint))
    });
    let mut text = String::new();
    for line in lines {
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
