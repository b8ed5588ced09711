//! What the project's tools know of the workspace: its sections and examples, their
//! headers, transcripts and tables.
//!
//! It reads only. Sections are known as a user knows them: as packages in `cargo metadata`,
//! and as the text of their sources.
#![warn(clippy::disallowed_methods)]

use std::error::Error;
use std::io::{self, ErrorKind};
use std::process::ExitCode;

/// Returns a [`WrongCall`] with this message.
#[macro_export]
macro_rules! refuse {
    ($($message:tt)*) => {
        return Err($crate::WrongCall(format!($($message)*)).into())
    };
}

pub mod chapters;
pub mod compile_fail;
pub mod component;
pub mod dependencies;
pub mod directives;
pub mod example;
pub mod files;
pub mod header;
pub mod inventory;
mod links;
pub mod platforms;
pub mod process;
pub mod python;
pub mod report;
pub mod speed;
pub mod tables;
pub mod transcript;
pub mod versions;
pub mod workspace;

/// A call that cannot be carried out as it was given: exit code 2, nothing done.
#[derive(Debug)]
pub struct WrongCall(pub String);

impl std::fmt::Display for WrongCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for WrongCall {}

/// Returns the exit code of a program: 0 when all went well, 1 when something failed, 2 when
/// the call was wrong. Prints the error, unless the reader of the output has seen enough.
pub fn ended(result: anyhow::Result<ExitCode>) -> ExitCode {
    let is_closed_pipe = |cause: &(dyn Error + 'static)| {
        let cause = cause.downcast_ref::<io::Error>();
        cause.is_some_and(|cause| cause.kind() == ErrorKind::BrokenPipe)
    };
    match result {
        Ok(code) => code,
        Err(error) if error.chain().any(is_closed_pipe) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<WrongCall>() { 2 } else { 1 })
        }
    }
}

/// The name that is nearest to the wrong one, unless none is near.
pub fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    names
        .map(|name| (strsim::jaro_winkler(&wrong, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}
