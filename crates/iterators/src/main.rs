//! Async iterators and generators: the section's examples, in reading order.

#[macro_use(println)]
extern crate harness as tokio;

// Make a stream
mod async_range;
mod generator;
mod record_stream;
mod recursive_generator;
mod two_way_generator;
mod fetch_stream;
mod comprehensions;
mod stream_in_a_struct;
mod either_stream;
mod next_with_default;

// Adapters and errors
mod async_filter;
mod zip_and_enumerate;
mod itertools_on_streams;
mod chunks_timeout;
mod moving_window;
mod fallible_stream;
mod unfold_a_cursor;

// End and time out
mod break_and_clean_up;
mod close_a_stream;
mod timeout_each;
mod deadline_for_the_loop;
mod take_until_deadline;
mod stop_a_stream;
mod paused_stream;
mod interval_ticks;
mod interval_stream;

// Merge streams
mod channel_stream;
mod blocking_iterator;
mod fan_in;
mod merge_streams;
mod stream_map;
mod select_all_push;

// Concurrency in a stream
mod buffered_in_order;
mod buffered_as_completed;
mod bounded_fetch_with_failures;
mod for_each_concurrent;

// Components
mod stream_processor;
mod shared_stream;
mod stream_by_hand;

#[cfg(test)]
mod tests;

harness::section!();
