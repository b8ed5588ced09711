//! What readers do with the examples: the commands that need their text alone. `cargo xtask`
//! and `asyncio-to-tokio`, which is installed and needs no clone, are two doors to them.

pub mod copy;
pub mod copy_into;
mod find;
mod guide;
mod list;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{self, ExitCode};

use anyhow::{Context as _, Result};
use catalog::WrongCall;
use catalog::files;
use catalog::python::Python;
use catalog::workspace::Workspace;
use clap::Subcommand;

/// A command of a reader.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a Cargo project from one example, with only the dependencies that it uses; or,
    /// with --into, add examples to a project that exists.
    Copy {
        /// The example, with or without its section.
        example: String,
        /// The project's folder: a new or empty one. With --into, the second example.
        #[arg(required_unless_present_any = ["print_manifest", "into"])]
        dir: Option<PathBuf>,
        /// With --into, further examples.
        #[arg(value_name = "EXAMPLE", requires = "into")]
        more: Vec<String>,
        /// Print the dependencies for a Cargo.toml, and make nothing.
        #[arg(long, conflicts_with = "dir")]
        print_manifest: bool,
        /// Add the examples to the package in this folder: files, `mod` lines, dependencies.
        #[arg(long, value_name = "PROJECT", conflicts_with = "print_manifest")]
        into: Option<PathBuf>,
        /// Add only the component, without `main` and what only `main` calls.
        #[arg(long, requires = "into")]
        only: bool,
        /// Say what would be added, and write nothing.
        #[arg(long, requires = "into")]
        dry_run: bool,
    },
    /// Find examples by your own words: a question, a name of Python or Rust, a message.
    Find {
        /// Print JSON; before the words.
        #[arg(long)]
        json: bool,
        /// Any words, a whole sentence, or a file such as a traceback; without words, standard
        /// input is read.
        #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
        words: Vec<String>,
    },
    /// Print the blocks of a guide to asyncio in their order, with the examples that answer
    /// them; without a name, the guides.
    Guide {
        /// The number of the guide, or words of its title.
        guide: Vec<String>,
    },
    /// Print every example with its summary.
    List {
        /// Print JSON, with the numbers of the traps.
        #[arg(long)]
        json: bool,
    },
    /// Report what a Python file or project uses of asyncio and other libraries: line, counterpart,
    /// example and trap of each use, and the crates that its port will need.
    #[command(disable_help_flag = true)]
    Port {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        /// What `port --help` tells of.
        arguments: Vec<OsString>,
    },
    /// Print an example: header, both programs, transcript; or a chapter.
    Show {
        /// The example, with or without its section; or a chapter, as `find` names it.
        example: String,
    },
}

impl Command {
    /// Does what the command says, and prints the result.
    ///
    /// # Errors
    ///
    /// A [`WrongCall`] when the command names what is not there. Any other error when a file
    /// or standard output cannot be read or written.
    pub fn run(&self, workspace: &Workspace) -> Result<ExitCode> {
        let text = match self {
            Self::Copy {
                example,
                dir,
                more,
                into: Some(project),
                only,
                dry_run,
                ..
            } => {
                let second = dir.iter().map(|dir| dir.display().to_string());
                let names = [example.clone()].into_iter().chain(second);
                let examples = names
                    .chain(more.iter().cloned())
                    .map(|name| workspace.example(&name))
                    .collect::<Result<Vec<_>>>()?;
                copy_into::copy_into(workspace, &examples, project, *only, *dry_run)?
            }
            Self::Copy { example, dir, .. } => {
                let example = workspace.example(example)?;
                match dir {
                    Some(dir) => copy::copy(workspace, example, dir)?,
                    None => copy::dependency_block(workspace, example)?,
                }
            }
            Self::Find { json, words } => find::find(workspace, words, *json)?,
            Self::Guide { guide } => guide::guide(workspace, guide)?,
            Self::List { json: true } => list::json(workspace),
            Self::List { json: false } => list::list(workspace),
            Self::Port { arguments } => return port(workspace, arguments),
            Self::Show { example } if is_chapter(example) => {
                let (path, _) = example.split_once('#').unwrap_or((example, ""));
                files::read(&workspace.root.join(path))?
            }
            Self::Show { example } => list::show(workspace, workspace.example(example)?)?,
        };
        io::stdout().lock().write_all(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn is_chapter(name: &str) -> bool {
    name.starts_with("docs/chapters/")
}

/// Runs the program that reads Python, which takes the arguments as well. Of the variables
/// of the environment it needs none that Python knows, such as `PYTHONPATH`.
fn port(workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode> {
    let python = Python::find().map_err(WrongCall)?;
    // Python reads the texts from the disk.
    let unpacked = files::unpack()?;
    let root = unpacked.as_ref().unwrap_or(&workspace.root);
    let mut command = process::Command::new(python.program());
    command.env("ASYNCIO_TO_TOKIO", workspace.command);
    command.args(["-E", "-X", "utf8"]);
    command.arg(root.join("tools/python/port.py"));
    let ended = exit_code(command.args(arguments));
    if let Some(folder) = unpacked {
        fs::remove_dir_all(folder)?;
    }
    ended
}

/// Runs a program and returns its exit code.
///
/// # Errors
///
/// When it cannot be started.
pub fn exit_code(command: &mut process::Command) -> Result<ExitCode> {
    let program = command.get_program().display().to_string();
    let status = command.status();
    let status = status.with_context(|| format!("cannot run {program}"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
