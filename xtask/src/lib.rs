//! The logic behind `cargo xtask`, shared with the tests over the whole workspace.
//!
//! Sections are known only as a user knows them: as packages in `cargo metadata` and as
//! binaries that are built, asked for their `--list` and run.

pub mod bless;
pub mod check;
pub mod cli;
pub mod copy;
pub mod dependencies;
pub mod header;
pub mod inventory;
pub mod list;
pub mod new;
pub mod process;
pub mod python;
pub mod report;
pub mod scaffold;
pub mod transcript;
pub mod workspace;

use std::fmt;

/// A call that cannot be carried out as it was given: exit code 2, nothing done.
#[derive(Debug)]
pub struct WrongCall(pub String);

impl fmt::Display for WrongCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongCall {}
