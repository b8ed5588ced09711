//! Run many things concurrently, wait for some of them, share and hand over: the
//! section's examples, in reading order.

#[macro_use(println)]
extern crate harness as tokio;

// Run many and wait
mod gather_results;
mod gather;
mod wait_all;
mod wait_with_timeout;
mod as_completed;
mod join_map;
mod batches;

// The first of many
mod race;
mod first_completed;
mod first_success;
mod wait_for_first;

// Task groups
mod join_set_group;
mod task_group;

// Limits
mod limit_concurrency;
mod semaphore;
mod map_with_limit;
mod map_in_tasks;
mod background_task;
mod debounce_and_throttle;
mod resizable_limit;

// Locks and shared state
mod lost_update;
mod lock;
mod lock_per_key;
mod rw_lock;
mod deadlock;
mod once_cell;

// Signals and values
mod event;
mod barrier;
mod watch_a_value;
mod broadcast;

// Queues
mod producer_consumer;
mod try_send;
mod receiver_that_never_ends;
mod many_producers_many_consumers;

// Worker pools
mod queue_workers;
mod worker_pool;
mod pool_with_results;
mod drain_what_waits;
mod queue_join;
mod queue_shutdown;
mod fan_out_fan_in;

// Special queues
mod priority_queue;
mod condition_queue;
mod pipeline;

// Components
mod single_flight;
mod restart_with_backoff;
mod event_callbacks;
mod event_emitter;
mod actor;

mod demos;
#[cfg(test)]
mod tests;

harness::section!();
