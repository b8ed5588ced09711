//! Async iterators and generators: the section's examples, in reading order.

#[macro_use]
extern crate example_runner;

examples! {
    generator,
    fetch_stream,
    comprehensions,
    zip_and_enumerate,
    fallible_stream,
    record_stream,
    stop_early,
    timeout_each,
    interval_ticks,
    channel_stream,
    merge_streams,
    chunks_and_windows,
    buffered_in_order,
    buffered_as_completed,
    stream_processor,
    counter,
}
