//! `cargo xtask check-all`.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::spin_loop;
use std::iter::repeat_n;
use std::num::NonZero;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use catalog::python::Python;
use catalog::report::counted;
use catalog::workspace::{Example, Section, Workspace};
use catalog::{WrongCall, inventory};
use checks::{
    Built, Check, Checker, LIMIT, Report, Way, at_once, cores, in_parallel, plan,
};
use clap::Parser;

use crate::platforms::record;
use crate::projects::check_projects;

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
    only: Vec<Way>,
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
    /// Let N threads compute at the same time. A new example passes `--busy 8 --repeat 10`.
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
    fn does(&self, way: Way) -> bool {
        match (self.timing, self.only.is_empty()) {
            (true, _) => way == Way::Timing,
            (false, true) => way == Way::Files || Way::QUICK.contains(&way),
            (false, false) => self.only.contains(&way),
        }
    }

    /// What is judged, in the ways that were asked for.
    fn checks<'a>(
        &self,
        workspace: &'a Workspace,
        examples: &[&'a Example],
        python: Option<&Python>,
    ) -> Result<Vec<Check<'a>>> {
        let mut checks = plan::all(workspace, examples, |way| self.does(way))?;
        checks.retain(|check| {
            let can_run = check.can_run(python);
            if let Some(python) = python
                && !can_run
            {
                eprintln!("{check} is not run: it needs a newer one than {python}");
            }
            can_run
        });
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
        match (check.way(), round) {
            (Way::Order, 0) => self.repeat.map_or(ORDER_RUNS, NonZero::get),
            (Way::Order, _) => 0,
            _ => 1,
        }
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
        let left_out = left_out(workspace, &[]);
        return Err(WrongCall(format!("`{filter}` is not checked{left_out}")).into());
    }
    let python = match options.does(Way::Twin) {
        true => Python::if_there(!options.only.is_empty()).map_err(WrongCall)?,
        false => None,
    };
    let checks = options.checks(workspace, &examples, python.as_ref())?;
    if checks.is_empty() && !options.does(Way::Files) && !options.does(Way::Projects) {
        let problem = format!("no example that matches `{filter}` can be checked so");
        return Err(WrongCall(problem).into());
    }
    let built = match checks.iter().all(|check| check.way() == Way::Twin) {
        true => Built::default(),
        false => Built::new(workspace, filter)?,
    };
    let limit = Duration::from_secs(options.limit);
    let checker = Checker::new(workspace, &built, python.as_ref(), limit);
    let mut report = Report::default();
    let started = Instant::now();
    for _ in 0..options.busy {
        thread::spawn(|| {
            loop {
                spin_loop();
            }
        });
    }
    if options.does(Way::Files) {
        files(workspace, filter, &mut report)?;
    }
    let printed = judge_all(options, &checker, &checks, &mut report)?;
    if options.record {
        record(workspace, &examples, &printed)?;
    }
    if options.does(Way::Projects) {
        check_projects(workspace, &examples, &mut report)?;
    }
    let left_out = match filter.as_str() {
        "" => left_out(workspace, &examples),
        _ => String::new(),
    };
    let (agree, took) = (agree(&examples), started.elapsed().as_secs_f64());
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
    let workers = match options.does(Way::Order) {
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
            let is_open = check.way() == Way::Order && result.is_err();
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

/// Names the sections that are no default members, and of which nothing is checked.
fn left_out(workspace: &Workspace, examples: &[&Example]) -> String {
    let sections = workspace.sections.iter().filter(|section| {
        !section.is_default && examples.iter().all(|it| it.section != section.name)
    });
    let say = |Section { name, .. }: &Section| {
        format!("; {name} is no default member: `check-all {name}` checks it")
    };
    sections.map(say).collect()
}
