//~ E0658 use of unstable library feature `error_generic_member_access`
//! An error of thiserror with a field of type `Backtrace`.
//!
//! example: backtraces

use std::backtrace::Backtrace;

#[derive(Debug, thiserror::Error)]
#[error("the shop is closed")]
struct Closed {
    backtrace: Backtrace,
}

fn main() {
    drop(Closed { backtrace: Backtrace::capture() });
}
