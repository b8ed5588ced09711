//! Every program against its golden, and every file against what it says of itself.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::{available_parallelism, scope};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};

use crate::compile_fail::{self, CompileFail};
use crate::process::{Finished, limited};
use crate::python::{ForkServer, Python, twin_runner};
use crate::report::{Failure, Report, counted};
use crate::rustc::shown;
use crate::transcript::{Mismatch, Recording, SLACK, first_lines};
use crate::workspace::{Example, Section, Workspace, read_golden};
use crate::{canary, dependencies, process};

/// Which of an example's programs is run, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// The Rust one, as its section runs it.
    Rust,
    /// The Rust one, compiled alone as a reader does who pastes it, and on the real clock.
    Copy,
    /// The Rust one, inside `tokio::spawn`.
    Spawned,
    /// The asyncio twin, under CPython.
    Twin,
}

impl Program {
    /// Whether the example has such a program: one that can be spawned, or a twin. That
    /// the twin's file is missing is another matter, and an error.
    pub fn applies_to(self, example: &Example) -> bool {
        match self {
            Self::Rust => true,
            // The demonstration of the others is not in what is pasted.
            Self::Copy => example.demo.is_none(),
            Self::Spawned => example.header.checks.not_send.is_none(),
            Self::Twin => example.has_twin(),
        }
    }

    fn golden(self, example: &Example) -> &Path {
        match self {
            Self::Rust | Self::Copy | Self::Spawned => &example.golden,
            Self::Twin => &example.twin_golden,
        }
    }
}

/// One run of one program.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The example.
    pub example: &'a Example,
    /// Which of its programs.
    pub program: Program,
    /// On the real clock, and not on the virtual one.
    pub real: bool,
    /// What is asked of it.
    pub asks: Asks,
    /// Another executable than the section's.
    pub binary: Option<&'a Path>,
}

/// What is asked of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// That it prints its golden.
    Golden,
    /// Only whether the lines come in order on several threads, beside many others.
    Order,
    /// That a twin ends properly when its main task is cancelled, at this millisecond.
    Cancelled(u64),
}

/// How often each twin is cancelled, at moments spread over its run.
const CANCELLED: usize = 12;

impl<'a> Job<'a> {
    /// The program on the clock that the example's header asks for, or on the real one.
    pub fn new(example: &'a Example, program: Program, real_time: bool) -> Self {
        let real =
            real_time || example.header.checks.real_clock || program == Program::Copy;
        Self {
            example,
            program,
            real,
            asks: Asks::Golden,
            binary: None,
        }
    }

    /// The `main` of an example that spawns, to see in which order its lines come on
    /// several threads. Nothing if it does not spawn.
    pub fn of_order(example: &'a Example) -> Option<Self> {
        let spawns = |path| fs::read_to_string(path).is_ok_and(|it| it.contains("spawn"));
        example.sources().any(spawns).then(|| Self {
            asks: Asks::Order,
            ..Self::of_main(example, true)
        })
    }

    /// The twin, cancelled between the times of its lines, on the virtual clock.
    pub fn of_cancelled(example: &'a Example) -> Vec<Self> {
        let twin = fs::read_to_string(&example.twin).unwrap_or_default();
        // With the reason: `# cancel: no (why)`.
        let is_excused = twin.starts_with("# cancel: no (");
        if !example.has_twin() || example.header.checks.real_clock || is_excused {
            return Vec::new();
        }
        let golden = read_golden(&example.twin_golden).unwrap_or_default();
        let times = golden.times();
        let between = times.windows(2).map(|pair| (pair[0] + pair[1]) / 2);
        let each = (times.len() / CANCELLED).max(1);
        let job = |at| Self {
            asks: Asks::Cancelled(at),
            ..Self::new(example, Program::Twin, false)
        };
        between.step_by(each).map(job).collect()
    }

    /// The example's own `main`: where it runs on the real clock, that of its copy.
    pub fn of_main(example: &'a Example, real_time: bool) -> Self {
        let is_real = real_time || example.header.checks.real_clock;
        let program = match is_real && Program::Copy.applies_to(example) {
            true => Program::Copy,
            false => Program::Rust,
        };
        Self::new(example, program, real_time)
    }
}

/// How long a program may run, unless somebody says otherwise.
pub const LIMIT: Duration = Duration::from_secs(30);

/// For how many times as long programs run again that failed while the machine was busy.
const AGAIN: u32 = 6;

/// More wall time than a run on the virtual clock takes that does not block.
const BLOCKING: Duration = Duration::from_millis(100);

/// How often a program that was late runs again although the machine was not busy, for
/// what a canary does not see, such as a slow disk.
const RERUNS: usize = 2;

/// How many programs run at once that run again. Each has a core for itself, or nearly.
const AGAIN_AT_ONCE: usize = 2;

/// How long a program on the real clock may take to start before the next one starts, if
/// it prints nothing until then.
const STARTING: Duration = Duration::from_millis(100);

/// Runs programs and checks them.
#[derive(Debug)]
pub struct Checker<'a> {
    workspace: &'a Workspace,
    python: Option<&'a Python>,
    limit: Duration,
    /// Held while a program starts, so that the start of one makes no other late.
    starting: Mutex<()>,
    /// Interpreters that wait for a twin on the virtual clock.
    servers: Mutex<Vec<ForkServer>>,
}

impl<'a> Checker<'a> {
    /// `python` is needed for twins. A program that runs for longer than `limit` is killed.
    pub fn new(
        workspace: &'a Workspace,
        python: Option<&'a Python>,
        limit: Duration,
    ) -> Self {
        canary::start();
        Self {
            workspace,
            python,
            limit,
            starting: Mutex::new(()),
            servers: Mutex::default(),
        }
    }

    /// Compiles the copy of each example alone, and counts the results. Returns the
    /// examples whose copies compile.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written.
    pub fn compile_copies<'b>(
        &self,
        examples: &[&'b Example],
        report: &mut Report,
    ) -> Result<Vec<&'b Example>> {
        let mut compiled = Vec::new();
        let compile = |example: &&'b Example| self.compile_copy(example);
        in_parallel(cores(), examples, compile, |example, result| {
            compiled.extend(result.is_ok().then_some(*example));
            report.count(&example.id(), result)
        })?;
        Ok(compiled)
    }

    fn compile_copy(&self, example: &Example) -> Result<(), Failure> {
        let failed =
            |problem| Failure::new(self.workspace.relative(&example.source), problem);
        let compile = || {
            let section = self.workspace.section(&example.section)?;
            let source = fs::read_to_string(&example.source)?;
            let uses = dependencies::find(section, &source, false)?;
            let crates = uses.into_keys().collect();
            let program = self.copy_of(example);
            let built = self.workspace.built();
            built.compile("rustc", section, &example.source, Some(&crates), &program)
        };
        let errors = compile().map_err(|error| failed(format!("{error:#}")))?;
        match errors.first() {
            None => Ok(()),
            Some(error) => {
                let problem = format!("its copy does not compile: {}", error.message);
                Err(failed(problem).with(shown(&errors)))
            }
        }
    }

    /// Where the copy of an example is compiled to.
    fn copy_of(&self, example: &Example) -> PathBuf {
        let name = format!(
            "{}-{}{}",
            example.section,
            example.name,
            std::env::consts::EXE_SUFFIX
        );
        self.workspace.target.join("copies").join(name)
    }

    /// Compiles the programs that must not compile and belong to these examples.
    ///
    /// # Errors
    ///
    /// When a folder cannot be read, or standard output cannot be written.
    pub fn compile_fail(&self, examples: &[&Example], report: &mut Report) -> Result<()> {
        let mut programs: Vec<(CompileFail, &Section)> = Vec::new();
        for section in &self.workspace.sections {
            let own = |name: &str| {
                examples
                    .iter()
                    .any(|it| it.section == section.name && it.name == name)
            };
            let found = compile_fail::find(section)?.into_iter();
            let found = found.filter_map(|(_, program)| program.ok());
            programs.extend(found.filter(|it| own(&it.example)).map(|it| (it, section)));
        }
        let check = |(program, section): &(CompileFail, &Section)| {
            program.check(self.workspace, section)
        };
        in_parallel(cores(), &programs, check, |(program, _), result| {
            report.count(&self.workspace.relative(&program.path), result)
        })
    }

    /// Runs the `main` of the copies as their headers say: `try: ARGS -> TEXT`.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written.
    pub fn try_copies(&self, examples: &[&Example], report: &mut Report) -> Result<()> {
        let tries = |example: &&Example| !example.header.checks.tries.is_empty();
        let examples: Vec<&Example> = examples.iter().copied().filter(tries).collect();
        let run = |example: &&Example| self.try_copy(example);
        in_parallel(8 * cores(), &examples, run, |example, result| {
            report.count(&example.id(), result)
        })
    }

    fn try_copy(&self, example: &Example) -> Result<(), Failure> {
        let failed = |problem: String| Failure::new(example.id(), problem);
        let cannot_run =
            |error: std::io::Error| failed(format!("its copy cannot be run: {error}"));
        let dir = self.workspace.target.join("tried").join(example.id());
        let _ = fs::remove_dir_all(&dir);
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

    /// Runs each job, counts the results, and returns a summary.
    ///
    /// A program that fails while the machine is busy proves nothing: it runs again, alone,
    /// when all others are through. After six times the limit of one run, it is reported
    /// as not judged.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written.
    pub fn run_all(&self, jobs: &[Job<'_>], report: &mut Report) -> Result<String> {
        let started = Instant::now();
        let mut results = Results::new(report);
        // Apart from each other, so that those on the real clock have the machine to
        // themselves, and many of them wait at once.
        for (real, order, at_once) in
            [(false, false, 1), (true, false, 16), (true, true, 24)]
        {
            let is_meant =
                |job: &&Job<'_>| job.real == real && (job.asks == Asks::Order) == order;
            let mut group: Vec<Run<'_>> =
                jobs.iter().filter(is_meant).map(Run::first).collect();
            if real {
                // The longest first, so that none is left alone at the end.
                group.sort_by_cached_key(|Run { job, .. }| {
                    let golden = read_golden(job.program.golden(job.example));
                    Reverse(golden.map_or(0, |golden| golden.end))
                });
            }
            let judge = |run: &Run<'_>| Some(self.judge(run.job));
            in_parallel(at_once * cores(), &group, judge, |run, verdict| {
                results.take(run, verdict)
            })?;
        }
        let deadline = Instant::now() + AGAIN * self.limit;
        while !results.again.is_empty() {
            let round = std::mem::take(&mut results.again);
            let judge =
                |run: &Run<'_>| (Instant::now() < deadline).then(|| self.judge(run.job));
            in_parallel(AGAIN_AT_ONCE, &round, judge, |run, verdict| {
                results.take(run, verdict)
            })?;
        }
        Ok(results.summary(jobs.len(), started.elapsed()))
    }

    /// Runs one program until its result says something of it.
    ///
    /// # Errors
    ///
    /// What is wrong with the program; or how it failed at last, if it was late and the
    /// machine busy for six times the limit of one run.
    pub fn run_one(&self, job: Job<'_>) -> Result<(), Failure> {
        let deadline = Instant::now() + AGAIN * self.limit;
        for runs in 0.. {
            match self.judge(job) {
                Verdict::Final(result) => return result.map(drop),
                Verdict::Again(failure, busy) => {
                    let may_be_right = busy && failure.late || runs < RERUNS;
                    if !may_be_right || Instant::now() > deadline {
                        return Err(failure);
                    }
                }
            }
        }
        Ok(())
    }

    fn judge(&self, job: Job<'_>) -> Verdict {
        let (started, watch) = (Instant::now(), canary::Watch::begin());
        let result = self.check(job);
        let busy = watch.saw_a_busy_machine();
        match result {
            // Of a program that was killed after the limit, a canary that was in time says
            // enough: it would take as long again.
            Err(failure) if busy && (failure.late || job.real) => {
                Verdict::Again(failure, busy)
            }
            Err(failure) if failure.late && started.elapsed() < self.limit => {
                Verdict::Again(failure, busy)
            }
            result => Verdict::Final(result),
        }
    }

    /// Runs a program and compares what it printed with its golden.
    fn check(&self, job: Job<'_>) -> Result<Duration, Failure> {
        let Job {
            example, program, ..
        } = job;
        if let Asks::Cancelled(at) = job.asks {
            return self.check_cancelled(job, at).map(|()| Duration::ZERO);
        }
        let path = program.golden(example);
        let bless = format!("cargo xtask bless {}", example.id());
        let golden = read_golden(path).map_err(|problem| {
            let root = format!("{}/", self.workspace.root.display());
            let problem = problem.replace(&root, "");
            Failure::new(example.id(), problem).then("bless it", &bless)
        })?;
        let recorded = self.record(job).map_err(|failure| Failure {
            // Beside so many others, time limits of its own may be over.
            late: failure.late || job.asks == Asks::Order,
            ..failure
        });
        let (recording, typed) = recorded?;
        let failed = |problem: String| {
            Failure::new(example.id(), problem).then("run it again", &typed)
        };
        let printed = &recording.transcript;
        if job.asks == Asks::Order {
            let compared = golden.match_order(printed, &example.header.checks.order);
            let mend =
                "say `order: TEXT` of the lines that may trade places, or arrange it";
            let problem = "on several threads its lines come in another order";
            return compared.map(|()| Duration::ZERO).map_err(|mismatch| {
                let failure = failed(problem.to_owned()).with(mismatch.diff);
                failure.then("mend it", mend)
            });
        }
        let compared = match job.real {
            true => golden.match_loosely(printed, SLACK, &example.header.checks.order),
            false => golden.match_exactly(printed),
        };
        if let Err(Mismatch { late, diff }) = compared {
            let golden = self.workspace.relative(path);
            let problem = format!("what it printed differs from {golden}");
            let failure = Failure {
                late,
                ..failed(problem).with(diff)
            };
            // The golden is CPython's wherever the twin has it too.
            let of_twin = example.has_twin() && example.header.differs.is_none();
            if program == Program::Twin || !of_twin {
                return Err(failure.then("bless it", &bless));
            }
            let twin = self.workspace.relative(&example.twin);
            let mend = format!(
                "the golden is CPython's: mend the Rust program, or change {twin} and then {bless}"
            );
            return Err(failure.then("mend it", &mend));
        }
        let wall = recording.wall.unwrap_or_default();
        if program != Program::Twin && !job.real && wall > BLOCKING {
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
        Ok(Duration::from_millis(recording.transcript.end))
    }

    /// Cancels the main task of a twin: it has to end by that, at once but for its own
    /// clean-up, and no task may be left with an error that nobody has seen.
    fn check_cancelled(&self, job: Job<'_>, at: u64) -> Result<(), Failure> {
        let example = job.example;
        let failed = |problem: String| Failure::new(example.id(), problem);
        let (finished, typed) = self.finish(job)?;
        let said = &finished.stderr;
        let unseen = [
            "exception was never retrieved",
            "unhandled exception during asyncio.run() shutdown",
        ];
        let unseen = unseen.into_iter().find(|text| said.contains(text));
        let is_announced = example
            .header
            .checks
            .stderr
            .iter()
            .any(|text| said.contains(text));
        let last = said.rsplit("Traceback ").next().unwrap_or_default();
        let ends_by = |error| last.lines().any(|line| line.starts_with(error));
        let problem = match &finished.status {
            Err(killed) => killed.clone(),
            // Its main task had ended, and only others were left.
            Ok(_) if finished.stdout().contains("\n# not cancelled\n") => return Ok(()),
            Ok(status) if status.success() => "it goes on".to_owned(),
            Ok(_) if is_announced => return Ok(()),
            Ok(_) if let Some(text) = unseen => text.to_owned(),
            Ok(_) if ends_by("asyncio.exceptions.CancelledError") => return Ok(()),
            Ok(_) => "it ends by another error".to_owned(),
        };
        let problem = format!("its twin, cancelled at {} ms: {problem}", at);
        let failure = failed(problem).with(first_lines(said));
        Err(failure.then("run it again", &typed))
    }

    /// Runs the program once and returns what it printed, and the command line that a user
    /// types for it.
    ///
    /// # Errors
    ///
    /// A failure for the user when the program did not come to the end that it is meant to.
    pub fn record(&self, job: Job<'_>) -> Result<(Recording, String), Failure> {
        let Job {
            example, program, ..
        } = job;
        let failed = |problem: String| Failure::new(example.id(), problem);
        if let Some(path) = example.unwritten() {
            let path = self.workspace.relative(path);
            let problem = format!("{path} says TODO: write what stands there for it");
            return Err(failed(problem));
        }
        let (finished, typed) = self.finish(job)?;
        let recording = match program == Program::Copy {
            true => Recording::of_lines(&finished.lines, finished.elapsed),
            false => Recording::parse(&finished.stdout()),
        };
        let code = finished.status.as_ref().map(|status| status.code());
        let problem = match &example.header.checks.exit {
            None => finished.problem(),
            Some(text) if code == Ok(Some(1)) => (!finished.stderr.contains(text))
                .then(|| format!("its error does not contain `{text}`")),
            Some(_) => finished.problem().or_else(|| {
                Some("it ended well, but its header says `exit: 1`".to_owned())
            }),
        };
        let problem = problem.or_else(|| match recording.wall {
            None => {
                Some("it exited early, before its `main` had come to its end".to_owned())
            }
            Some(_) => unexpected(example, program, &finished.stderr),
        });
        match problem {
            None => Ok((recording, typed)),
            Some(problem) => Err(Failure {
                late: finished.status.is_err() && problem.starts_with("it did not end"),
                details: first_lines(&finished.stderr),
                ..failed(problem).then("run it again", &typed)
            }),
        }
    }

    /// Runs a program to its end. Returns also the command line that a user types for it.
    fn finish(&self, job: Job<'_>) -> Result<(Finished, String), Failure> {
        let finished = match job.program {
            Program::Twin => self.finish_twin(job),
            _ => self.finish_rust(job),
        };
        finished.map_err(|error| {
            let problem = format!("it cannot be run: {error:#}");
            Failure::new(job.example.id(), problem)
        })
    }

    fn finish_rust(&self, job: Job<'_>) -> Result<(Finished, String)> {
        let Example { section, name, .. } = job.example;
        let (mut command, typed) = match job.program {
            Program::Copy => (limited(self.copy_of(job.example)), name.clone()),
            _ => {
                let clock = if job.real { "" } else { "--virtual-time " };
                let is_spawned = job.program == Program::Spawned;
                let spawn = if is_spawned { "--spawn " } else { "" };
                let options = format!("{clock}{spawn}{name}");
                let built = self.workspace.binary(section);
                let binary = job.binary.or(built).context("it was not built")?;
                let mut command = limited(binary);
                command.arg("--tsv").args(options.split(' '));
                (command, options)
            }
        };
        command.current_dir(&self.workspace.root);
        let typed = format!("cargo run -p {section} -- {typed}");
        Ok((self.run_to_its_end(command, job)?, typed))
    }

    fn finish_twin(&self, job: Job<'_>) -> Result<(Finished, String)> {
        let (workspace, twin) = (self.workspace, &job.example.twin);
        let python = self.python.context("a twin needs a Python")?;
        let interpreter = python.interpreter_for(workspace, twin)?;
        let cancel_at = match job.asks {
            Asks::Cancelled(at) => Duration::from_millis(at).as_secs_f64().to_string(),
            Asks::Golden | Asks::Order => String::new(),
        };
        let clock = match (job.real, cancel_at.as_str()) {
            (true, _) => " --real-time".to_owned(),
            (false, "") => String::new(),
            (false, at) => format!(" --cancel-at {at}"),
        };
        let (runner, program) = (twin_runner(workspace), interpreter.display());
        let [script, path] = [&runner, twin].map(|path| workspace.relative(path));
        let typed = format!("{program} {script}{clock} {path}");
        if !job.real && cfg!(unix) && interpreter == python.program() {
            let servers = || self.servers.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = servers().pop();
            let mut server = match waiting {
                Some(server) => server,
                None => ForkServer::start(workspace, python, self.limit)?,
            };
            let finished = server.run(twin, &cancel_at)?;
            servers().push(server);
            return Ok((finished, typed));
        }
        let mut command = limited(&interpreter);
        command.args(["-I", "-X", "utf8"]).arg(&runner).arg("--tsv");
        command.args(clock.split_whitespace()).arg(twin);
        command.current_dir(&workspace.root);
        Ok((self.run_to_its_end(command, job)?, typed))
    }

    /// On the real clock, no other program starts until this one has started.
    fn run_to_its_end(&self, command: Command, job: Job<'_>) -> Result<Finished> {
        if !job.real || job.asks == Asks::Order {
            return Ok(process::run(command, self.limit, || ())?);
        }
        let (started, has_started) = mpsc::channel();
        scope(|scope| {
            let starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
            let limit = self.limit;
            let running = scope.spawn(move || {
                process::run(command, limit, || {
                    // The other side may have waited long enough.
                    let _ = started.send(());
                })
            });
            // Whatever ends the wait, the next one may start.
            let _ = has_started.recv_timeout(STARTING);
            drop(starting);
            let finished = running.join();
            Ok(finished.map_err(|_| Error::msg("the thread that ran it panicked"))??)
        })
    }
}

/// Does the work for each item, so many at once, and hands on the results as they come.
fn in_parallel<T: Sync, R: Send>(
    workers: usize,
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut done: impl FnMut(&T, R) -> Result<()>,
) -> Result<()> {
    let queue = Mutex::new(items.iter());
    let (sender, results) = mpsc::channel();
    scope(|scope| {
        for _ in 0..workers.min(items.len()) {
            let (queue, work, sender) = (&queue, &work, sender.clone());
            scope.spawn(move || {
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                while let Some(item) = next() {
                    // Nobody receives if the results cannot be shown.
                    if sender.send((item, work(item))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        results
            .into_iter()
            .try_for_each(|(item, result)| done(item, result))
    })
}

/// What one run of a program has shown.
enum Verdict {
    Final(Result<Duration, Failure>),
    /// It failed, and has to run again; whether the machine was busy.
    Again(Failure, bool),
}

/// Says what is wrong with what the program wrote to standard error.
fn unexpected(example: &Example, program: Program, stderr: &str) -> Option<String> {
    let (texts, is_rust) = (&example.header.checks.stderr, program != Program::Twin);
    // What the header announces with `exit:` ends the output.
    let runner = format!("error: {}: ", example.name);
    let errors = if is_rust {
        [runner.as_str(), "Error: "]
    } else {
        ["Traceback "; 2]
    };
    let error = errors.iter().find_map(|error| stderr.find(error));
    let before = match error {
        Some(at) if example.header.checks.exit.is_some() => &stderr[..at],
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

/// Says how many examples agree with their twins, and how many do not, or have none.
pub fn kinds(examples: &[&Example]) -> String {
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

fn cores() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

/// A job, and how its runs so far have ended.
struct Run<'a> {
    job: Job<'a>,
    failure: Option<Failure>,
    /// How often it has run.
    count: usize,
    /// How often the machine had time for it.
    judged: usize,
}

impl<'a> Run<'a> {
    fn first(job: &Job<'a>) -> Self {
        Self {
            job: *job,
            failure: None,
            count: 0,
            judged: 0,
        }
    }
}

struct Results<'a, 'r> {
    report: &'r mut Report,
    /// What has to run again.
    again: Vec<Run<'a>>,
    /// That the order is open, or what a cancellation breaks, is told once.
    told: BTreeSet<String>,
    virtual_time: Duration,
    /// How often each example ran again.
    reruns: BTreeMap<String, usize>,
}

impl<'a, 'r> Results<'a, 'r> {
    fn new(report: &'r mut Report) -> Self {
        Self {
            report,
            again: Vec::new(),
            told: BTreeSet::new(),
            virtual_time: Duration::ZERO,
            reruns: BTreeMap::new(),
        }
    }

    /// Counts what a run has shown, or keeps it for another one. Without a verdict, the
    /// time for runs is over.
    fn take(&mut self, run: &Run<'a>, verdict: Option<Verdict>) -> Result<()> {
        let result = match verdict {
            None => {
                return run
                    .failure
                    .iter()
                    .try_for_each(|failure| self.report.not_judged(failure.clone()));
            }
            Some(Verdict::Again(failure, busy)) if busy || run.judged < RERUNS => {
                self.again.push(Run {
                    job: run.job,
                    failure: Some(failure),
                    count: run.count + 1,
                    judged: run.judged + usize::from(!busy),
                });
                return Ok(());
            }
            Some(Verdict::Again(failure, _)) => Err(failure),
            Some(Verdict::Final(result)) => result,
        };
        let (job, id) = (run.job, run.job.example.id());
        if result.is_err() && job.asks != Asks::Golden && !self.told.insert(id.clone()) {
            return Ok(());
        }
        if !job.real {
            self.virtual_time += result.as_ref().copied().unwrap_or_default();
        }
        if run.count > 0 {
            *self.reruns.entry(id.clone()).or_default() += run.count;
        }
        self.report.count(&id, result.map(drop))
    }

    fn summary(&self, count: usize, wall: Duration) -> String {
        let runs = counted(count, "run");
        let (virtual_time, wall) = (self.virtual_time.as_secs(), wall.as_secs_f64());
        let mut text =
            format!("{runs} in {wall:.1} s, with {virtual_time} s of virtual time");
        if !self.reruns.is_empty() {
            let again = counted(self.reruns.values().sum(), "run");
            let each = self
                .reruns
                .iter()
                .map(|(id, count)| format!("{id} {count}"));
            let each = each.collect::<Vec<String>>().join(", ");
            text += &format!("; {again} again, when the others were through: {each}");
        }
        text
    }
}
