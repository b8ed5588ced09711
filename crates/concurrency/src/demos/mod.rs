//! Demonstrations of examples, each in the file of its example's name.

pub mod event_emitter;
pub mod task_group;
pub mod worker_pool;
