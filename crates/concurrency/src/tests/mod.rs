//! Tests of the examples, each in the file of its example's name.

mod actor;
mod batches;
mod broadcast;
mod condition_queue;
mod drain_what_waits;
mod event;
mod event_emitter;
mod fan_out_fan_in;
mod first_completed;
mod first_success;
mod gather;
mod many_producers_many_consumers;
mod map_in_tasks;
mod map_with_limit;
mod priority_queue;
mod queue_join;
mod queue_shutdown;
mod rw_lock;
mod semaphore;
mod single_flight;
mod support;
mod task_group;
mod try_send;
mod wait_all;
mod wait_for_first;
mod worker_pool;
