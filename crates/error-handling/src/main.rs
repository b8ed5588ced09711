//! Fail, cancel, time out, try again, and know what happened: the section's examples, in

#[macro_use]
extern crate runner;

mod try_except;
mod propagate_with_question_mark;
mod custom_errors;
mod error_context;
mod exit_codes;
mod log_errors;
mod fallback;
mod collect_all_errors;
mod gather_errors;
mod first_error_wins;
mod partial_success;
mod task_group_errors;
mod panic_in_a_task;
mod timeouts;
mod timing;
mod cancellation;
mod shield_and_clean_up;
mod deadlines;
mod cancellation_tree;
mod retry;
mod hedged_request;
mod circuit_breaker;
mod bulkhead;
mod cancel_safety;
mod futurelock;
mod timeout_of_blocking_work;
mod http_timeouts;

#[cfg(test)]
mod tests;

runner::section!();
