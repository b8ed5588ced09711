//! Fail, cancel, time out, try again, and know what happened: the section's examples, in
//! reading order.

#[macro_use(println)]
extern crate harness as tokio;

// Errors
mod catch_an_error;
mod try_except;
mod propagate_with_question_mark;
mod custom_errors;
mod error_context;
mod exit_codes;
mod log_errors;
mod backtraces;

// Many errors
mod fallback;
mod collect_all_errors;
mod gather_errors;
mod first_error_wins;
mod partial_success;

// Failing tasks
mod task_group_errors;
mod panic_in_a_task;

// Timeouts and cancellation
mod call_with_timeout;
mod timeouts;
mod timing;
mod cancellation;
mod shield;
mod shield_and_clean_up;
mod deadlines;
mod cancellation_tree;

// Resilience
mod retry;
mod retry_jitter;
mod retry_budget;
mod hedged_request;
mod circuit_breaker;
mod bulkhead;

// Traps of cancellation
mod cancel_safety;
mod futurelock;
mod timeout_of_blocking_work;
mod http_timeouts;

mod demos;
#[cfg(test)]
mod tests;

harness::section!();
