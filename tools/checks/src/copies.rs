//! The copies: each example compiled and run alone, as its reader does, and compiled as an
//! older project does.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use cargo_metadata::diagnostic::Diagnostic;
use cargo_metadata::semver::Version;
use catalog::dependencies;
use catalog::platforms::{OLDEST, own_rust};
use catalog::report::Failure;
use catalog::transcript::first_lines;
use catalog::workspace::Example;

use crate::Run;
use crate::built::{Compiler, shown};
use crate::checker::{Checker, lock};
use crate::process::{self, limited};

impl Checker<'_> {
    /// Compiles the copy of an example alone, runs it as its last lines say, and, where the
    /// demonstration is in it, as a reader does.
    pub(crate) fn judge_copy(&self, run: Run<'_>) -> Result<(), Failure> {
        self.compile_copy(run.example)?;
        self.try_copy(run.example)?;
        match run.example.demo {
            Some(_) => Ok(()),
            None => self.judge_run(run).map(drop),
        }
    }

    /// Compiles the copy of an example alone, the first time.
    ///
    /// # Errors
    ///
    /// Why it does not compile.
    pub(crate) fn compile_copy(&self, example: &Example) -> Result<(), Failure> {
        let compiled = lock(&self.copies).entry(example.id()).or_default().clone();
        let failed =
            |problem| Failure::new(self.workspace.relative(&example.source), problem);
        let compiled = compiled.get_or_init(|| {
            let _core = self.core();
            let out = self.copy_of(example);
            let errors = self.compile_alone(Compiler::Rustc, example, &out);
            let errors = errors.map_err(|error| failed(format!("{error:#}")))?;
            match errors.first() {
                None => Ok(()),
                Some(error) => {
                    let problem = format!("its copy does not compile: {}", error.message);
                    Err(failed(problem).with(shown(&errors)))
                }
            }
        });
        compiled.clone()
    }

    /// Compiles an example with the crates that it uses.
    fn compile_alone(
        &self,
        compiler: Compiler,
        example: &Example,
        out: &Path,
    ) -> Result<Vec<Diagnostic>> {
        let section = self.workspace.section(&example.section)?;
        let source = fs::read_to_string(&example.source)?;
        let crates = dependencies::find(section, &source)?;
        let (source, crates) = (&example.source, crates.into_keys().collect());
        self.built
            .compile(compiler, section, source, Some(&crates), out)
    }

    /// Compiles the example as [an older project](OLDEST) does, and judges which Rust its
    /// header names under `Platforms:`.
    ///
    /// # Errors
    ///
    /// Why it does not compile, or which Rust it needs.
    pub(crate) fn judge_edition(&self, example: &Example) -> Result<(), Failure> {
        let _core = self.core();
        let failed =
            |problem| Failure::new(self.workspace.relative(&example.source), problem);
        let name = format!("{}-{}.rmeta", example.section, example.name);
        let out = self.workspace.target.join("editions").join(name);
        let errors = self.compile_alone(Compiler::Oldest, example, &out);
        let errors = errors.map_err(|error| failed(format!("{error:#}")))?;
        let is_newer = |error: &Diagnostic| {
            let code = error.code.as_ref();
            code.is_some_and(|it| it.code == "clippy::incompatible_msrv")
        };
        let (newer, errors): (Vec<_>, Vec<_>) = errors.into_iter().partition(is_newer);
        if let Some(error) = errors.first() {
            let edition = OLDEST.0;
            let problem = format!("not in edition {edition}: {}", error.message);
            return Err(failed(problem).with(shown(&errors)));
        }
        // "... is `1.85.0` but this item is stable since `1.88.0`"
        let since = newer.iter().map(|it| {
            let version = it.message.split('`').nth(3).unwrap_or(&it.message);
            Version::parse(version)
                .map_err(|_| failed(format!("clippy names no version: {}", it.message)))
        });
        let since: Vec<Version> = since.collect::<Result<_, _>>()?;
        let needed = since.into_iter().max();
        if own_rust(example) == needed {
            return Ok(());
        }
        let needed = needed.map(|it| format!("Rust {}.{}", it.major, it.minor));
        let needed = needed.unwrap_or_else(|| "no newer Rust".to_owned());
        let problem = format!("`Platforms:` has to say that it needs {needed}");
        Err(failed(problem).with(shown(&newer)))
    }

    /// Where the copy of an example is compiled to.
    pub(crate) fn copy_of(&self, example: &Example) -> PathBuf {
        let suffix = std::env::consts::EXE_SUFFIX;
        let name = format!("{}-{}{suffix}", example.section, example.name);
        self.workspace.target.join("copies").join(name)
    }

    /// Runs the `main` of the copy: `try: ARGS -> TEXT`.
    fn try_copy(&self, example: &Example) -> Result<(), Failure> {
        let failed = |problem: String| Failure::new(example.id(), problem);
        let cannot_run =
            |error: std::io::Error| failed(format!("its copy cannot be run: {error}"));
        let dir = self.workspace.target.join("tried").join(example.id());
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(cannot_run)?;
        }
        fs::create_dir_all(&dir).map_err(cannot_run)?;
        for (arguments, text) in &example.header.checks.tries {
            let mut command = limited(self.copy_of(example));
            command.args(arguments.split_whitespace()).current_dir(&dir);
            let finished =
                process::run(command, self.limit, || ()).map_err(cannot_run)?;
            let printed = finished.stdout() + &finished.stderr;
            // A `main` may return an error, but not panic or run for too long.
            let crash = finished
                .problem()
                .filter(|_| !matches!(&finished.status, Ok(it) if it.code() == Some(1)));
            let lack = format!("does not print `{text}`");
            let problem = crash.or_else(|| (!printed.contains(text)).then_some(lack));
            if let Some(problem) = problem {
                let problem = format!("`try: {arguments}`: {problem}");
                return Err(failed(problem).with(first_lines(&printed)));
            }
        }
        Ok(())
    }
}
