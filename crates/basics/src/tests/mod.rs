//! Tests of the examples, each in the file of its example's name.

mod async_main_with_args;
mod awaitables;
mod background_tasks;
mod build_a_runtime;
mod call_async_from_sync;
mod cooperative_loops;
mod done_callbacks;
mod drop_a_join_set;
mod drop_or_detach;
mod oneshot_and_set_once;
mod recursion;
mod replies_by_number;
mod runtime_on_a_thread;
mod scheduled_callbacks;
mod select_biased;
mod send_and_local;
mod share_state;
mod spawn_from_a_thread;
mod spawn_order;
mod task_locals;
mod task_results;
mod task_state;
mod timers;
mod yield_now;
