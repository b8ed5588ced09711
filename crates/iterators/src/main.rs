//! Async iterators and generators: the section's examples, in reading order.

#[macro_use]
extern crate example_runner;

examples! {
    counter,
    generator,
    fetch_stream,
    comprehensions,
    record_stream,
    stream_processor,
    interval_ticks,
    merge_streams,
    zip_and_enumerate,
    channel_stream,
    fallible_stream,
    stop_early,
    timeout_each,
    buffered_in_order,
    buffered_as_completed,
    chunks_and_windows,
}
