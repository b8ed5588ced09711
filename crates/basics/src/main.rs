//! What an asyncio developer has to know first: the section's examples, in reading order.

#[macro_use(println)]
extern crate harness as tokio;

// First steps
mod hello_async;
mod async_fn;
mod lazy_futures;
mod async_functions;
mod dyn_async_trait;
mod sequential_vs_concurrent;
mod suspend_and_resume;
mod interleaving;
mod awaitables;
mod async_constructor;

// Tasks
mod create_task;
mod spawn_tasks;
mod spawn_order;
mod task_results;
mod task_state;
mod task_in_a_struct;
mod wait_until_ready;

// Time and blocking
mod timers;
mod call_later;
mod scheduled_callbacks;
mod yield_now;
mod sync_vs_async;
mod blocking_vs_async;
mod cooperative_loops;

// Background tasks and shared state
mod drop_or_detach;
mod drop_a_join_set;
mod background_tasks;
mod panic_hook;
mod borrow_or_spawn;
mod send_and_local;
mod share_state;

// Futures as values
mod recursion;
mod boxed_futures;
mod handlers_with_state;
mod shared_future;
mod future_by_hand;
mod oneshot_and_set_once;
mod replies_by_number;
mod done_callbacks;

// Waiting for several things
mod select_in_a_loop;
mod select_in_a_struct;
mod select_biased;
mod task_locals;

// Runtimes and threads
mod async_main_with_args;
mod build_a_runtime;
mod join_or_spawn;
mod call_async_from_sync;
mod spawn_from_a_thread;
mod thread_waits_for_task;
mod runtime_on_a_thread;
mod runtime_per_thread;
mod poll_by_hand;

mod demos;
#[cfg(test)]
mod tests;

harness::section!();
