//! `cargo xtask check-all`.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::hint::spin_loop;
use std::iter::repeat_n;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use catalog::python::Python;
use catalog::report::counted;
use catalog::workspace::{Example, Workspace};
use catalog::{WrongCall, inventory};
use checks::{
    Built, Check, Checker, LIMIT, Report, Run, Way, at_once, cores, in_parallel, plan,
};
use clap::Parser;
use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::platforms::record;
use crate::projects::check_projects;

/// What can be checked alone.
const KINDS: [(&str, &str); 9] = [
    ("files", "That the files belong together"),
    ("run", "Every example, as its section runs it"),
    ("spawn", "Every example inside `tokio::spawn`"),
    ("twin", "Every asyncio twin under CPython"),
    (
        "copy",
        "Every example copied out: it compiles alone, without warnings, and runs",
    ),
    ("compile-fail", "Programs that must not compile"),
    (
        "projects",
        "Every example as the project that `copy` makes; takes minutes",
    ),
    (
        "editions",
        "Every example in edition 2021, and with what an older Rust has; takes a minute",
    ),
    (
        "order",
        "The lines of every example that spawns, 50 times: their order on several threads",
    ),
];

fn kinds() -> PossibleValuesParser {
    let kind = |(name, help)| PossibleValue::new(name).help(help);
    PossibleValuesParser::new(KINDS.map(kind))
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
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    only: Vec<String>,
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
    fn does(&self, kind: &str) -> bool {
        match (self.timing, self.only.is_empty()) {
            (true, _) => kind == "timing",
            (false, true) => kind == "files" || plan::QUICK.contains(&kind),
            (false, false) => self.only.iter().any(|it| it == kind),
        }
    }

    /// The CPython that judges twins. Without one, a check of everything leaves the twins
    /// out and says so.
    fn python(&self) -> Result<Option<Python>> {
        if !self.does("twin") {
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

    /// What is judged, in the ways that were asked for.
    fn checks<'a>(
        &self,
        workspace: &'a Workspace,
        examples: &[&'a Example],
        python: Option<&Python>,
    ) -> Result<Vec<Check<'a>>> {
        let mut checks = plan::all(workspace, examples, |kind| self.does(kind))?;
        checks.retain(|check| runs(python, check));
        for check in &mut checks {
            if let Check::Example(run) = check {
                run.real |= self.real_time;
            }
        }
        plan::in_good_order(&mut checks);
        Ok(checks)
    }

    /// How often it is judged in this round.
    fn times(&self, check: &Check<'_>, round: usize) -> usize {
        match (way(check), round) {
            (Some(Way::Order), 0) => self.repeat.map_or(ORDER_RUNS, NonZero::get),
            (Some(Way::Order), _) => 0,
            _ => 1,
        }
    }
}

fn way(check: &Check<'_>) -> Option<Way> {
    match check {
        Check::Example(run) => Some(run.way),
        Check::CompileFail(..) => None,
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
    let checks = options.checks(workspace, &examples, python.as_ref())?;
    if checks.is_empty() && !options.does("files") && !options.does("projects") {
        let problem = format!("no example that matches `{filter}` can be checked so");
        return Err(WrongCall(problem).into());
    }
    let built = match checks.iter().all(|check| way(check) == Some(Way::Twin)) {
        true => Built::default(),
        false => Built::new(workspace, filter)?,
    };
    let limit = Duration::from_secs(options.limit);
    let checker = Checker::new(workspace, &built, python.as_ref(), limit);
    let mut report = Report::default();
    let started = Instant::now();
    let busy = Busy::new(options.busy);
    if options.does("files") {
        files(workspace, filter, &mut report)?;
    }
    let printed = judge_all(options, &checker, &checks, &mut report)?;
    if options.record {
        record(workspace, &examples, &printed)?;
    }
    if options.does("projects") {
        check_projects(workspace, &examples, &mut report)?;
    }
    drop(busy);
    let (agree, left_out) = (agree(&examples), left_out(workspace, filter)?);
    let took = started.elapsed().as_secs_f64();
    report.finish(&format!("{agree}, in {took:.1} s{left_out}"))
}

/// Judges each check as often as the options say. Returns which examples printed their goldens.
fn judge_all(
    options: &Options,
    checker: &Checker<'_>,
    checks: &[Check<'_>],
    report: &mut Report,
) -> Result<BTreeMap<String, bool>> {
    checker.prepare(checks.iter())?;
    let workers = match options.does("order") {
        true => CROWD * cores(),
        false => at_once(),
    };
    let (mut printed, mut told) = (BTreeMap::new(), BTreeSet::new());
    let judge = |check: &&Check<'_>| checker.judge(check);
    for round in 0..options.repeat.map_or(1, NonZero::get) {
        let times = |it| repeat_n(it, options.times(it, round));
        let jobs: Vec<&Check<'_>> = checks.iter().flat_map(times).collect();
        in_parallel(workers, &jobs, judge, |check, result| {
            let name = check.to_string();
            let is_open = way(check) == Some(Way::Order) && result.is_err();
            if is_open && !told.insert(name.clone()) {
                // Each open order is told once.
                return Ok(());
            }
            if let Check::Example(run) = check
                && run.way == Way::Run
            {
                *printed.entry(run.example.id()).or_insert(true) &= result.is_ok();
            }
            report.count(&name, result)
        })?;
    }
    Ok(printed)
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

/// Whether the check is of no twin, or there is a Python that is new enough for it. If it is too
/// old, says so.
fn runs(python: Option<&Python>, check: &Check<'_>) -> bool {
    let Check::Example(Run {
        example,
        way: Way::Twin,
        ..
    }) = check
    else {
        return true;
    };
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
fn agree(examples: &[&Example]) -> String {
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
