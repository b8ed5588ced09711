//! `cargo xtask check-all`, `check-python` and `test-spawn`: every program against its
//! golden.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use clap::Parser;
use futures::{StreamExt, stream};
use tokio::process::Command;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::RwLock;

use crate::python::{Python, twin_runner};
use crate::report::{Failure, Report, counted};
use crate::transcript::{Mismatch, Recording, first_lines};
use crate::workspace::{Example, Workspace, read_golden};
use crate::{fails, inventory, process};

/// Which of an example's programs is run, and how.
#[derive(Debug, Clone, Copy)]
pub enum Program<'a> {
    /// The Rust one.
    Rust,
    /// The Rust one, inside `tokio::spawn`.
    Spawned,
    /// The asyncio twin, under this interpreter.
    Twin(&'a Python),
}

impl Program<'_> {
    /// Whether the example has such a program: one that can be spawned, or a twin. That
    /// the twin's file is missing is another matter, and an error.
    pub fn applies_to(self, example: &Example) -> bool {
        match self {
            Self::Rust => true,
            Self::Spawned => example.header.not_send.is_none(),
            Self::Twin(_) => example.has_twin(),
        }
    }

    fn is_rust(self) -> bool {
        !matches!(self, Self::Twin(_))
    }

    fn golden(self, example: &Example) -> &Path {
        match self {
            Self::Rust | Self::Spawned => &example.golden,
            Self::Twin(_) => &example.twin_golden,
        }
    }
}

/// How the programs are run and judged; also the options of the commands that do so.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// The example, with or without its section, or a part of SECTION/EXAMPLE; without
    /// it, every example.
    #[arg(default_value = "")]
    pub filter: String,
    /// Run every program on the real clock, many at once.
    #[arg(long)]
    pub real_time: bool,
    /// How late a line may be on the real clock.
    // By default, far less than any example waits or blocks.
    #[arg(long, value_name = "SECONDS", default_value = "0.05")]
    #[arg(requires = "real_time", value_parser = seconds, allow_negative_numbers = true)]
    pub slack: Duration,
    /// How many programs run at once [default: the number of cores, and 16 times as many
    /// on the real clock].
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub jobs: Option<NonZero<usize>>,
    /// Run each example N times, to find the ones that fail now and then.
    #[arg(long, value_name = "N", default_value = "1")]
    #[arg(value_parser = at_least_one, allow_negative_numbers = true)]
    pub repeat: NonZero<usize>,
    /// Kill a program that runs for longer than this.
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    #[arg(value_parser = seconds, allow_negative_numbers = true)]
    pub limit: Duration,
}

/// More wall time than a run on the virtual clock takes that does not block.
const BLOCKING: Duration = Duration::from_millis(100);

/// How often a program that was late is run again by itself.
const RERUNS: usize = 2;

impl Options {
    /// Those of a command without any, on this clock.
    pub fn new(real_time: bool) -> Self {
        Self {
            real_time,
            ..Self::parse_from([""])
        }
    }

    /// Whether this example runs on the real clock here.
    pub fn is_real(&self, example: &Example) -> bool {
        self.real_time || example.header.real_clock
    }
}

/// A number of seconds on the command line, or what is wrong with it.
pub fn seconds(text: &str) -> Result<Duration, String> {
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

/// A program that was as it should be.
#[derive(Debug, Clone, Copy)]
pub struct Passed {
    /// How long it took on its clock.
    pub elapsed: Duration,
    /// How often it was run again because it had been late.
    pub reruns: usize,
}

/// Held for reading by whatever runs among others, for writing by what runs alone.
static ALONE: RwLock<()> = RwLock::const_new(());

/// Runs a program, compares what it printed with its golden, and runs it again by itself
/// if it was only late.
pub async fn check(
    workspace: &Workspace,
    example: &Example,
    program: Program<'_>,
    options: &Options,
) -> Result<Passed, Failure> {
    let first = {
        let _among_others = ALONE.read().await;
        check_once(workspace, example, program, options).await
    };
    if !is_late(&first) {
        return first;
    }
    let _alone = ALONE.write().await;
    check_again(workspace, example, program, options).await
}

fn is_late(result: &Result<Passed, Failure>) -> bool {
    result.as_ref().is_err_and(|failure| failure.late)
}

/// For one that was late when it ran among others, while nothing else runs.
async fn check_again(
    workspace: &Workspace,
    example: &Example,
    program: Program<'_>,
    options: &Options,
) -> Result<Passed, Failure> {
    let mut reruns = 0;
    loop {
        reruns += 1;
        let result = check_once(workspace, example, program, options).await;
        if reruns == RERUNS || !is_late(&result) {
            return result.map(|passed| Passed { reruns, ..passed });
        }
    }
}

async fn check_once(
    workspace: &Workspace,
    example: &Example,
    program: Program<'_>,
    options: &Options,
) -> Result<Passed, Failure> {
    let path = program.golden(example);
    let bless = format!("cargo xtask bless {}", example.id());
    let golden = read_golden(path).map_err(|problem| {
        let root = format!("{}/", workspace.root.display());
        let problem = problem.replace(&root, "");
        Failure::new(example.id(), problem).then("bless it", &bless)
    })?;
    let (recording, typed) = run(workspace, example, program, options).await?;
    let failed = |problem: String| {
        Failure::new(example.id(), problem).then("run it again", &typed)
    };
    let compared = match options.is_real(example) {
        true => golden.match_loosely(&recording.transcript, options.slack),
        false => golden.match_exactly(&recording.transcript),
    };
    if let Err(Mismatch { late, diff }) = compared {
        let golden = workspace.relative(path);
        let failure = Failure {
            late,
            details: diff,
            ..failed(format!("what it printed differs from {golden}"))
        };
        // The golden is CPython's wherever the twin has it too.
        let of_twin = example.has_twin() && example.header.differs.is_none();
        if !program.is_rust() || !of_twin {
            return Err(failure.then("bless it", &bless));
        }
        let twin = workspace.relative(&example.twin);
        let mend = format!(
            "the golden is CPython's: mend the Rust program, or change {twin} and then {bless}"
        );
        return Err(failure.then("mend it", &mend));
    }
    let wall = recording.wall.unwrap_or_default();
    if program.is_rust() && !options.is_real(example) && wall > BLOCKING {
        let wall = wall.as_secs_f64();
        let problem = format!(
            "it blocks: a run on the virtual clock took {wall:.3} s of wall time"
        );
        let mend = "do not block; an example about blocking says `clock: real`";
        return Err(Failure {
            late: true,
            ..failed(problem).then("mend it", mend)
        });
    }
    Ok(Passed {
        elapsed: Duration::from_millis(recording.transcript.end),
        reruns: 0,
    })
}

/// Runs the program once and returns what it printed, and the command line that a user
/// types for it.
///
/// # Errors
///
/// A failure for the user when the program did not come to the end that it is meant to.
pub async fn run(
    workspace: &Workspace,
    example: &Example,
    program: Program<'_>,
    options: &Options,
) -> Result<(Recording, String), Failure> {
    let failed = |problem: String| Failure::new(example.id(), problem);
    if let Some(path) = example.unwritten() {
        let path = workspace.relative(path);
        return Err(failed(format!(
            "{path} says TODO: write what stands there for it"
        )));
    }
    let cannot_run = |error: Error| failed(format!("it cannot be run: {error:#}"));
    let real = options.is_real(example);
    let (command, typed) =
        command(workspace, example, program, real).map_err(cannot_run)?;
    let finished = process::run(command, options.limit)
        .await
        .map_err(|error| cannot_run(error.into()))?;
    let recording = Recording::parse(&finished.stdout);
    let code = finished.status.as_ref().map(|status| status.code());
    let problem = match &example.header.exit {
        None => finished.problem(),
        Some(text) if code == Ok(Some(1)) => (!finished.stderr.contains(text))
            .then(|| format!("its error does not contain `{text}`")),
        Some(_) => finished
            .problem()
            .or_else(|| Some("it ended well, but its header says `exit: 1`".to_owned())),
    };
    let problem = problem.or_else(|| match recording.wall {
        None => Some("it exited early, before its `main` had come to its end".to_owned()),
        Some(_) => unexpected(example, program, &finished.stderr),
    });
    match problem {
        None => Ok((recording, typed)),
        Some(problem) => Err(Failure {
            details: first_lines(&finished.stderr),
            ..failed(problem).then("run it again", &typed)
        }),
    }
}

/// What is wrong with what the program wrote to standard error.
fn unexpected(example: &Example, program: Program<'_>, stderr: &str) -> Option<String> {
    let (texts, is_rust) = (&example.header.stderr, program.is_rust());
    // What the header announces with `exit:` ends the output.
    let error = match is_rust {
        true => format!("error: {}: ", example.name),
        false => "Traceback ".to_owned(),
    };
    let before = match stderr.find(&error) {
        Some(at) if example.header.exit.is_some() => &stderr[..at],
        _ => stderr,
    };
    let missing = texts.iter().find(|text| !before.contains(*text));
    if let Some(text) = missing.filter(|_| is_rust) {
        return Some(format!("`stderr: {text}` is not on standard error"));
    }
    let is_known = |line: &str| {
        let of_any_panic = line.starts_with("thread '") && line.contains(" panicked at ")
            || line.starts_with("note: run with `RUST_BACKTRACE=1`");
        let is_announced = |text: &String| {
            // Of a traceback, only the end can be announced.
            of_any_panic || line.contains(text) || !is_rust && before.contains(text)
        };
        line.is_empty() || texts.iter().any(is_announced)
    };
    let line = before.lines().find(|line| !is_known(line))?;
    Some(format!(
        "it wrote to standard error, of which its header says nothing: `{line}`"
    ))
}

/// The program's command, and the command line that a user types for it.
fn command(
    workspace: &Workspace,
    example: &Example,
    program: Program<'_>,
    real: bool,
) -> Result<(Command, String)> {
    let (section, name) = (&example.section, &example.name);
    let Program::Twin(python) = program else {
        let clock = if real { "" } else { "--virtual-time " };
        let spawned = matches!(program, Program::Spawned);
        let spawn = if spawned { "--spawn " } else { "" };
        let binary = workspace.binary(section).context("it was not built")?;
        let mut command = process::limited(binary);
        let options = format!("{clock}{spawn}{name}");
        command.arg("--tsv").args(options.split(' '));
        return Ok((command, format!("cargo run -p {section} -- {options}")));
    };
    let interpreter = python.interpreter_for(workspace, &example.twin)?;
    let (runner, twin) = (twin_runner(workspace), &example.twin);
    let clock = if real { " --real-time" } else { "" };
    let mut command = process::limited(&interpreter);
    command.args(["-I", "-X", "utf8"]).arg(&runner).arg("--tsv");
    command.args(clock.split_whitespace()).arg(twin);
    let interpreter = interpreter.display();
    let (runner, twin) = (workspace.relative(&runner), workspace.relative(twin));
    Ok((command, format!("{interpreter} {runner}{clock} {twin}")))
}

/// Runs every program that the filter selects, compares each with its golden, and
/// returns whether all is well. When Rust programs are called, the inventory and the
/// programs that must not compile are part of it.
///
/// # Errors
///
/// [`WrongCall`](crate::WrongCall) when the filter selects nothing; any other error when
/// a section does not build, or when files or standard output cannot be read or written.
pub fn check_all(
    workspace: &mut Workspace,
    program: Program<'_>,
    options: &Options,
) -> Result<bool> {
    let filter = &options.filter;
    if program.is_rust() {
        workspace.build(filter)?;
    }
    let workspace = &*workspace;
    let mut examples = workspace.matching(filter)?;
    let (mut wrong, mut fails) = (Vec::new(), Vec::new());
    if let Program::Rust = program {
        wrong = inventory::check(workspace, filter)?;
        fails = fails::check(workspace, &examples)?;
    }
    examples.retain(|example| program.applies_to(example));
    if examples.is_empty() {
        let lack = if program.is_rust() {
            "is `Send`"
        } else {
            "has a twin"
        };
        refuse!("no example that matches `{filter}` {lack}");
    }
    if let Program::Twin(python) = program {
        // The environment for packages is made now, as making it takes longer than any
        // program may. If that fails, it fails again where the reason is reported.
        for example in &examples {
            let _ = python.interpreter_for(workspace, &example.twin);
        }
    }
    let count = options.repeat.get() * examples.len();
    let mut report = Report::new(wrong.len() + fails.len() + count);
    for failure in wrong {
        report.count("", Err(failure))?;
    }
    for (path, result) in fails {
        report.count(&path, result)?;
    }

    let started = Instant::now();
    let mut totals = Totals::default();
    // Apart from each other, so that those on the real clock have the machine to
    // themselves, and many of them wait at once.
    let (real, fast): (Vec<&Example>, Vec<&Example>) = examples
        .iter()
        .partition(|example| options.is_real(example));
    for (group, real) in [(fast, false), (real, true)] {
        let jobs = options.jobs.map_or(default_jobs(real), NonZero::get);
        let runs = options.repeat.get() * group.len();
        let checks = group.iter().cycle().take(runs).map(|example| async {
            let result = check_once(workspace, example, program, options).await;
            (*example, result)
        });
        // Who is late runs again when all others are through. If it did so at once, each
        // would hold up all others until the longest that runs has ended.
        let mut late = Vec::new();
        let mut count = |example: &Example, result: Result<Passed, Failure>| {
            let id = example.id();
            let result = result.map(|passed| totals.add(&id, passed, real));
            report.count(&id, result)
        };
        runtime()?.block_on(async {
            let mut checks = stream::iter(checks).buffer_unordered(jobs);
            while let Some((example, result)) = checks.next().await {
                match is_late(&result) {
                    true => late.push(example),
                    false => count(example, result)?,
                }
            }
            for example in late {
                let again = check_again(workspace, example, program, options);
                count(example, again.await)?;
            }
            anyhow::Ok(())
        })?;
    }
    let summary = totals.summary(count, started.elapsed());
    Ok(report.finish(&format!("{summary}\n{}", kinds(&examples)))?)
}

/// How many examples agree with their twins, and how many do not, or have none.
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

/// A runtime for one check after another, or many at once, on this thread.
pub fn runtime() -> Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot build a runtime")
}

/// As many as there are cores on the virtual clock, where programs never wait. On the
/// real clock they hardly do anything else, so many more run at once; were it all of
/// them, the start of some would make others late.
pub fn default_jobs(real: bool) -> usize {
    let cores = available_parallelism().map_or(1, NonZero::get);
    if real { 16 * cores } else { cores }
}

#[derive(Default)]
struct Totals {
    virtual_time: Duration,
    longest_wait: Duration,
    /// How many there were of each example that was late.
    reruns: BTreeMap<String, usize>,
}

impl Totals {
    fn add(&mut self, id: &str, passed: Passed, real: bool) {
        if passed.reruns > 0 {
            *self.reruns.entry(id.to_owned()).or_default() += passed.reruns;
        }
        if real {
            self.longest_wait = self.longest_wait.max(passed.elapsed);
        } else {
            self.virtual_time += passed.elapsed;
        }
    }

    fn summary(&self, count: usize, wall: Duration) -> String {
        let in_seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());
        let mut text = counted(count, "run") + ": ";
        if !self.virtual_time.is_zero() {
            let time = in_seconds(self.virtual_time);
            text.push_str(&format!("{time} of virtual time, "));
        }
        if !self.longest_wait.is_zero() {
            let longest = in_seconds(self.longest_wait);
            text.push_str(&format!("longest wait on the real clock {longest}, "));
        }
        let each = wall.as_secs_f64() * 1000.0 / count.max(1) as f64;
        let wall = in_seconds(wall);
        text.push_str(&format!("{wall} of wall time, {each:.1} ms a run"));
        if !self.reruns.is_empty() {
            let reruns = counted(self.reruns.values().sum(), "run");
            let each = self
                .reruns
                .iter()
                .map(|(id, count)| format!("{id} {count}"));
            let each: Vec<String> = each.collect();
            let each = each.join(", ");
            text.push_str(&format!(", {reruns} again, alone, for being late: {each}"));
        }
        text
    }
}
