//! Demonstrations of examples, each in the file of its example's name.

pub mod async_main_with_args;
