//! Tests of the examples, each in the file of its example's name.

mod back_pressure;
mod batching;
mod cancel_everywhere;
mod choose_a_crate;
mod cpu_bound;
mod debugging;
mod deterministic_simulation;
mod dos_and_donts;
mod file_io_speed;
mod metrics;
mod model_checking;
mod pitfalls;
mod profiling;
mod property_test;
mod shared_client_in_tests;
mod structured_logging;
mod test_a_server;
mod test_timeouts_and_retries;
mod unit_testing;
mod watchdog;
