//! Tests, debugging, profiling, costs, pitfalls: the section's examples, in reading
//! order.

#[macro_use(println)]
extern crate harness as tokio;

// Tests
mod unit_testing;
mod from_pytest;
mod test_timeouts_and_retries;
mod test_a_server;
mod shared_client_in_tests;
mod cancel_everywhere;
mod property_test;
mod model_checking;
mod deterministic_simulation;

// Observe
mod debugging;
mod task_dump;
mod watchdog;
mod structured_logging;
mod json_logs;
mod opentelemetry_trace;
mod metrics;
mod profiling;

// Costs
mod heavy_computation;
mod cpu_bound;
mod back_pressure;
mod batching;
mod file_io_speed;

// Choices
mod dos_and_donts;
mod lints;
mod async_api_design;
mod pitfalls;
mod choose_a_crate;

mod demos;
#[cfg(test)]
mod tests;

harness::section!();
