use std::any::Any;
use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use tokio::runtime::Builder;

use crate::suggest::nearest;
use crate::transcript::{self, Form, print_raw};
use crate::{Example, Run};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    Real,
    Virtual,
}

/// How the examples are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Manner {
    clock: Clock,
    form: Form,
    /// Inside `tokio::spawn`, as code is that a reader has pasted into a server.
    spawn: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    List(Form),
    Source(String),
    Run { names: Vec<String>, manner: Manner },
}

/// The whole command line of a section: `section` is the package's name, `title` its
/// description. [`examples!`](crate::examples) calls it.
///
/// Exit code 0 when all went well, 1 when an example returned an error or panicked, 2
/// when the call was wrong, in which case nothing has run.
pub fn run_section(section: &str, title: &str, examples: &[Example]) -> ExitCode {
    let command = match parse(env::args_os().skip(1)) {
        Ok(command) => command,
        Err(message) => return wrong_call(section, &message),
    };
    match command {
        Command::Help => print_raw(&help(section, title)),
        Command::List(form) => print_raw(&list(examples, form)),
        Command::Source(name) => match find(&name, examples) {
            Ok(example) => print_raw(example.source),
            Err(message) => return wrong_call(section, &message),
        },
        Command::Run { names, manner } => {
            let found: Result<Vec<&Example>, String> = if names.is_empty() {
                Ok(examples.iter().collect())
            } else {
                names.iter().map(|name| find(name, examples)).collect()
            };
            match found {
                Ok(found) => return run_all(&found, manner),
                Err(message) => return wrong_call(section, &message),
            }
        }
    }
    ExitCode::SUCCESS
}

fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut names = Vec::new();
    let mut sources = Vec::new();
    let mut list = false;
    let mut clock = Clock::Real;
    let mut form = Form::Plain;
    let mut spawn = false;
    let mut args = args.map(|arg| {
        arg.into_string()
            .map_err(|arg| format!("the argument {} is not UTF-8", arg.display()))
    });
    while let Some(arg) = args.next() {
        match arg?.as_str() {
            "-h" | "--help" => return Ok(Command::Help),
            "--list" => list = true,
            "--virtual-time" => clock = Clock::Virtual,
            "--tsv" => form = Form::Tsv,
            "--spawn" => spawn = true,
            "--source" => match args.next() {
                Some(name) => sources.push(name?),
                None => return Err("--source needs the name of an example".to_owned()),
            },
            arg if arg.starts_with("--source=") => {
                sources.push(arg["--source=".len()..].to_owned());
            }
            arg if arg.starts_with('-') => return Err(format!("no option `{arg}`")),
            name => names.push(name.to_owned()),
        }
    }
    let manner = Manner { clock, form, spawn };
    let plain = Manner {
        clock: Clock::Real,
        form: Form::Plain,
        spawn: false,
    };
    match (list, sources.len()) {
        (false, 0) => Ok(Command::Run { names, manner }),
        (true, 0) if names.is_empty() && manner == (Manner { form, ..plain }) => {
            Ok(Command::List(form))
        }
        (true, 0) => {
            Err("--list lists every example and goes with --tsv only".to_owned())
        }
        (false, 1) if names.is_empty() && manner == plain => {
            Ok(Command::Source(sources.remove(0)))
        }
        _ => Err("--source takes one example and goes with nothing else".to_owned()),
    }
}

fn wrong_call(section: &str, message: &str) -> ExitCode {
    eprintln!("error: {message}");
    eprintln!("`cargo run -p {section} -- --help` explains the options.");
    ExitCode::from(2)
}

fn find<'a>(name: &str, examples: &'a [Example]) -> Result<&'a Example, String> {
    examples
        .iter()
        .find(|example| example.name == name)
        .ok_or_else(
            || match nearest(name, examples.iter().map(|example| example.name)) {
                Some(near) => format!("no example `{name}`; did you mean `{near}`?"),
                None => format!("no example `{name}`; --list shows which there are"),
            },
        )
}

fn help(section: &str, title: &str) -> String {
    format!(
        "\
{title}

Usage: cargo run -p {section} -- [OPTIONS] [EXAMPLE]...

Arguments:
  [EXAMPLE]...          The examples to run, in this order; without a name, all of them

Options:
      --virtual-time    Skip the waits; the printed times stay exact
      --spawn           Run each example inside `tokio::spawn`
      --tsv             Print seconds, task id (- outside a task) and text, separated by
                        tabs; lines that begin with # mark an example's start and end
      --list            Print every example with its summary; with --tsv also whether
                        its `run` is Send
      --source EXAMPLE  Print the source file, a complete program
  -h, --help            Print this help

Each line shows the seconds since the start of its example.
"
    )
}

fn list(examples: &[Example], form: Form) -> String {
    let width = examples.iter().map(|example| example.name.len()).max();
    let width = width.unwrap_or_default();
    let mut text = String::new();
    for example in examples {
        let (name, summary) = (example.name, example.summary());
        let send = match example.run {
            Run::Send(_) => "Send",
            Run::Local(_) => "not Send",
        };
        // Writing to a String cannot fail.
        let _ = match form {
            Form::Plain => writeln!(text, "{name:width$}  {summary}"),
            Form::Tsv => writeln!(text, "{name}\t{summary}\t{send}"),
        };
    }
    text
}

fn run_all(examples: &[&Example], manner: Manner) -> ExitCode {
    let mut failed = false;
    for (index, example) in examples.iter().enumerate() {
        match manner.form {
            Form::Tsv => print_raw(&format!("# {}\n", example.name)),
            Form::Plain if examples.len() > 1 => {
                let gap = if index == 0 { "" } else { "\n" };
                print_raw(&format!("{gap}# {}: {}\n", example.name, example.summary()));
            }
            Form::Plain => {}
        }
        if let Err(message) = run_one(example, manner) {
            eprintln!("error: {}: {message}", example.name);
            failed = true;
        }
    }
    ExitCode::from(u8::from(failed))
}

fn run_one(
    example: &Example,
    Manner { clock, form, spawn }: Manner,
) -> Result<(), String> {
    let mut builder = match clock {
        Clock::Virtual if !example.needs_real_clock() => {
            let mut builder = Builder::new_current_thread();
            builder.start_paused(true);
            builder
        }
        _ if spawn => Builder::new_multi_thread(),
        _ => return timed(form, example.main),
    };
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| format!("cannot build the runtime: {error}"))?;
    // Stays entered until the end, so that a destructor that prints while the runtime
    // shuts down still reads the paused clock.
    let handle = runtime.handle().clone();
    let _context = handle.enter();
    timed(form, || {
        let result = match example.run {
            Run::Send(run) if spawn => {
                match runtime.block_on(async { tokio::spawn(run()).await }) {
                    Ok(result) => result,
                    Err(error) => match error.try_into_panic() {
                        Ok(payload) => panic::resume_unwind(payload),
                        Err(error) => Err(error.to_string()),
                    },
                }
            }
            Run::Local(_) if spawn => Err("`run` is not Send".to_owned()),
            Run::Send(run) => runtime.block_on(run()),
            Run::Local(run) => runtime.block_on(run()),
        };
        drop(runtime);
        result
    })
}

/// Runs the example from the start of its clock to its end; a panic becomes an error.
fn timed(form: Form, example: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    transcript::start(form);
    let result = panic::catch_unwind(AssertUnwindSafe(example));
    let elapsed = transcript::stop();
    match result {
        Ok(Ok(())) => {
            if form == Form::Tsv {
                print_raw(&format!("# end {}\n", transcript::seconds(elapsed)));
            }
            Ok(())
        }
        Ok(Err(message)) => Err(message),
        Err(payload) => Err(format!("panicked: {}", panic_message(&*payload))),
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("the payload is not text")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{Clock, Command, Manner, parse};
    use crate::transcript::Form;

    fn parsed(args: &[&str]) -> Result<Command, String> {
        parse(args.iter().map(OsString::from))
    }

    #[test]
    fn names_and_options_in_any_order() {
        assert_eq!(
            parsed(&["b", "--virtual-time", "a", "--tsv", "--spawn"]),
            Ok(Command::Run {
                names: vec!["b".to_owned(), "a".to_owned()],
                manner: Manner {
                    clock: Clock::Virtual,
                    form: Form::Tsv,
                    spawn: true
                },
            })
        );
        assert_eq!(parsed(&["--list"]), Ok(Command::List(Form::Plain)));
        assert_eq!(parsed(&["--list", "--tsv"]), Ok(Command::List(Form::Tsv)));
        assert_eq!(
            parsed(&["--source", "a"]),
            Ok(Command::Source("a".to_owned()))
        );
        assert_eq!(parsed(&["--source=a"]), Ok(Command::Source("a".to_owned())));
        assert_eq!(parsed(&["a", "-h"]), Ok(Command::Help));
    }

    #[test]
    fn calls_that_make_no_sense_are_refused() {
        for args in [
            &["--lst"][..],
            &["-x"],
            &["--source"],
            &["--source", "a", "--list"],
            &["--source", "a", "--source", "b"],
            &["--source", "a", "b"],
            &["--list", "a"],
            &["--list", "--virtual-time"],
            &["--list", "--spawn"],
            &["--source", "a", "--tsv"],
        ] {
            assert!(parsed(args).is_err(), "{args:?} was accepted");
        }
    }
}
