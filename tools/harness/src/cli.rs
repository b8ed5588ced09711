use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::process::ExitCode;

use crate::run::{Manner, VARIABLE, run_all, run_as_told};
use crate::transcript::print_raw;
use crate::{Example, Provide};

#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    List,
    Run {
        names: Vec<String>,
        manner: Manner,
        arguments: Vec<String>,
    },
}

/// The whole command line of a section: `section` is the package's name, `title` its
/// description. [`section!`](crate::section) calls it.
///
/// Exit code 0 when all went well, 1 when an example returned an error or panicked, 2
/// when the call was wrong, in which case nothing has run.
pub fn run_section(
    section: &str,
    title: &str,
    examples: &[Example],
    provide: Provide,
) -> ExitCode {
    let told = env::var_os(VARIABLE);
    let called = match &told {
        Some(words) => parse(words.to_string_lossy().split(' ').map(OsString::from)),
        None => parse(env::args_os().skip(1)),
    };
    let called = called.and_then(|command| {
        match command {
            Command::Help => print_raw(&help(section, title)),
            Command::List => print_raw(&list(examples)),
            Command::Run {
                names,
                manner,
                arguments,
            } => {
                let found = if names.is_empty() {
                    examples.iter().collect()
                } else {
                    let found = names.iter().map(|name| find(name, section, examples));
                    found.collect::<Result<Vec<&Example>, String>>()?
                };
                if told.is_some() {
                    return Ok(run_as_told(found[0], manner));
                }
                if found.len() > 1 && !arguments.is_empty() {
                    return Err("arguments behind `--` go to one example".to_owned());
                }
                let names: Vec<&str> = found.iter().map(|example| example.name).collect();
                if let Some(code) = provide(&names)? {
                    return Ok(code);
                }
                return Ok(run_all(&found, manner, &arguments));
            }
        }
        Ok(ExitCode::SUCCESS)
    });
    called.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        eprintln!("`cargo run -p {section} -- --help` explains the options.");
        ExitCode::from(2)
    })
}

fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut names = Vec::new();
    let mut list = false;
    let mut manner = Manner::default();
    let mut args = args.map(|arg| {
        arg.into_string()
            .map_err(|arg| format!("the argument {} is not UTF-8", arg.display()))
    });
    let mut arguments = Vec::new();
    while let Some(arg) = args.next() {
        match arg?.as_str() {
            "-h" | "--help" => return Ok(Command::Help),
            "--list" => list = true,
            "--virtual-time" => manner.virtual_time = true,
            "--tsv" => manner.tsv = true,
            "--spawn" => manner.spawn = true,
            "--" => arguments = args.by_ref().collect::<Result<_, _>>()?,
            arg if arg.starts_with('-') => return Err(format!("no option `{arg}`")),
            name => names.push(name.to_owned()),
        }
    }
    let alone = names.is_empty() && manner == Manner::default() && arguments.is_empty();
    match list {
        true if alone => Ok(Command::List),
        true => Err("--list goes with nothing else".to_owned()),
        false => Ok(Command::Run {
            names,
            manner,
            arguments,
        }),
    }
}

/// The example of this name, which may have the section's before it.
fn find<'a>(
    name: &str,
    section: &str,
    examples: &'a [Example],
) -> Result<&'a Example, String> {
    let lower = name.to_lowercase();
    let wanted = match lower.split_once('/') {
        Some((before, name)) if before == section => name,
        _ => &lower,
    };
    if let Some(found) = examples.iter().find(|example| example.name == wanted) {
        return Ok(found);
    }
    Err(format!("no example `{name}`; --list shows which there are"))
}

fn help(section: &str, title: &str) -> String {
    format!(
        "\
{title}

Usage: cargo run -p {section} -- [OPTIONS] [EXAMPLE]... [-- ARGUMENTS]

Arguments:
  [EXAMPLE]...          The examples to run, in this order; without a name, all of them
  [-- ARGUMENTS]        What the program of a single example is given

Options:
      --virtual-time    Skip the waits; the printed times stay exact
      --spawn           Run each example inside `tokio::spawn`
      --tsv             Print seconds, task id and text, separated by tabs, between lines
                        that begin with #: the example's name, and its end
      --list            Print every example with its summary
  -h, --help            Print this help

Each line shows the seconds since the start of its example.
"
    )
}

fn list(examples: &[Example]) -> String {
    let width = examples.iter().map(|example| example.name.len()).max();
    let width = width.unwrap_or_default();
    let mut text = String::new();
    for example in examples {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:width$}  {}", example.name, example.summary());
    }
    text
}
