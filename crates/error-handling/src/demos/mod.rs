//! Demonstrations of examples, each in the file of its example's name.

pub mod bulkhead;
pub mod cancellation_tree;
pub mod circuit_breaker;
pub mod deadlines;
pub mod first_error_wins;
pub mod gather_errors;
pub mod hedged_request;
pub mod http_timeouts;
pub mod panic_in_a_task;
pub mod partial_success;
pub mod retry;
pub mod shield_and_clean_up;
pub mod task_group_errors;
pub mod timing;
