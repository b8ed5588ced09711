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
    timers,
    yield_now,
    blocking_vs_async,
    cooperative_loops,
    drop_or_detach,
    background_tasks,
    borrow_or_spawn,
    send_and_local (not Send),
    share_state,
    recursion,
    boxed_futures,
    scheduled_callbacks,
    awaitables,
    futures_by_hand,
    select_in_a_loop,
    task_locals,
    async_main_with_args,
    build_a_runtime,
    join_or_spawn,
    call_async_from_sync,
    spawn_from_a_thread,
    runtime_on_a_thread,
}
