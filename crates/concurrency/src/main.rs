//! Run many things at once, wait for some of them, share and hand over: the section's
//! examples, in reading order.

#[macro_use]
extern crate example_runner;

examples! {
    gather,
    wait_all,
    first_completed,
    as_completed,
    task_group,
    batches,
    semaphore,
    background_task,
    lost_update,
    lock,
    producer_consumer,
    many_producers_many_consumers,
    queue_shutdown,
    condition_queue,
    event_emitter,
}
