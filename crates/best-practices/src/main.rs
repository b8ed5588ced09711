//! Tests, debugging, profiling, costs, pitfalls: the section's examples, in reading
//! order.

#[macro_use]
extern crate example_runner;

examples! {
    unit_testing,
    test_timeouts_and_retries,
    test_a_server,
    shared_client_in_tests,
    cancel_everywhere,
    property_test,
    model_checking,
    deterministic_simulation,
    debugging,
    structured_logging (not Send),
    metrics,
    profiling,
    cpu_bound,
    back_pressure,
    batching,
    file_io_speed,
    dos_and_donts,
    pitfalls,
    choose_a_crate,
}
