//! Every program of the workspace in every way in which it is used, each once: copied out
//! it compiles alone, without warnings, and prints its transcript on the real clock; in its
//! section on the virtual clock, also inside `tokio::spawn`; its twin under CPython. And
//! the programs that must not compile.
//!
//! `cargo test -p tests --test examples NAME` selects examples.

use std::process::ExitCode;

use anyhow::Result;
use catalog::check::{Checker, Job, Program, Settings, kinds};
use catalog::report::{Outcome, Report};
use catalog::workspace::{Example, Workspace};
use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if arguments.list {
        return ExitCode::SUCCESS;
    }
    match check(&arguments.filter.unwrap_or_default()) {
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        // What the machine was too busy to judge has been told, and is no failure.
        Ok(Outcome::Passed | Outcome::NotJudged) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check(filter: &str) -> Result<Outcome> {
    let mut workspace = Workspace::open()?;
    let mut report = Report::default();
    if workspace.matching(filter).is_err() {
        return report.finish(&format!("no example matches `{filter}`"));
    }
    let python = tests::find_python();
    if let Err(problem) = &python {
        println!("The twins are left out: {problem}");
    }
    workspace.build("")?;
    let examples = workspace.matching(filter)?;
    let settings = Settings::default();
    let checker = Checker::new(&workspace, python.as_ref().ok(), &settings);
    checker.check_files(filter, &mut report)?;
    let compiled = checker.compile_copies(&examples, &mut report)?;
    let compiles = |example: &Example| compiled.contains(&example.id());
    let (copies, rest): (Vec<_>, Vec<_>) = examples.iter().partition(|it| compiles(it));
    checker.try_copies(&copies, &mut report)?;
    checker.compile_fail(&examples, &mut report)?;
    let mut jobs = Vec::new();
    for example in &examples {
        let mut add = |program| {
            if program != Program::Twin || python.is_ok() {
                jobs.push(Job::new(example, program, false));
            }
        };
        [Program::Spawned, Program::Twin]
            .into_iter()
            .filter(|program| program.applies_to(example))
            .for_each(&mut add);
        // An example that needs the real clock runs on no other.
        if !example.header.real_clock {
            add(Program::Rust);
        }
    }
    let on_the_real_clock = copies.iter().map(|example| Job::of_main(example, true));
    jobs.extend(on_the_real_clock);
    if !rest.is_empty() {
        println!("{} copies do not run, as they do not compile", rest.len());
    }
    let summary = checker.run_all(&jobs, &mut report)?;
    report.finish(&format!("{summary}\n{}", kinds(&examples)))
}
