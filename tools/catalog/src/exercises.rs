//! `docs/exercises.tsv`: examples whose readers write a part of them.
//!
//! No exercise is kept: its file is made from the example, by taking the bodies of some
//! functions out. So the example is the solution, and its golden is the check.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use cargo_metadata::diagnostic::Diagnostic;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::check::{Checker, Job, Program};
use crate::files::{read, replace};
use crate::report::Failure;
use crate::rustc;
use crate::tables::{self, Exercise};
use crate::workspace::{Example, Workspace};

/// Where the exercises stand, below the workspace's root.
pub const PATH: &str = "docs/exercises.tsv";

/// How long a solution may run.
const LIMIT: Duration = Duration::from_secs(10);

/// What a panic says that comes from a gap.
const GAP: &str = "not yet implemented: ";

/// What a gap leaves unused. An unused result still warns: a forgotten `.await`.
const ALLOW: &str = "
// The gap leaves these unused.
#![allow(dead_code, unreachable_code, unused_imports, unused_mut, unused_variables)]
";

/// Returns all exercises, in their order.
///
/// # Errors
///
/// When the table cannot be read.
pub fn all(workspace: &Workspace) -> Result<Vec<Exercise>> {
    let rows = tables::read(&workspace.root, PATH)?.into_iter();
    Ok(rows.map(|(_, row)| row).collect())
}

/// Returns the source with gaps in place of the functions' bodies.
///
/// # Errors
///
/// When the source is not Rust, or has no such function, or several.
pub fn with_gaps(source: &str, exercise: &Exercise) -> Result<String> {
    let mut text = source.to_owned();
    let mut places = BTreeMap::new();
    for function in &exercise.functions {
        places.insert(body_of(source, function)?.start, function);
    }
    for (index, function) in places.values().enumerate() {
        let mut gap = format!("todo!(\"write the body of `{function}`\")");
        if index == 0 {
            gap = format!("{}{gap}", comment(&exercise.task));
        }
        text = with_body(&text, function, &gap)?;
    }
    let header: usize = text
        .split_inclusive('\n')
        .take_while(|line| line.starts_with("//!"))
        .map(str::len)
        .sum();
    text.insert_str(header, ALLOW);
    Ok(text)
}

/// Returns the task as a comment of lines that are not too long.
fn comment(task: &str) -> String {
    let mut text = String::from("// TODO:");
    let mut width = text.len();
    for word in task.split_whitespace() {
        width += 1 + word.len();
        if width > 78 {
            text += "\n//";
            width = 3 + word.len();
        }
        text += &format!(" {word}");
    }
    text + "\n"
}

/// Returns the source with another body for the function of this name.
///
/// # Errors
///
/// When the source is not Rust, or has no such function, or several.
pub fn with_body(source: &str, function: &str, body: &str) -> Result<String> {
    let place = body_of(source, function)?;
    let before = &source[..place.end - 1];
    let last = before.rsplit('\n').next().unwrap_or_default();
    let indent = &last[..last.len() - last.trim_start().len()];
    let lines = body.lines().map(|line| format!("{indent}    {line}\n"));
    let body = format!("{{\n{}{indent}}}", lines.collect::<String>());
    Ok([&source[..place.start], &body, &source[place.end..]].concat())
}

/// Returns where the body of the only function of this name stands, brackets included.
fn body_of(source: &str, function: &str) -> Result<Range<usize>> {
    let tokens: TokenStream = source.parse().map_err(|error| anyhow!("{error}"))?;
    let mut found = Vec::new();
    find_bodies(tokens, function, &mut found);
    let count = found.len();
    ensure!(
        count == 1,
        "{count} functions have the name `{function}`, not one"
    );
    Ok(found.remove(0))
}

/// Finds the bodies of all functions of this name, brackets included.
fn find_bodies(tokens: TokenStream, name: &str, found: &mut Vec<Range<usize>>) {
    let (mut is_name, mut is_meant) = (false, false);
    for token in tokens {
        match token {
            TokenTree::Ident(word) => {
                is_meant |= is_name && word == name;
                is_name = word == "fn";
            }
            TokenTree::Group(group) => {
                if is_meant && group.delimiter() == Delimiter::Brace {
                    found.push(group.span().byte_range());
                    is_meant = false;
                }
                find_bodies(group.stream(), name, found);
            }
            // A method that a trait only declares.
            TokenTree::Punct(it) => is_meant &= it.as_char() != ';',
            TokenTree::Literal(_) => {}
        }
    }
}

/// Compiles these texts of a section's examples to one program, which runs each of them as
/// the section does. Returns the program and the compiler's errors. `name` is a folder for
/// it, which nobody else uses.
///
/// # Errors
///
/// When a file cannot be written, or rustc cannot be run.
pub fn compile(
    workspace: &Workspace,
    name: &str,
    texts: &[(&Example, String)],
) -> Result<(PathBuf, Vec<Diagnostic>)> {
    let dir = workspace.target.join("exercises").join(name);
    let _ = fs::remove_dir_all(&dir);
    let src = dir.join("src");
    let (mut main, mut demos) = (String::new(), String::new());
    for (example, text) in texts {
        let module = format!("mod {};\n", example.name);
        let file = format!("{}.rs", example.name);
        // How it runs stands in the example, and not in a reader's file.
        let how = read(&example.source)?;
        let how = directives::hidden(&how);
        replace(
            &src.join(&file),
            &format!("{}{how}", directives::shown(text)),
        )?;
        if let Some(demo) = &example.demo {
            replace(&src.join("demos").join(&file), &read(demo)?)?;
            demos += &format!("pub {module}");
        }
        main += &module;
    }
    let main = format!(
        "#[macro_use]\nextern crate runner;\nextern crate harness as tokio;\n\
         {main}mod demos;\nrunner::section!();\n"
    );
    replace(&src.join("demos/mod.rs"), &demos)?;
    replace(&src.join("main.rs"), &main)?;
    let sections: Vec<&str> = texts.iter().map(|(it, _)| it.section.as_str()).collect();
    ensure!(!sections.is_empty(), "there is nothing to compile");
    let section = workspace.section(sections[0])?;
    let program = dir.join(format!("program{}", std::env::consts::EXE_SUFFIX));
    let built = workspace.built();
    let errors = built.compile("rustc", section, &src.join("main.rs"), None, &program)?;
    Ok((program, errors))
}

/// Compiles and runs a reader's file, and compares what it prints with the golden. The
/// section was built before.
///
/// # Errors
///
/// What is wrong with the file.
pub fn check(
    workspace: &Workspace,
    example: &Example,
    file: &Path,
) -> Result<(), Failure> {
    let shown = workspace.relative(file);
    let failed = |problem: String| Failure::new(&shown, problem);
    let compiled = read(file)
        .and_then(|text| compile(workspace, &example.name, &[(example, text)]))
        .map_err(|error| failed(format!("{error:#}")))?;
    let (program, errors) = compiled;
    if !errors.is_empty() {
        let made = program
            .with_file_name("src")
            .join(format!("{}.rs", example.name));
        let said = rustc::shown(&errors).replace(&*made.to_string_lossy(), &shown);
        return Err(failed("it does not compile".to_owned()).with(said));
    }
    run(workspace, example, &program).map_err(|failure| Failure {
        subject: shown,
        ..failure
    })
}

/// Runs an example in a program that [`compile`] has made, and compares what it prints with
/// the golden.
///
/// # Errors
///
/// How it differs, or that a gap is still there.
pub fn run(
    workspace: &Workspace,
    example: &Example,
    program: &Path,
) -> Result<(), Failure> {
    let job = Job {
        binary: Some(program),
        ..Job::new(example, Program::Rust, false)
    };
    let checker = Checker::new(workspace, None, LIMIT);
    let is_gap = |line: &&str| line.contains(GAP);
    checker.run_one(job).map_err(|failure| {
        // What to do next is for those who change the example.
        let next = Vec::new();
        let gap = failure.details.lines().find(is_gap);
        match gap.and_then(|line| line.split(GAP).nth(1)) {
            Some(gap) => {
                Failure::new(&failure.subject, format!("the gap is still there: {gap}"))
            }
            None => Failure { next, ..failure },
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{with_body, with_gaps};
    use crate::tables::Exercise;

    const SOURCE: &str = r#"//! An "é" before it.

use a::{b};

trait Walk {
    fn walk(&self);
}

impl Walk for [u8; { 1 + 1 }] {
    fn walk(&self) {
        // fn run() {}
        if self.is_empty() {}
    }
}

pub async fn run() -> u32 { "{".len() }
"#;

    #[test]
    fn bodies_are_found_and_taken_out() {
        let found = |name, body| with_body(SOURCE, name, body).map_err(|e| e.to_string());
        let walked = found("walk", "a();\nb()").unwrap();
        assert!(walked.contains("&self) {\n        a();\n        b()\n    }\n}\n"));
        assert!(walked.contains("fn walk(&self);\n") && !walked.contains("is_empty"));
        let ran = found("run", "0").unwrap();
        assert!(
            ran.ends_with("pub async fn run() -> u32 {\n    0\n}\n"),
            "{ran}"
        );
        for (name, count) in [("b", 0), ("swim", 0)] {
            let said = format!("{count} functions have the name `{name}`, not one");
            assert_eq!(found(name, ""), Err(said));
        }
        let twice = SOURCE.repeat(2).replace("//! ", "// ");
        assert!(with_body(&twice, "run", "").is_err());
    }

    #[test]
    fn the_first_gap_says_the_task() {
        let exercise = Exercise {
            example: String::new(),
            functions: vec!["run".to_owned(), "walk".to_owned()],
            task: "Return a word. ".repeat(8),
            hint: String::new(),
            wrong: String::new(),
        };
        let text = with_gaps(SOURCE, &exercise).unwrap();
        let gap = |name| format!("todo!(\"write the body of `{name}`\")\n");
        assert!(text.contains(&gap("run")));
        // `walk` comes first in the file.
        let (before, after) = text.split_once("// TODO: Return a word.").unwrap();
        assert!(!before.contains("todo!") && !after.contains("TODO"));
        assert!(
            after
                .split("todo!")
                .next()
                .unwrap()
                .ends_with("word.\n        ")
        );
        assert!(after.contains(&gap("walk")));
        assert!(text.lines().all(|line| line.len() < 86), "{text}");
        assert!(text.starts_with("//! An \"é\" before it.\n\n// The gap"));
    }
}
