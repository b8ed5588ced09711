//! Demonstrations of examples, each in the file of its example's name.

pub mod actor;
pub mod condition_queue;
pub mod event_emitter;
pub mod priority_queue;
pub mod task_group;
pub mod single_flight;
pub mod worker_pool;
