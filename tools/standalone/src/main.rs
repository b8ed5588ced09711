//! `asyncio-to-tokio`: find, read and copy the examples, and port, outside a clone.
//!
//! The texts are in the binary, where the same code reads them as in a clone.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use cargo_metadata::MetadataCommand;
use catalog::files;
use catalog::workspace::Workspace;
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use miniz_oxide::inflate::decompress_to_vec_zlib;

const ARCHIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/archive"));

/// Where the texts seem to be.
const ROOT: &str = "asyncio-to-tokio";

/// Finds, shows and copies verified examples that lead from asyncio to Tokio.
///
/// An example is named SECTION/EXAMPLE, or EXAMPLE where only one section has it.
#[derive(Parser)]
#[command(name = "asyncio-to-tokio", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the completions for a shell.
    Completions { shell: Shell },
    #[command(flatten)]
    Reading(reading::Command),
}

fn run(command: &Command) -> Result<ExitCode> {
    let command = match command {
        Command::Reading(command) => command,
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), ROOT, &mut out);
            io::stdout().lock().write_all(&out)?;
            return Ok(ExitCode::SUCCESS);
        }
    };

    let texts = decompress_to_vec_zlib(ARCHIVE).map_err(|error| anyhow!("{error}"))?;
    let mut texts: BTreeMap<String, String> = serde_json::from_slice(&texts)?;
    let metadata = texts.remove("metadata.json").unwrap_or_default();
    let metadata = MetadataCommand::parse(metadata.replace("{root}", ROOT))?;
    let texts = texts.into_iter();
    let texts = texts.map(|(path, text)| (Path::new(ROOT).join(path), text));
    files::embed(texts.collect());
    command.run(&Workspace::of(metadata, "asyncio-to-tokio")?)
}

fn main() -> ExitCode {
    catalog::ended(run(&Cli::parse().command))
}
