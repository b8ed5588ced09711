//! Claims of the headers that the files' own tests cannot hold.

mod error_context;
mod exit_codes;
