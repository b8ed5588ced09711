//! The programs under `compile-fail/`. None of them may compile; the first line of each
//! gives the reason: `//~ E0277 cannot be unpinned`.

use std::fs;
use std::path::PathBuf;

use cargo_metadata::diagnostic::Diagnostic;

use crate::files::{entries, stem};
use crate::report::Failure;
use crate::rustc::shown;
use crate::workspace::{Section, Workspace};

/// The name of an error to which rustc gives no code.
const NO_CODE: &str = "an error without a code";

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
    let text = fs::read_to_string(&path).unwrap_or_default();
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

    /// Compiles the program with all crates of its section, and returns the errors. For a
    /// lint of clippy, clippy compiles it.
    pub fn compile(
        &self,
        workspace: &Workspace,
        section: &Section,
    ) -> anyhow::Result<Vec<Diagnostic>> {
        let name = format!("compile-fail/{}-{}.rmeta", section.name, self.name);
        let out = workspace.target.join(name);
        let lint = self.code.as_deref().unwrap_or_default();
        let compiler = match lint.starts_with("clippy::") {
            true => "clippy-driver",
            false => "rustc",
        };
        let built = workspace.built();
        built.compile(compiler, section, &self.path, None, &out)
    }

    /// Compiles the program.
    ///
    /// # Errors
    ///
    /// When it compiles, or fails for another reason than its first line gives.
    pub fn check(&self, workspace: &Workspace, section: &Section) -> Result<(), Failure> {
        let failure = |problem| Failure::new(workspace.relative(&self.path), problem);
        let errors = self
            .compile(workspace, section)
            .map_err(|error| failure(format!("{error:#}")))?;
        self.judge(&errors)
            .map_err(|problem| failure(problem).with(shown(&errors)))
    }

    fn judge(&self, errors: &[Diagnostic]) -> Result<(), String> {
        let (code, words) = (self.code.as_deref(), &self.words);
        let code_of =
            |error: &Diagnostic| error.code.as_ref().map(|code| code.code.clone());
        let named = code.unwrap_or(NO_CODE);
        if errors.is_empty() {
            return Err(format!("it compiles, but must fail with {named}"));
        }
        let mut codes = errors.iter().map(code_of);
        if let Some(other) = codes.find(|other| other.as_deref() != code) {
            let other = other.as_deref().unwrap_or(NO_CODE);
            return Err(format!("it fails with {other}, not with {named}"));
        }
        let text = |error: &Diagnostic| {
            error.rendered.as_ref().unwrap_or(&error.message).clone()
        };
        match errors.iter().any(|error| text(error).contains(words)) {
            true => Ok(()),
            false => Err(format!("the compiler does not say `{words}`")),
        }
    }
}
