//! What the project's tools know of the workspace: its sections and examples, their
//! headers, transcripts and tables; and how their programs are run and checked.
//!
//! Sections are known only as a user knows them: as packages in `cargo metadata`, as the
//! text of their sources, and as binaries that are built and run.

/// Returns a [`WrongCall`] with this message.
#[macro_export]
macro_rules! refuse {
    ($($message:tt)*) => {
        return Err($crate::WrongCall(format!($($message)*)).into())
    };
}

pub mod canary;
pub mod check;
pub mod compile_fail;
pub mod dependencies;
pub mod files;
pub mod header;
pub mod inventory;
pub mod process;
pub mod python;
pub mod questions;
pub mod report;
pub mod rustc;
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

impl std::error::Error for WrongCall {}

/// The name that is nearest to the wrong one, unless none is near.
pub fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    names
        .map(|name| (strsim::jaro_winkler(&wrong, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}
