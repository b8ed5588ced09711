//! Demonstrations of examples, each in the file of its example's name.

pub mod circuit_breaker;
pub mod retry;
