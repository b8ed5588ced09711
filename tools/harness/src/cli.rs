use std::env;
use std::fmt::Write as _;
use std::process::ExitCode;

use crate::run::{Manner, VARIABLE, run_all, run_as_told};
use crate::transcript::print_raw;
use crate::{Example, Provide};

/// What the command line asks for.
#[derive(Debug, Default)]
struct Call {
    help: bool,
    list: bool,
    names: Vec<String>,
    manner: Manner,
    arguments: Vec<String>,
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
        Some(words) => parse(words.to_string_lossy().split(' ').map(str::to_owned)),
        None => {
            let words = env::args_os().skip(1);
            parse(words.map(|word| word.to_string_lossy().into_owned()))
        }
    };
    let ended = called.and_then(|call| {
        if call.help || call.list {
            let text = if call.help {
                help(section, title)
            } else {
                list(examples)
            };
            print_raw(&text);
            return Ok(ExitCode::SUCCESS);
        }
        let found = call.names.iter().map(|name| find(name, section, examples));
        let mut found = found.collect::<Result<Vec<&Example>, String>>()?;
        if found.is_empty() {
            found.extend(examples);
        }
        if told.is_some() {
            return Ok(run_as_told(found[0], call.manner));
        }
        if found.len() > 1 && !call.arguments.is_empty() {
            return Err("arguments behind `--` go to one example".to_owned());
        }
        let names: Vec<&str> = found.iter().map(|example| example.name).collect();
        let provided = provide(&names)?;
        Ok(provided.unwrap_or_else(|| run_all(&found, call.manner, &call.arguments)))
    });
    ended.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        eprintln!("`cargo run -p {section} -- --help` explains the options.");
        ExitCode::from(2)
    })
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Call, String> {
    let mut call = Call::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-h" | "--help" => call.help = true,
            "--list" => call.list = true,
            "--virtual-time" => call.manner.virtual_time = true,
            "--tsv" => call.manner.tsv = true,
            "--spawn" => call.manner.spawn = true,
            "--" => call.arguments = words.by_ref().collect(),
            word if word.starts_with('-') => return Err(format!("no option `{word}`")),
            _ => call.names.push(word),
        }
    }
    Ok(call)
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
    let found = examples.iter().find(|example| example.name == wanted);
    found.ok_or_else(|| format!("no example `{name}`; --list shows which there are"))
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
