//! `cargo xtask check-all`.

use std::env;
use std::num::NonZero;
use std::time::Duration;
use std::{ptr, thread};

use anyhow::Result;
use catalog::check::{Checker, Job, Program, kinds};
use catalog::python::Python;
use catalog::report::{Outcome, Report};
use catalog::workspace::{Example, Workspace};
use catalog::{WrongCall, inventory};
use clap::{Parser, ValueEnum};

use xtask::copy;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// That the files belong together
    Files,
    /// Every example
    Run,
    /// Every example inside `tokio::spawn`
    Spawn,
    /// Every asyncio twin under CPython
    Python,
    /// Every example copied out: it compiles alone, without warnings
    Copies,
    /// Programs that must not compile
    CompileFail,
    /// Every example as the project that `copy` makes; takes minutes
    Projects,
    /// The lines of every example that spawns, 50 times: their order on several threads
    Order,
    /// Every asyncio twin, cancelled at some of its awaits
    Cancelled,
}

/// How often an order has to come for us to take it as given.
const ORDER_RUNS: usize = 50;

const QUICK: [Kind; 6] = [
    Kind::Files,
    Kind::Run,
    Kind::Spawn,
    Kind::Python,
    Kind::Copies,
    Kind::CompileFail,
];

/// Which programs are run, how, and how they are judged.
#[derive(Debug, Parser)]
pub struct Options {
    /// The example, with or without its section, or a part of SECTION/EXAMPLE; without
    /// it, every example.
    #[arg(default_value = "")]
    filter: String,
    /// Run every program on the real clock, many at once, and check nothing else: the
    /// copies that a reader pastes, or with --only spawn or python those programs.
    #[arg(long)]
    real_time: bool,
    /// Check everything, and run every example on the real clock as well.
    #[arg(long, conflicts_with_all = ["real_time", "only"])]
    both_clocks: bool,
    /// Check only this; may be given several times.
    #[arg(long, value_name = "KIND", value_enum)]
    only: Vec<Kind>,
    /// Run each program N times, to find the ones that fail now and then [default: 1, and
    /// 50 for the order].
    #[arg(long, value_name = "N")]
    #[arg(value_parser = at_least_one, allow_negative_numbers = true)]
    repeat: Option<NonZero<usize>>,
    /// Kill a program that runs for longer than this.
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    #[arg(value_parser = seconds, allow_negative_numbers = true)]
    limit: Duration,
}

/// Reads a number of seconds on the command line.
fn seconds(text: &str) -> Result<Duration, String> {
    let day = Duration::from_secs(24 * 3600);
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero() && *duration <= day)
        .ok_or_else(|| "a time is a number of seconds above 0 and up to 86400".to_owned())
}

fn at_least_one(text: &str) -> Result<NonZero<usize>, String> {
    text.parse()
        .map_err(|_| "it is a whole number, and at least 1".to_owned())
}

/// Checks what the options select. The last line is `N passed, N failed`.
///
/// # Errors
///
/// [`WrongCall`] when the options select nothing, or a Python is needed and there is none;
/// any other error when a section does not build, or when files or standard output cannot
/// be read or written.
pub fn check_all(workspace: &mut Workspace, options: &Options) -> Result<Outcome> {
    let only = |kind| options.only.contains(&kind);
    let does = |kind| match (options.only.is_empty(), options.real_time) {
        (false, _) => only(kind),
        (true, false) => QUICK.contains(&kind),
        (true, true) => kind == Kind::Run,
    };
    // Without a Python, a check of everything leaves the twins out and says so.
    let needs_python = does(Kind::Python) || does(Kind::Cancelled);
    let python = match needs_python.then(Python::find) {
        None => None,
        Some(Ok(python)) => Some(python),
        Some(Err(problem))
            if only(Kind::Python)
                || only(Kind::Cancelled)
                || env::var_os("REQUIRE_CPYTHON").is_some() =>
        {
            return Err(WrongCall(problem).into());
        }
        Some(Err(problem)) => {
            eprintln!("The twins are not run: {problem}");
            None
        }
    };
    let filter = &options.filter;
    let programs = [
        (Kind::Run, Program::Rust),
        (Kind::Spawn, Program::Spawned),
        (Kind::Python, Program::Twin),
    ];
    let programs = programs.into_iter().filter(|(kind, program)| {
        does(*kind) && (*program != Program::Twin || python.is_some())
    });
    let programs: Vec<Program> = programs.map(|(_, program)| program).collect();
    let needs_build = programs.iter().any(|program| *program != Program::Twin)
        || does(Kind::Copies)
        || does(Kind::Order)
        || does(Kind::CompileFail);
    if workspace.selected(filter)?.is_empty() {
        let left_out = left_out(workspace, filter)?;
        return Err(WrongCall(format!("`{filter}` is not checked{left_out}")).into());
    }
    if needs_build {
        workspace.build(filter)?;
    }
    let workspace = &*workspace;
    let examples = workspace.selected(filter)?;
    let jobs = |example| {
        let jobs = programs
            .iter()
            .filter(move |program| program.applies_to(example));
        let jobs = jobs.map(move |program| match program {
            Program::Rust => Job::of_main(example, options.real_time),
            program => Job::new(example, *program, options.real_time),
        });
        // One that needs the real clock runs on no other.
        let both = options.both_clocks && !example.header.checks.real_clock;
        jobs.chain(both.then(|| Job::of_main(example, true)))
    };
    let mut jobs: Vec<Job<'_>> = examples.iter().copied().flat_map(jobs).collect();
    if does(Kind::Cancelled) {
        jobs.extend(examples.iter().copied().flat_map(Job::of_cancelled));
    }
    let repeat = |default| options.repeat.map_or(default, NonZero::get);
    let mut jobs = jobs.repeat(repeat(1));
    if does(Kind::Order) {
        let order = examples.iter().copied().filter_map(Job::of_order);
        jobs.extend(order.collect::<Vec<_>>().repeat(repeat(ORDER_RUNS)));
    }
    if jobs.is_empty() && (does(Kind::Order) || !programs.is_empty()) {
        let lack = match programs.contains(&Program::Twin) {
            true => "has a twin",
            false if does(Kind::Order) => "spawns",
            false => "is `Send`",
        };
        return Err(
            WrongCall(format!("no example that matches `{filter}` {lack}")).into(),
        );
    }

    let checker = Checker::new(workspace, python.as_ref(), options.limit);
    let mut report = Report::default();
    if does(Kind::Files) {
        for failure in inventory::check(workspace, filter)? {
            report.count("", Err(failure))?;
        }
    }
    let is_run = |copy: &Example| {
        let mut jobs = jobs.iter().filter(|job| job.program == Program::Copy);
        jobs.any(|job| ptr::eq(job.example, copy))
    };
    let copies = examples.iter().copied();
    let copies = copies.filter(|it| does(Kind::Copies) || is_run(it));
    let copies: Vec<&Example> = copies.collect();
    let compiled = thread::scope(|scope| {
        // Meanwhile the environment for packages is made. If that fails, it fails again
        // where the reason is reported.
        scope.spawn(|| {
            let Some(python) = &python else { return };
            for job in jobs.iter().filter(|job| job.program == Program::Twin) {
                drop(python.interpreter_for(workspace, &job.example.twin));
            }
        });
        checker.compile_copies(&copies, &mut report)
    })?;
    if does(Kind::Copies) {
        checker.try_copies(&compiled, &mut report)?;
    }
    if does(Kind::CompileFail) {
        checker.compile_fail(&examples, &mut report)?;
    }
    if does(Kind::Projects) {
        copy::check_projects(workspace, &examples, &mut report)?;
    }
    // What does not compile was told.
    jobs.retain(|job| {
        job.program != Program::Copy
            || compiled.iter().any(|it| ptr::eq(*it, job.example))
    });
    let summary = checker.run_all(&jobs, &mut report)?;
    let left_out = left_out(workspace, filter)?;
    report.finish(&format!("{summary}\n{}{left_out}", kinds(&examples)))
}

/// Names the sections that match the filter and are not checked, as they are no default
/// members.
fn left_out(workspace: &Workspace, filter: &str) -> Result<String> {
    let selected = workspace.selected(filter)?;
    let matching = workspace.matching(filter)?;
    let sections = workspace.sections.iter().filter(|section| {
        let has = |found: &[&Example]| found.iter().any(|it| it.section == section.name);
        !section.is_default && has(&matching) && !has(&selected)
    });
    let sections: Vec<&str> = sections.map(|section| section.name.as_str()).collect();
    let say = |section: &&str| {
        format!("; {section} is no default member: `check-all {section}` checks it")
    };
    Ok(sections.iter().map(say).collect())
}
