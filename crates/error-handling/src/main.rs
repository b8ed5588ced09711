//! Fail, cancel, time out, try again, and know what happened: the section's examples, in
//! reading order.

#[macro_use]
extern crate example_runner;

examples! {
    try_except,
    custom_errors,
    gather_errors,
    task_group_errors,
    timeouts,
    timing,
    cancellation,
    shield_and_clean_up,
    retry,
    circuit_breaker,
    http_timeouts,
}
