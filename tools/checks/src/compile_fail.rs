//! The programs that must not compile, judged by what the compiler says.

use cargo_metadata::diagnostic::Diagnostic;
use catalog::compile_fail::CompileFail;
use catalog::report::Failure;
use catalog::workspace::{Section, Workspace};

use crate::built::{Built, Compiler, shown};

/// The name of an error to which rustc gives no code.
const NO_CODE: &str = "an error without a code";

/// Compiles the program with all crates of its section, and returns the errors. For a
/// lint of clippy, clippy compiles it.
///
/// # Errors
///
/// When the compiler cannot be run.
pub fn compile(
    workspace: &Workspace,
    built: &Built,
    section: &Section,
    program: &CompileFail,
) -> anyhow::Result<Vec<Diagnostic>> {
    let name = format!("compile-fail/{}-{}.rmeta", section.name, program.name);
    let out = workspace.target.join(name);
    let is_lint = |code: &String| code.starts_with("clippy::");
    let compiler = match program.code.as_ref().is_some_and(is_lint) {
        true => Compiler::Clippy,
        false => Compiler::Rustc,
    };
    built.compile(compiler, section, &program.path, None, &out)
}

/// Compiles the program.
///
/// # Errors
///
/// When it compiles, or fails for another reason than its first line gives.
pub fn judge(
    workspace: &Workspace,
    built: &Built,
    section: &Section,
    program: &CompileFail,
) -> Result<(), Failure> {
    let failure = |problem| Failure::new(workspace.relative(&program.path), problem);
    let errors = compile(workspace, built, section, program);
    let errors = errors.map_err(|error| failure(format!("{error:#}")))?;
    is_as_announced(program, &errors)
        .map_err(|problem| failure(problem).with(shown(&errors)))
}

fn is_as_announced(program: &CompileFail, errors: &[Diagnostic]) -> Result<(), String> {
    let (code, words) = (program.code.as_deref(), &program.words);
    let code_of = |error: &Diagnostic| error.code.as_ref().map(|code| code.code.clone());
    let named = code.unwrap_or(NO_CODE);
    if errors.is_empty() {
        return Err(format!("it compiles, but must fail with {named}"));
    }
    let mut codes = errors.iter().map(code_of);
    if let Some(other) = codes.find(|other| other.as_deref() != code) {
        let other = other.as_deref().unwrap_or(NO_CODE);
        return Err(format!("it fails with {other}, not with {named}"));
    }
    let text =
        |error: &Diagnostic| error.rendered.as_ref().unwrap_or(&error.message).clone();
    match errors.iter().any(|error| text(error).contains(words)) {
        true => Ok(()),
        false => Err(format!("the compiler does not say `{words}`")),
    }
}
