//! Demonstrations of examples, each in the file of its example's name.

pub mod metrics;
pub mod test_a_server;
pub mod unit_testing;
