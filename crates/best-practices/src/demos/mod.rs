//! Demonstrations of examples, each in the file of its example's name.

pub mod batching;
pub mod cancel_everywhere;
pub mod cpu_bound;
pub mod deterministic_simulation;
pub mod file_io_speed;
pub mod from_pytest;
pub mod json_logs;
pub mod metrics;
pub mod model_checking;
pub mod opentelemetry_trace;
pub mod property_test;
pub mod shared_client_in_tests;
pub mod task_dump;
pub mod test_a_server;
pub mod test_timeouts_and_retries;
pub mod unit_testing;
