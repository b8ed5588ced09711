//! Makes the book; `cargo xtask book` calls it.

use std::process::ExitCode;

fn main() -> ExitCode {
    book::cli::main()
}
