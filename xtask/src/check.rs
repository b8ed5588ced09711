//! `cargo xtask check-all`, `check-python` and `test-spawn`: every program against its
//! golden.

use std::ffi::OsString;
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, stream};
use tokio::process::Command;
use tokio::runtime::{Builder, Runtime};

use crate::WrongCall;
use crate::inventory;
use crate::process;
use crate::python::{Python, twin_runner};
use crate::report::{Failure, Report};
use crate::transcript::{Recording, diff};
use crate::workspace::{Example, Workspace};

/// Which of an example's two programs is run.
#[derive(Debug, Clone, Copy)]
pub enum Program<'a> {
    /// The Rust one.
    Rust,
    /// Its asyncio twin, under this interpreter.
    Twin(&'a Python),
}

/// Which clock a program runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The virtual one, unless the example's header says `clock: real`.
    Virtual,
    /// The real one, which the example's `main` runs on.
    Real,
}

/// How each example is run and judged.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// Which program is run.
    pub program: Program<'a>,
    /// Which clock it runs on.
    pub clock: Clock,
    /// Whether the example runs inside `tokio::spawn`; this is for Rust programs alone.
    pub spawn: bool,
    /// After which time a program is killed.
    pub limit: Duration,
    /// How late a line may be on the real clock.
    pub slack: Duration,
}

impl<'a> Judge<'a> {
    /// The judge on the virtual clock, with the limit and the slack that a command
    /// without options has.
    pub fn new(program: Program<'a>) -> Self {
        Self {
            program,
            clock: Clock::Virtual,
            spawn: false,
            limit: LIMIT,
            slack: SLACK,
        }
    }

    /// Whether this example runs on the real clock here.
    pub fn is_real(&self, example: &Example) -> bool {
        self.clock == Clock::Real || example.header.real_clock
    }

    /// Whether the example has such a program: one that can be spawned, or a twin. That
    /// the twin's file is missing is another matter, and an error.
    pub fn applies_to(&self, example: &Example) -> bool {
        match self.program {
            Program::Rust => !self.spawn || example.header.not_send.is_none(),
            Program::Twin(_) => example.header.no_twin.is_none(),
        }
    }

    /// The program's arguments, and the command line that a user types for them.
    fn command(
        &self,
        workspace: &Workspace,
        example: &Example,
    ) -> Result<(Command, String)> {
        let real = self.is_real(example);
        let (section, name) = (&example.section, &example.name);
        match self.program {
            Program::Rust => {
                let mut options = Vec::new();
                if !real {
                    options.push("--virtual-time");
                }
                if self.spawn {
                    options.push("--spawn");
                }
                options.push(name);
                let mut command = Command::new(&example.binary);
                command.arg("--tsv").args(&options);
                let typed = format!("cargo run -p {section} -- {}", options.join(" "));
                Ok((command, typed))
            }
            Program::Twin(python) => {
                let interpreter = python.interpreter_for(workspace, &example.twin)?;
                let mut arguments: Vec<OsString> =
                    vec![twin_runner(workspace).into(), "--tsv".into()];
                if real {
                    arguments.push("--real-time".into());
                }
                arguments.push(example.twin.clone().into());
                let typed = format!(
                    "{} {}{} {}",
                    interpreter.display(),
                    workspace.relative(&twin_runner(workspace)),
                    if real { " --real-time" } else { "" },
                    workspace.relative(&example.twin),
                );
                let mut command = Command::new(interpreter);
                command.args(["-I", "-X", "utf8"]).args(arguments);
                Ok((command, typed))
            }
        }
    }

    /// Runs the program and returns what it printed.
    ///
    /// # Errors
    ///
    /// A failure for the user when the program did not come to a good end.
    pub async fn record(
        self,
        workspace: &Workspace,
        example: &Example,
    ) -> Result<Recording, Failure> {
        self.run(workspace, example)
            .await
            .map(|(recording, _)| recording)
    }

    /// As [`record`](Self::record), with the command line that a user types for it.
    async fn run(
        self,
        workspace: &Workspace,
        example: &Example,
    ) -> Result<(Recording, String), Failure> {
        let cannot_run = |error: String| {
            Failure::new(example.id(), format!("it cannot be run: {error}"))
        };
        let (command, typed) = self
            .command(workspace, example)
            .map_err(|error| cannot_run(format!("{error:#}")))?;
        let finished =
            process::run(command, self.limit)
                .await
                .map_err(|error| Failure {
                    run_again: Some(typed.clone()),
                    ..cannot_run(error.to_string())
                })?;
        let recording = Recording::parse(&example.name, &finished.stdout);
        let problem = match (finished.problem(self.limit), &recording) {
            (Some(problem), _) => problem,
            (None, Err(problem)) => problem.clone(),
            (None, Ok(Recording { ended: None, .. })) => {
                "it exited early, before its `main` had come to its end".to_owned()
            }
            (None, Ok(recording)) => return Ok((recording.clone(), typed)),
        };
        let mut details = String::new();
        // What was printed until then helps to find out what happened.
        if let (Ok(golden), Ok(recording)) = (example.read_golden(), recording) {
            let printed = recording.transcript.to_string();
            details.push_str(&diff(&golden.to_string(), &printed));
        }
        details.push_str(&finished.stderr);
        Err(Failure {
            details,
            run_again: Some(typed),
            ..Failure::new(example.id(), problem)
        })
    }

    /// Runs the program, compares what it printed with the golden, and returns how long
    /// it took on its clock.
    ///
    /// # Errors
    ///
    /// A failure for the user.
    pub async fn check(
        self,
        workspace: &Workspace,
        example: &Example,
    ) -> Result<Duration, Failure> {
        if let Program::Twin(_) = self.program
            && !example.twin.exists()
        {
            let problem = format!("there is no twin {}", example.twin.display());
            return Err(Failure::new(example.id(), problem));
        }
        let blessable = |failure| Failure {
            bless: Some(format!("cargo xtask bless {}", example.id())),
            ..failure
        };
        let golden = example
            .read_golden()
            .map_err(|problem| blessable(Failure::new(example.id(), problem)))?;
        let (recording, typed) = self.run(workspace, example).await.map_err(blessable)?;
        let compared = if self.is_real(example) {
            golden.match_loosely(&recording.transcript, self.slack)
        } else {
            golden.match_exactly(&recording.transcript)
        };
        compared.map_err(|details| {
            let golden = workspace.relative(&example.golden);
            let problem = format!("what it printed differs from {golden}");
            blessable(Failure {
                details,
                run_again: Some(typed),
                ..Failure::new(example.id(), problem)
            })
        })?;
        Ok(recording.ended.unwrap_or_default())
    }
}

/// What the checks are asked for.
#[derive(Debug)]
pub struct Options<'a> {
    /// A part of `section/example`; everything if it is empty.
    pub filter: &'a str,
    /// How many programs run at once; the clock decides if nothing is said.
    pub jobs: Option<NonZero<usize>>,
    /// How often each program is run.
    pub repeat: NonZero<u32>,
    /// How each example is run and judged.
    pub judge: Judge<'a>,
}

/// The limit of a command that names none.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The slack of a command that names none.
pub const SLACK: Duration = Duration::from_millis(250);

/// Runs every program that the filter selects, compares each with its golden, and
/// returns whether all is well. The inventory is part of it when Rust programs run.
///
/// # Errors
///
/// [`WrongCall`](crate::WrongCall) when the filter selects nothing; any other error when
/// files cannot be read or standard output cannot be written.
pub fn check_all(workspace: &Workspace, options: &Options<'_>) -> Result<bool> {
    let judge = &options.judge;
    let mut examples = workspace.matching(options.filter)?;
    examples.retain(|example| judge.applies_to(example));
    let inventory = match judge.program {
        Program::Rust if !judge.spawn => inventory::check(workspace, options.filter)?,
        Program::Rust | Program::Twin(_) => Vec::new(),
    };
    if examples.is_empty() {
        let lack = if judge.spawn {
            "is `Send`"
        } else {
            "has a twin"
        };
        bail!(WrongCall(format!(
            "no example that matches `{}` {lack}",
            options.filter
        )));
    }
    if let Program::Twin(python) = judge.program {
        // The environment for packages is made now, as making it takes longer than any
        // program may. If that fails, it fails again where the reason is reported.
        for example in &examples {
            let _ = python.interpreter_for(workspace, &example.twin);
        }
    }
    let repeat = options.repeat.get() as usize;
    let count = repeat * examples.len();
    let mut report = Report::new(inventory.len() + count);
    for failure in &inventory {
        report.fail(failure)?;
    }

    let started = Instant::now();
    let mut totals = Totals::default();
    // Apart from each other, so that those on the real clock have the machine to
    // themselves, and many of them wait at once.
    let (real, fast): (Vec<&Example>, Vec<&Example>) =
        examples.iter().partition(|example| judge.is_real(example));
    for (examples, clock) in [(fast, Clock::Virtual), (real, Clock::Real)] {
        let jobs = options
            .jobs
            .map_or_else(|| default_jobs(clock), NonZero::get);
        let runs = examples.iter().cycle().take(repeat * examples.len());
        let checks = runs.map(|example| async {
            let verdict = judge.check(workspace, example).await;
            (*example, verdict)
        });
        runtime()?.block_on(async {
            let mut checks = stream::iter(checks).buffer_unordered(jobs);
            while let Some((example, verdict)) = checks.next().await {
                match verdict {
                    Ok(elapsed) => {
                        totals.add(elapsed, clock);
                        report.pass(&example.id());
                    }
                    Err(failure) => report.fail(&failure)?,
                }
            }
            anyhow::Ok(())
        })?;
    }
    Ok(report.finish(&totals.summary(count, started.elapsed()))?)
}

/// A runtime for one check after another, or many at once, on this thread.
///
/// # Errors
///
/// When the system has no resources for it.
pub fn runtime() -> Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot build a runtime")
}

/// As many as there are cores on the virtual clock, where programs never wait. On the
/// real clock they hardly do anything else, so many more run at once; were it all of
/// them, the start of some would make others late.
pub fn default_jobs(clock: Clock) -> usize {
    let cores = available_parallelism().map_or(1, NonZero::get);
    match clock {
        Clock::Virtual => cores,
        Clock::Real => 16 * cores,
    }
}

#[derive(Default)]
struct Totals {
    virtual_time: Duration,
    longest_wait: Duration,
}

impl Totals {
    fn add(&mut self, elapsed: Duration, clock: Clock) {
        match clock {
            Clock::Virtual => self.virtual_time += elapsed,
            Clock::Real => self.longest_wait = self.longest_wait.max(elapsed),
        }
    }

    fn summary(&self, count: usize, wall: Duration) -> String {
        let mut parts = Vec::new();
        if !self.virtual_time.is_zero() {
            parts.push(format!(
                "{:.3} s of virtual time",
                self.virtual_time.as_secs_f64()
            ));
        }
        if !self.longest_wait.is_zero() {
            let longest = self.longest_wait.as_secs_f64();
            parts.push(format!("longest wait on the real clock {longest:.3} s"));
        }
        parts.push(format!("{:.3} s of wall time", wall.as_secs_f64()));
        let each = wall.as_secs_f64() * 1000.0 / count.max(1) as f64;
        parts.push(format!("{each:.1} ms a run"));
        let runs = if count == 1 {
            "1 run".to_owned()
        } else {
            format!("{count} runs")
        };
        format!("{runs}: {}", parts.join(", "))
    }
}
