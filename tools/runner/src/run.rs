use std::any::Any;
use std::env;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::process::{Command, ExitCode};
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};

use crate::clock::{Clock, or_deadlock, paused_runtime};
use crate::transcript::{self, Form, print_raw};
use crate::{Example, Run};

/// The environment variable that tells the section's executable to run one example, as
/// words: those of [`Manner::words`], and the name. The arguments are the example's own.
const VARIABLE: &str = "EXAMPLE_RUNNER_RUN";

/// How the examples are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// Skip the waits, unless the example needs the real clock.
    pub virtual_time: bool,
    /// Inside `tokio::spawn`, as code is that a reader has pasted into a server.
    pub spawn: bool,
    pub form: Form,
}

impl Manner {
    /// What a user gets who asks for nothing.
    pub const PLAIN: Self = Self {
        virtual_time: false,
        spawn: false,
        form: Form::Plain,
    };

    fn words(self) -> [&'static str; 3] {
        [
            if self.virtual_time { "virtual" } else { "real" },
            if self.spawn { "spawn" } else { "call" },
            match self.form {
                Form::Plain => "plain",
                Form::Tsv => "tsv",
            },
        ]
    }

    fn parse(words: &[&str]) -> Self {
        Self {
            virtual_time: words.contains(&"virtual"),
            spawn: words.contains(&"spawn"),
            form: match words.contains(&"tsv") {
                true => Form::Tsv,
                false => Form::Plain,
            },
        }
    }
}

/// Runs each example in a process of its own, one after the other, and returns whether
/// all ended as they are meant to. So an example sees no arguments but its own, and what
/// it sets for the whole process (a logger, a panic hook) does not meet the next one.
pub fn run_all(examples: &[&Example], manner: Manner, arguments: &[String]) -> ExitCode {
    let mut failed = false;
    for (index, example) in examples.iter().enumerate() {
        if examples.len() > 1 && manner.form != Form::Tsv {
            let gap = if index == 0 { "" } else { "\n" };
            print_raw(&format!("{gap}# {}: {}\n", example.name, example.summary()));
        }
        let command = env::current_exe().map(|program| {
            let mut command = Command::new(program);
            let words = [&manner.words()[..], &[example.name]].concat();
            command.args(arguments).env(VARIABLE, words.join(" "));
            command
        });
        let ended = match command {
            // With nothing left to do, this process becomes the example's, so that whoever
            // ends it ends the example.
            Ok(command) if examples.len() == 1 => become_this(command),
            Ok(mut command) => command.status().map(|status| {
                status.success() || example.exits_with_error() && status.code() == Some(1)
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

/// Runs the example that the environment names, if it names one.
pub fn run_as_told(examples: &[Example]) -> Option<ExitCode> {
    let told = env::var(VARIABLE).ok()?;
    let words: Vec<&str> = told.split(' ').collect();
    let (name, words) = words.split_last()?;
    let example = examples.iter().find(|example| example.name == *name)?;
    let manner = Manner::parse(words);
    if manner.form == Form::Tsv {
        print_raw(&format!("# {name}\n"));
    }
    Some(match run_one(example, manner) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("error: {name}: {message}");
            ExitCode::FAILURE
        }
    })
}

fn run_one(example: &Example, manner: Manner) -> Result<ExitCode, String> {
    let paused = manner.virtual_time && !example.needs_real_clock();
    let runtime = if paused {
        paused_runtime()?
    } else if manner.spawn {
        Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("cannot build the runtime: {error}"))?
    } else {
        return timed(Clock::real(), manner.form, example.main);
    };
    let clock = if paused {
        Clock::of(&runtime)
    } else {
        Clock::real()
    };
    timed(clock, manner.form, || {
        let result = match (example.run, manner.spawn) {
            (Run::Send(run), true) => block_on(&runtime, paused, spawned(run)),
            (Run::Send(run), false) => block_on(&runtime, paused, run()),
            (Run::Local(_), true) => Err("`run` is not Send".to_owned()),
            (Run::Local(run), false) => block_on(&runtime, paused, run()),
        };
        drop(runtime);
        result
    })
}

fn block_on(
    runtime: &Runtime,
    paused: bool,
    example: impl Future<Output = Result<ExitCode, String>>,
) -> Result<ExitCode, String> {
    if paused {
        runtime.block_on(or_deadlock(example))
    } else {
        runtime.block_on(example)
    }
}

async fn spawned(run: fn() -> crate::SendFuture) -> Result<ExitCode, String> {
    match tokio::spawn(run()).await {
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
    form: Form,
    example: impl FnOnce() -> Result<ExitCode, String>,
) -> Result<ExitCode, String> {
    let wall = Instant::now();
    transcript::start(clock, form);
    let result = panic::catch_unwind(AssertUnwindSafe(example));
    let (elapsed, wall) = (transcript::stop(), wall.elapsed());
    if form == Form::Tsv && result.is_ok() {
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
