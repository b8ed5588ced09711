//! Runs a program once, and judges what came.

use std::collections::HashMap;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread::scope;
use std::time::Duration;

use anyhow::{Context as _, Error, Result};
use catalog::python::Python;
use catalog::report::Failure;
use catalog::transcript::{Recording, first_lines};
use catalog::workspace::{Example, Workspace, read_golden};

use crate::built::Built;
use crate::ends::{how_it_ended, unexpected};
use crate::process::{self, Finished, limited};
use crate::{Check, Run, Way, compile_fail, cores, in_parallel};

/// How long a program may run, even on a machine that has no time for it.
pub const LIMIT: Duration = Duration::from_secs(60);

/// How long a program on the real clock may take to start before the next one starts, if
/// it prints nothing until then.
const STARTING: Duration = Duration::from_millis(100);

/// Runs programs and judges them.
#[derive(Debug)]
pub struct Checker<'a> {
    pub(crate) workspace: &'a Workspace,
    pub(crate) built: &'a Built,
    python: Option<&'a Python>,
    pub(crate) limit: Duration,
    /// Held while a program starts, so that many that start at the same time do not spoil it.
    starting: Mutex<()>,
    /// The copies that were compiled, by the ids of their examples.
    pub(crate) copies: Mutex<HashMap<String, Compiled>>,
    /// How many cores nobody computes on.
    free: (Mutex<usize>, Condvar),
}

/// Set by the first that asks.
type Compiled = Arc<OnceLock<Result<(), Failure>>>;

impl<'a> Checker<'a> {
    /// `python` is needed for twins. A program that runs for longer than `limit` is killed.
    pub fn new(
        workspace: &'a Workspace,
        built: &'a Built,
        python: Option<&'a Python>,
        limit: Duration,
    ) -> Self {
        Self {
            workspace,
            built,
            python,
            limit,
            starting: Mutex::default(),
            copies: Mutex::default(),
            free: (Mutex::new(cores()), Condvar::new()),
        }
    }

    /// Judges one way in which the project is used.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn judge(&self, check: &Check<'_>) -> Result<(), Failure> {
        match *check {
            Check::CompileFail(section, ref path, ref program) => {
                let path = self.workspace.relative(path);
                let cannot = |problem: &String| Failure::new(path, problem);
                let program = program.as_ref().map_err(cannot)?;
                let _core = self.core();
                compile_fail::judge(self.workspace, self.built, section, program)
            }
            Check::Example(run) => match run.way {
                Way::Copy => self.judge_copy(run),
                Way::Editions => self.judge_edition(run.example),
                Way::Timing => self.judge_timing(run),
                _ => self.judge_run(run).map(drop),
            },
        }
    }

    /// Compiles what the checks will run, as otherwise programs on the real clock would run
    /// next to compilers. What is wrong is told where it is judged.
    pub fn prepare<'b>(&self, checks: impl Iterator<Item = &'b Check<'b>>) -> Result<()> {
        let copied = checks.filter_map(|check| match check {
            Check::Example(run) if run.is_of_copy() => Some(run.example),
            _ => None,
        });
        let copied: Vec<&Example> = copied.collect();
        let compile = |example: &&Example| self.compile_copy(example);
        in_parallel(cores(), &copied, compile, |_, _| Ok(()))
    }

    /// Runs a program once. On the virtual clock it prints its golden; on the real one too,
    /// however late. Returns how late.
    ///
    /// # Errors
    ///
    /// What is wrong with the program.
    pub(crate) fn judge_run(&self, run: Run<'_>) -> Result<Duration, Failure> {
        let (example, free) = (run.example, &run.example.header.checks.order);
        let path = match run.way {
            Way::Twin => &example.twin_golden,
            _ => &example.golden,
        };
        let bless = format!("cargo xtask bless {}", example.id());
        let golden = read_golden(path).map_err(|problem| {
            let root = format!("{}/", self.workspace.root.display());
            let problem = problem.replace(&root, "");
            Failure::new(example.id(), problem).then("bless it", &bless)
        })?;
        let (recording, typed) = self.record(run)?;
        let printed = &recording.transcript;
        let compared = match (run.way, run.real) {
            (Way::Order, _) => golden.match_order(printed, free),
            (_, true) => golden.match_real(printed, free),
            (_, false) => golden.match_exactly(printed),
        };
        let Err(differences) = compared else {
            return Ok(golden.longest_delay(printed));
        };
        let failed = |problem: &str| {
            let failure = Failure::new(example.id(), problem).with(differences);
            failure.then("run it again", &typed)
        };
        if run.way == Way::Order {
            let fix =
                "say `order: TEXT` of the lines that may trade places, or arrange it";
            let problem = "on several threads its lines come in another order";
            return Err(failed(problem).then("fix it", fix));
        }
        let golden = self.workspace.relative(path);
        let failure = failed(&format!("what it printed differs from {golden}"));
        // The golden is CPython's wherever the twin has it too.
        let of_twin = example.has_twin() && example.header.differs.is_none();
        if run.way == Way::Twin || !of_twin {
            return Err(failure.then("bless it", &bless));
        }
        let twin = self.workspace.relative(&example.twin);
        let fix = format!(
            "the golden is CPython's: fix the Rust program, or change {twin} and then {bless}"
        );
        Err(failure.then("fix it", &fix))
    }

    /// Runs the program once and returns what it printed, and the command line that a user
    /// types for it.
    ///
    /// # Errors
    ///
    /// A failure for the user when the program did not come to the end that it is meant to.
    pub fn record(&self, run: Run<'_>) -> Result<(Recording, String), Failure> {
        let (example, is_twin) = (run.example, run.way == Way::Twin);
        let failed = |problem: String| Failure::new(example.id(), problem);
        let unwritten = example.unwritten();
        if let Some(path) = unwritten.map_err(|error| failed(format!("{error:#}")))? {
            let path = self.workspace.relative(path);
            let problem = format!("{path} says TODO: write what stands there for it");
            return Err(failed(problem));
        }
        if run.is_of_copy() {
            self.compile_copy(example)?;
        }
        let finished = match is_twin {
            true => self.finish_twin(run),
            false => self.finish_rust(run),
        };
        let (finished, typed) =
            finished.map_err(|error| failed(format!("it cannot be run: {error:#}")))?;
        let recording = match run.is_of_copy() {
            true => Recording::of_lines(&finished.lines, finished.elapsed),
            false => Recording::parse(&finished.stdout()),
        };
        let problem = how_it_ended(example, is_twin, &finished).or_else(|| {
            let early = "it exited early, before its `main` had come to its end";
            match recording.wall {
                None => Some(early.to_owned()),
                Some(_) => unexpected(example, is_twin, &finished.stderr),
            }
        });
        match problem {
            None => Ok((recording, typed)),
            Some(problem) => {
                let failure = failed(problem).then("run it again", &typed);
                Err(failure.with(first_lines(&finished.stderr)))
            }
        }
    }

    fn finish_rust(&self, run: Run<'_>) -> Result<(Finished, String)> {
        let Example { section, name, .. } = run.example;
        let (mut command, typed) = if run.is_of_copy() {
            (limited(self.copy_of(run.example)), name.clone())
        } else {
            let clock = if run.real { "" } else { "--virtual-time " };
            let spawn = if run.way == Way::Spawn {
                "--spawn "
            } else {
                ""
            };
            let options = format!("{clock}{spawn}{name}");
            let mut command = limited(self.built.binary(section)?);
            command.arg("--tsv").args(options.split(' '));
            (command, options)
        };
        command.current_dir(&self.workspace.root);
        let typed = format!("cargo run -p {section} -- {typed}");
        Ok((self.run_to_its_end(command, run.real)?, typed))
    }

    fn finish_twin(&self, run: Run<'_>) -> Result<(Finished, String)> {
        let (workspace, twin) = (self.workspace, &run.example.twin);
        let python = self.python.context("a twin needs a Python")?;
        let interpreter = python.interpreter_for(workspace, twin)?;
        let clock = if run.real { "--real-time " } else { "" };
        let (script, path) = ("tools/python/run_twin.py", workspace.relative(twin));
        let typed = format!("{} {script} {clock}{path}", interpreter.display());
        let mut command = limited(&interpreter);
        command.args(["-I", "-X", "utf8", script, "--tsv"]);
        command.args(clock.split_whitespace()).arg(twin);
        command.current_dir(&workspace.root);
        Ok((self.run_to_its_end(command, run.real)?, typed))
    }

    /// On the real clock, no other program starts until this one has started; on the virtual
    /// one, as many run as there are cores.
    fn run_to_its_end(&self, command: Command, real: bool) -> Result<Finished> {
        if !real {
            let _core = self.core();
            return Ok(process::run(command, self.limit, || ())?);
        }
        let (started, has_started) = mpsc::channel();
        scope(|scope| {
            let starting = lock(&self.starting);
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

    /// Waits for a core to compute on.
    pub(crate) fn core(&self) -> Core<'_> {
        let (free, freed) = &self.free;
        let free = freed.wait_while(lock(free), |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
        Core(&self.free)
    }
}

/// A core that somebody computes on, until it is dropped.
pub(crate) struct Core<'a>(&'a (Mutex<usize>, Condvar));

impl Drop for Core<'_> {
    fn drop(&mut self) {
        let (free, freed) = self.0;
        *lock(free) += 1;
        freed.notify_one();
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
