//! Tests of the examples, each in the file of its example's name.

mod async_api_design;
mod back_pressure;
mod batching;
mod batching_peers;
mod cancel_everywhere;
mod changed_a_little;
mod choose_a_crate;
mod cpu_bound;
mod debugging;
mod deterministic_simulation;
mod dos_and_donts;
mod file_io_speed;
mod from_pytest;
mod heavy_computation;
mod json_logs;
mod lints;
mod metrics;
mod model_checking;
mod opentelemetry_trace;
mod pitfalls;
mod profiling;
mod property_test;
mod shared_client_in_tests;
mod structured_logging;
#[cfg(unix)]
mod task_dump;
mod test_a_server;
mod test_timeouts_and_retries;
mod unit_testing;
mod watchdog;
