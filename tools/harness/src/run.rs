use std::any::Any;
use std::env;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::process::{Command, ExitCode};
use std::time::Instant;

use tokio::task::{JoinHandle, spawn_blocking};

use crate::clock::{Clock, or_deadlock, paused_runtime};
use crate::transcript::{self, print_raw};
use crate::{Example, LocalFuture, Main};

/// The environment variable that tells the section's executable to run one example, by the
/// options of [`Manner::options`] and the name. The arguments are the example's own.
pub const VARIABLE: &str = "EXAMPLE_RUNNER_RUN";

/// How the examples are run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manner {
    /// Skip the waits, unless the example needs the real clock.
    pub virtual_time: bool,
    /// Inside `tokio::spawn`, as code is that a reader has pasted into a server.
    pub spawn: bool,
    /// Print lines for programs, rather than for people.
    pub tsv: bool,
}

impl Manner {
    /// Returns the options of the command line that ask for this.
    fn options(self) -> String {
        let virtual_time = ["", "--virtual-time "][usize::from(self.virtual_time)];
        let spawn = ["", "--spawn "][usize::from(self.spawn)];
        let tsv = ["", "--tsv "][usize::from(self.tsv)];
        format!("{virtual_time}{spawn}{tsv}")
    }
}

/// Runs each example in a separate process, one after the other, and returns whether
/// all ended as they are meant to. So an example sees no arguments but its own, and what
/// it sets for the whole process (a logger, a panic hook) does not meet the next one.
pub fn run_all(examples: &[&Example], manner: Manner, arguments: &[String]) -> ExitCode {
    let mut failed = false;
    for (index, example) in examples.iter().enumerate() {
        if examples.len() > 1 && !manner.tsv {
            let gap = if index == 0 { "" } else { "\n" };
            print_raw(&format!("{gap}# {}: {}\n", example.name, example.summary()));
        }
        let command = env::current_exe().map(|program| {
            let mut command = Command::new(program);
            let told = manner.options() + example.name;
            command.args(arguments).env(VARIABLE, told);
            command
        });
        let ended = match command {
            // With nothing left to do, this process becomes the example's, so that the one who
            // ends it ends the example.
            Ok(command) if examples.len() == 1 => become_this(command),
            Ok(mut command) => command.status().map(|status| {
                status.success() || example.exits_with_error && status.code() == Some(1)
            }),
            Err(error) => Err(error),
        };
        match ended {
            Ok(as_meant) => failed |= !as_meant,
            Err(error) => {
                eprintln!("error: {}: it cannot be started: {error}", example.name);
                failed = true;
            }
        }
    }
    ExitCode::from(u8::from(failed))
}

#[cfg(unix)]
fn become_this(mut command: Command) -> io::Result<bool> {
    use std::os::unix::process::CommandExt as _;

    Err(command.exec())
}

#[cfg(not(unix))]
fn become_this(mut command: Command) -> io::Result<bool> {
    command.status().map(|status| status.success())
}

/// Runs this one example in this process.
pub fn run_as_told(example: &Example, manner: Manner) -> ExitCode {
    let name = example.name;
    if manner.tsv {
        print_raw(&format!("# {name}\n"));
    }
    run_one(example, manner).unwrap_or_else(|message| {
        eprintln!("error: {name}: {message}");
        ExitCode::FAILURE
    })
}

fn run_one(example: &Example, manner: Manner) -> Result<ExitCode, String> {
    let paused = manner.virtual_time && !example.needs_real_clock;
    let main: LocalFuture = match (example.main, manner.spawn) {
        (Main::Plain(main), false) => return timed(Clock::real(), manner.tsv, main),
        // A runtime cannot be started inside of another one's task, but in a thread of it.
        (Main::Plain(main), true) => {
            Box::pin(async move { ended(spawn_blocking(main)).await })
        }
        (Main::Send(main), true) => {
            Box::pin(async move { ended(tokio::spawn(main())).await })
        }
        (Main::Local(_), true) => return Err("`main` is not Send".to_owned()),
        (Main::Send(main), false) => Box::pin(async move { main().await }),
        (Main::Local(main), false) => Box::pin(async move { main().await }),
    };
    if !paused {
        return timed(Clock::real(), manner.tsv, || (example.runtime)(main));
    }
    let runtime = paused_runtime()?;
    timed(Clock::of(&runtime), manner.tsv, || {
        let result = runtime.block_on(or_deadlock(main));
        drop(runtime);
        result
    })
}

async fn ended(task: JoinHandle<Result<ExitCode, String>>) -> Result<ExitCode, String> {
    match task.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(payload) => panic::resume_unwind(payload),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// Runs the example from the start of its clock to its end; a panic becomes an error.
fn timed(
    clock: Clock,
    tsv: bool,
    example: impl FnOnce() -> Result<ExitCode, String>,
) -> Result<ExitCode, String> {
    let wall = Instant::now();
    transcript::start(clock, tsv);
    let result = panic::catch_unwind(AssertUnwindSafe(example));
    let (elapsed, wall) = (transcript::stop(), wall.elapsed());
    if tsv && result.is_ok() {
        let (end, wall) = (transcript::seconds(elapsed), transcript::seconds(wall));
        print_raw(&format!("# end {end} {wall}\n"));
    }
    result.unwrap_or_else(|payload| Err(format!("panicked: {}", message(&*payload))))
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("the payload is not text")
}
