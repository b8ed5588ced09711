//! The copies: each example compiled and run alone, as its reader does.

use std::fs;
use std::path::PathBuf;

use catalog::dependencies;
use catalog::report::Failure;
use catalog::transcript::first_lines;
use catalog::workspace::Example;

use crate::built::shown;
use crate::checker::{Checker, Program, Run, lock};
use crate::process::{self, limited};

impl Checker<'_> {
    /// Compiles the copy of an example alone, runs it as its last lines say, and, where the
    /// demonstration is in it, as a reader does.
    pub(crate) fn copy(&self, example: &Example) -> Result<(), Failure> {
        self.compile_copy(example)?;
        self.try_copy(example)?;
        if example.demo.is_some() {
            return Ok(());
        }
        let (program, real) = (Program::Copy, true);
        self.judge_run(Run {
            example,
            program,
            real,
        })
    }

    /// Compiles the copy of an example alone, the first time.
    ///
    /// # Errors
    ///
    /// Why it does not compile.
    pub fn compile_copy(&self, example: &Example) -> Result<(), Failure> {
        let compiled = lock(&self.copies).entry(example.id()).or_default().clone();
        let failed =
            |problem| Failure::new(self.workspace.relative(&example.source), problem);
        let compile = || {
            let section = self.workspace.section(&example.section)?;
            let source = fs::read_to_string(&example.source)?;
            let uses = dependencies::find(section, &source)?;
            let crates = uses.into_keys().collect();
            let (source, program) = (&example.source, self.copy_of(example));
            self.built
                .compile("rustc", section, source, Some(&crates), &program)
        };
        let compiled = compiled.get_or_init(|| {
            let _core = self.core();
            let errors = compile().map_err(|error| failed(format!("{error:#}")))?;
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
