//! Demonstrations of examples, each in the file of its example's name.

pub mod structured_scope;
pub mod transaction;
