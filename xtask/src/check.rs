//! `cargo xtask check-all`.

use std::collections::BTreeMap;
use std::env;
use std::hint::spin_loop;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use catalog::python::Python;
use catalog::report::{Failure, counted};
use catalog::workspace::{Example, Workspace};
use catalog::{WrongCall, inventory};
use checks::{
    Built, Check, Checker, LIMIT, Report, Way, at_once, cores, in_parallel, plan,
};
use clap::{Parser, ValueEnum};

use crate::platforms::record;
use crate::projects::check_projects;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// That the files belong together
    Files,
    /// Every example, as its section runs it
    Run,
    /// Every example inside `tokio::spawn`
    Spawn,
    /// Every asyncio twin under CPython
    Twin,
    /// Every example copied out: it compiles alone, without warnings, and runs
    Copy,
    /// Programs that must not compile
    CompileFail,
    /// Every example as the project that `copy` makes; takes minutes
    Projects,
    /// Every example in edition 2021, and with what an older Rust has; takes a minute
    Editions,
    /// The lines of every example that spawns, 50 times: their order on several threads
    Order,
}

/// How often an order has to come for us to take it as given.
const ORDER_RUNS: usize = 50;

/// How many programs print their lines at the same time on each core, for their order.
const CROWD: usize = 24;

/// Which programs are run, and how they are judged.
#[derive(Debug, Parser)]
pub struct Options {
    /// The example, with or without its section, or a part of SECTION/EXAMPLE; without
    /// it, every example.
    #[arg(default_value = "")]
    filter: String,
    /// Check only this; may be given several times.
    #[arg(long, value_name = "KIND", value_enum)]
    only: Vec<Kind>,
    /// Run examples and twins on the real clock, even where the virtual one would do.
    #[arg(long)]
    real_time: bool,
    /// Judge instead whether every `main` is in time: the best of five runs. Only an idle
    /// machine can tell.
    #[arg(long, conflicts_with_all = ["only", "real_time"])]
    timing: bool,
    /// Check everything N times, to find what fails now and then [default: 1, and 50 for
    /// the order].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    repeat: Option<NonZero<usize>>,
    /// Let N threads compute meanwhile. A new example passes `--busy 8 --repeat 10`.
    #[arg(long, value_name = "N", default_value = "0")]
    busy: usize,
    /// Write to docs/platforms.tsv on which system the examples printed their goldens, or, where
    /// they were not run, that they compile for it. Name it in CARGO_BUILD_TARGET.
    #[arg(long, conflicts_with = "timing")]
    record: bool,
    /// Kill a program that runs for longer than this.
    #[arg(long, value_name = "SECONDS", default_value_t = LIMIT.as_secs())]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    #[arg(allow_negative_numbers = true)]
    limit: u64,
}

impl Options {
    fn does(&self, kind: Kind) -> bool {
        match self.only.is_empty() {
            true => !matches!(kind, Kind::Projects | Kind::Editions | Kind::Order),
            false => self.only.contains(&kind),
        }
    }

    /// The CPython that judges twins. Without one, a check of everything leaves the twins
    /// out and says so.
    fn python(&self) -> Result<Option<Python>> {
        if self.timing || !self.does(Kind::Twin) {
            return Ok(None);
        }
        match Python::find() {
            Ok(python) => Ok(Some(python)),
            Err(problem)
                if !self.only.is_empty() || env::var_os("REQUIRE_CPYTHON").is_some() =>
            {
                Err(WrongCall(problem).into())
            }
            Err(problem) => {
                eprintln!("The twins are not run: {problem}");
                Ok(None)
            }
        }
    }

    /// Whether more is judged than twins and files.
    fn needs_a_build(&self, checks: &[Check<'_>]) -> bool {
        let is_twin =
            |check: &Check<'_>| matches!(check, Check::Example { way: Way::Twin, .. });
        let needs = [Kind::Order, Kind::Editions];
        self.timing
            || needs.iter().any(|it| self.does(*it))
            || !checks.iter().all(is_twin)
    }

    /// What is judged once, in the ways that were asked for.
    fn checks<'a>(
        &self,
        workspace: &'a Workspace,
        examples: &[&'a Example],
        python: Option<&Python>,
    ) -> Result<Vec<Check<'a>>> {
        let mut checks = plan::all(workspace, examples)?;
        checks.retain(|check| {
            self.does(match check {
                Check::CompileFail(..) => Kind::CompileFail,
                Check::Example { example, way, .. } => match way {
                    Way::Run => Kind::Run,
                    Way::Spawn => Kind::Spawn,
                    Way::Twin if !runs(python, example) => return false,
                    Way::Twin => Kind::Twin,
                    Way::Copy => Kind::Copy,
                },
            })
        });
        for check in &mut checks {
            if let Check::Example { real, .. } = check {
                *real |= self.real_time;
            }
        }
        Ok(checks)
    }
}

/// Checks what the options select. The last line is `N passed, N failed`.
///
/// # Errors
///
/// [`WrongCall`] when the options select nothing, or a Python is needed and there is none;
/// any other error when a section does not build, or when files or standard output cannot
/// be read or written.
pub fn check_all(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let filter = &options.filter;
    let examples = workspace.selected(filter)?;
    if examples.is_empty() {
        let left_out = left_out(workspace, filter)?;
        return Err(WrongCall(format!("`{filter}` is not checked{left_out}")).into());
    }
    let python = options.python()?;
    let mut checks = options.checks(workspace, &examples, python.as_ref())?;
    let others = [Kind::Files, Kind::Projects, Kind::Editions, Kind::Order];
    if checks.is_empty() && !options.timing && !others.iter().any(|it| options.does(*it))
    {
        let problem = format!("no example that matches `{filter}` can be checked so");
        return Err(WrongCall(problem).into());
    }
    plan::in_good_order(&mut checks);
    let built = match options.needs_a_build(&checks) {
        true => Built::new(workspace, filter)?,
        false => Built::default(),
    };
    let limit = Duration::from_secs(options.limit);
    let checker = Checker::new(workspace, &built, python.as_ref(), limit);
    let (mut report, mut printed) = (Report::default(), BTreeMap::new());
    let started = Instant::now();
    let busy = Busy::new(options.busy);
    if options.timing {
        let judge = |example: &Example| checker.judge_timing(example);
        each(at_once(), &examples, judge, &mut report)?;
    } else {
        if options.does(Kind::Files) {
            files(workspace, filter, &mut report)?;
        }
        checker.prepare(checks.iter())?;
        for _ in 0..options.repeat.map_or(1, NonZero::get) {
            let judge = |check: &Check<'_>| checker.judge(check);
            in_parallel(at_once(), &checks, judge, |check, result| {
                if let Check::Example {
                    example,
                    way: Way::Run,
                    ..
                } = check
                {
                    *printed.entry(example.id()).or_insert(true) &= result.is_ok();
                }
                report.count(&check.to_string(), result)
            })?;
        }
        if options.record {
            record(workspace, &examples, &printed)?;
        }
        if options.does(Kind::Order) {
            let runs = options.repeat.map_or(ORDER_RUNS, NonZero::get);
            order(&checker, &examples, runs, &mut report)?;
        }
        if options.does(Kind::Editions) {
            let mut pasted = examples.clone();
            pasted.retain(|example| Way::Copy.applies_to(example));
            let judge = |example: &Example| checker.judge_edition(example);
            each(cores(), &pasted, judge, &mut report)?;
        }
        if options.does(Kind::Projects) {
            check_projects(workspace, &examples, &mut report)?;
        }
    }
    drop(busy);
    let (kinds, left_out) = (kinds(&examples), left_out(workspace, filter)?);
    let took = started.elapsed().as_secs_f64();
    report.finish(&format!("{kinds}, in {took:.1} s{left_out}"))
}

/// Checks that the files belong together.
fn files(workspace: &Workspace, filter: &str, report: &mut Report) -> Result<()> {
    let problems = inventory::check(workspace, filter)?;
    if problems.is_empty() {
        report.count("files", Ok(()))?;
    }
    for failure in problems {
        report.count("", Err(failure))?;
    }
    Ok(())
}

/// Judges each example in one way, so many at the same time.
fn each(
    workers: usize,
    examples: &[&Example],
    judge: impl Fn(&Example) -> Result<(), Failure> + Sync,
    report: &mut Report,
) -> Result<()> {
    let judge = |example: &&Example| judge(example);
    in_parallel(workers, examples, judge, |example, result| {
        report.count(&example.id(), result)
    })
}

/// Runs each example that spawns several times beside others, and tells each open order once.
fn order(
    checker: &Checker<'_>,
    examples: &[&Example],
    runs: usize,
    report: &mut Report,
) -> Result<()> {
    let mut spawning = Vec::new();
    for &example in examples {
        let texts = example.sources().map(|path| catalog::files::read(path));
        let texts: Vec<String> = texts.collect::<Result<_>>()?;
        if texts.iter().any(|text| text.contains("spawn")) {
            spawning.push(example);
        }
    }
    if spawning.is_empty() {
        return Err(WrongCall("none of these examples spawns".to_owned()).into());
    }
    let mut jobs = Vec::new();
    let compile = |example: &&Example| match example.demo {
        Some(_) => Ok(()),
        None => checker.compile_copy(example),
    };
    in_parallel(
        cores(),
        &spawning,
        compile,
        |&example, result| match result {
            Ok(()) => {
                jobs.extend(std::iter::repeat_n(example, runs));
                Ok(())
            }
            Err(failure) => report.count(&example.id(), Err(failure)),
        },
    )?;
    let mut told: Vec<Failure> = Vec::new();
    let judge = |example: &&Example| checker.judge_order(example);
    in_parallel(
        CROWD * cores(),
        &jobs,
        judge,
        |example, result| match result {
            Err(failure) if told.iter().any(|it| it.subject == failure.subject) => Ok(()),
            result => {
                told.extend(result.clone().err());
                report.count(&example.id(), result)
            }
        },
    )
}

/// Threads that compute until this is dropped.
struct Busy(&'static AtomicBool);

impl Busy {
    fn new(threads: usize) -> Self {
        static STOP: AtomicBool = AtomicBool::new(false);
        for _ in 0..threads {
            thread::spawn(|| {
                while !STOP.load(Ordering::Relaxed) {
                    spin_loop();
                }
            });
        }
        Self(&STOP)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether there is a Python that is new enough for the twin. If it is too old, says so.
fn runs(python: Option<&Python>, example: &Example) -> bool {
    let is_enough = |python: &Python| {
        let is_enough = python.is_new_enough_for(example);
        if !is_enough {
            let id = example.id();
            eprintln!("The twin of {id} is not run: it needs a newer one than {python}");
        }
        is_enough
    };
    python.is_some_and(is_enough)
}

/// Says how many examples agree with their twins, and how many do not, or have none.
fn kinds(examples: &[&Example]) -> String {
    let count = |is: fn(&&&Example) -> bool| examples.iter().filter(is).count();
    let alone = count(|example| !example.has_twin());
    let differ = count(|example| example.header.differs.is_some());
    let agree = examples.len() - alone - differ;
    let all = counted(examples.len(), "example");
    let mut text =
        format!("{all}: {agree} agree with their twins, {differ} differ on purpose");
    if alone > 0 {
        text.push_str(&format!(", {alone} have no twin"));
    }
    text
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
