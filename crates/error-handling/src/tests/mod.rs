//! Tests of the examples, each in the file of its example's name.

mod attacks;
mod backtraces;
mod bulkhead;
mod call_with_timeout;
mod cancel_safety;
mod cancellation_tree;
mod catch_an_error;
mod changed_a_little;
mod circuit_breaker;
mod deadlines;
mod fallback;
mod first_error_wins;
mod futurelock;
mod gather_errors;
mod hedged_request;
mod http_timeouts;
mod panic_in_a_task;
mod partial_success;
mod retry;
mod retry_budget;
mod retry_jitter;
mod shield;
mod shield_and_clean_up;
#[path = "../../../../tools/harness/support.rs"]
mod support;
mod task_group_errors;
mod timeout_of_blocking_work;
mod timeouts;
mod timing;
