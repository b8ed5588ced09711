//! Tests of the examples, each in the file of its example's name.

mod back_pressure;
mod batching;
mod cancel_everywhere;
mod choose_a_crate;
mod cpu_bound;
mod debugging;
mod dos_and_donts;
mod file_io_speed;
mod metrics;
mod profiling;
mod structured_logging;
mod test_a_server;
