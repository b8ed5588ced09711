//! Tests of the examples, each in the file of its example's name.

mod bulkhead;
mod cancel_safety;
mod cancellation_tree;
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
mod retry_jitter;
mod shield_and_clean_up;
mod support;
mod task_group_errors;
mod timeout_of_blocking_work;
mod timeouts;
mod timing;
