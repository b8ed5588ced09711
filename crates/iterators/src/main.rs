//! Async iterators and generators: the section's examples, in reading order.

#[macro_use]
extern crate example_runner;

examples! {
    generator,
    fetch_stream,
    comprehensions,
    async_filter,
    stream_in_a_struct,
    next_with_default,
    zip_and_enumerate,
    fallible_stream,
    record_stream,
    stop_early,
    timeout_each,
    deadline_for_the_loop,
    stop_a_stream,
    interval_ticks,
    interval_stream,
    channel_stream,
    fan_in,
    merge_streams,
    sources_come_and_go,
    chunks_and_windows,
    buffered_in_order,
    buffered_as_completed,
    bounded_fetch_with_failures,
    for_each_concurrent,
    stream_processor,
    shared_stream,
    counter,
}
