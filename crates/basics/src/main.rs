//! What an asyncio developer has to know first: the section's examples, in reading order.

#[macro_use]
extern crate example_runner;

examples! {
    hello_async,
    lazy_futures,
    async_functions,
    sequential_vs_concurrent,
    suspend_and_resume,
    interleaving,
    spawn_tasks,
    task_results,
    task_state,
    blocking_vs_async,
    scheduled_callbacks,
    awaitables,
    build_a_runtime,
    runtime_on_a_thread,
}
