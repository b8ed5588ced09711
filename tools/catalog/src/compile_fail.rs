//! The programs under `compile-fail/`. None of them may compile; the first line of each
//! gives the reason: `//~ E0277 cannot be unpinned`.

use std::path::PathBuf;

use crate::files::{entries, read, stem};
use crate::workspace::Section;

/// A program that must not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileFail {
    /// The file.
    pub path: PathBuf,
    /// The file's name without its ending.
    pub name: String,
    /// The whole program.
    pub source: String,
    /// The section of the program and of its example.
    pub section: String,
    /// The error's code or the lint's name; nothing where rustc gives none.
    pub code: Option<String>,
    /// Words of the message that a reader would search for.
    pub words: String,
    /// The example that the program belongs to.
    pub example: String,
}

/// Returns the programs of a section, or what is wrong with one that cannot be read.
pub fn find(
    section: &Section,
) -> anyhow::Result<Vec<(PathBuf, Result<CompileFail, String>)>> {
    let paths = entries(&section.dir.join("compile-fail"))?.into_iter();
    let parsed = paths.map(|path| (path.clone(), parse(section, path)));
    Ok(parsed.collect())
}

fn parse(section: &Section, path: PathBuf) -> Result<CompileFail, String> {
    let text = read(&path).map_err(|error| format!("{error:#}"))?;
    let first = text.lines().next().unwrap_or_default();
    let (code, words) = first
        .strip_prefix("//~ ")
        .and_then(|first| first.split_once(' '))
        .filter(|(_, words)| !words.trim().is_empty())
        .ok_or("its first line is not `//~ CODE words of the message`")?;
    let example = text
        .lines()
        .find_map(|line| line.strip_prefix("//! example: "))
        .ok_or("it does not say to which example it belongs: `//! example: NAME`")?
        .trim();
    if !section.examples.iter().any(|own| own.name == example) {
        let section = &section.name;
        return Err(format!("`example: {example}` is none that {section} lists"));
    }
    Ok(CompileFail {
        code: (code != "error").then(|| code.to_owned()),
        words: words.trim().to_owned(),
        example: example.to_owned(),
        section: section.name.clone(),
        name: stem(&path),
        source: text,
        path,
    })
}

impl CompileFail {
    /// Returns the message as the compiler prints it: `error[E0277]: cannot be unpinned`.
    /// A lint has its name in front.
    pub fn message(&self) -> String {
        let words = &self.words;
        match self.code.as_deref() {
            None => format!("error: {words}"),
            Some(code) if code.starts_with('E') => format!("error[{code}]: {words}"),
            Some(lint) => format!("{lint}: {words}"),
        }
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
