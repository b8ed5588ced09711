//! Run many things at once, wait for some of them, share and hand over: the section's
//! examples, in reading order.

#[macro_use]
extern crate example_runner;

examples! {
    gather,
    wait_all,
    first_completed,
    as_completed,
    select_all_of,
    task_group,
    join_map,
    batches,
    semaphore,
    map_with_limit,
    rate_of_spawning,
    background_task,
    lost_update,
    lock,
    rw_lock,
    deadlock,
    once_cell,
    event,
    barrier,
    watch_a_value,
    broadcast,
    producer_consumer,
    try_send,
    receiver_that_never_ends,
    many_producers_many_consumers,
    worker_pool,
    drain_what_waits,
    queue_join,
    queue_shutdown,
    fan_out_fan_in,
    priority_queue,
    condition_queue,
    pipeline,
    single_flight,
    event_emitter,
    actor,
}
