//! Fail, cancel, time out, try again, and know what happened: the section's examples, in
//! reading order.

#[macro_use]
extern crate example_runner;

examples! {
    try_except,
    propagate_with_question_mark,
    custom_errors,
    error_context,
    exit_codes,
    log_errors,
    fallback,
    collect_all_errors,
    gather_errors,
    first_error_wins,
    partial_success,
    task_group_errors,
    panic_in_a_task,
    timeouts,
    timing,
    cancellation,
    shield_and_clean_up,
    deadlines,
    cancellation_tree,
    retry,
    hedged_request,
    circuit_breaker,
    bulkhead,
    cancel_safety,
    futurelock,
    timeout_of_blocking_work,
    http_timeouts,
}
