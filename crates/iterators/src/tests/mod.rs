//! Tests of the examples, each in the file of its example's name.

mod async_filter;
mod blocking_iterator;
mod bounded_fetch_with_failures;
mod buffered_as_completed;
mod buffered_in_order;
mod chunks_timeout;
mod close_a_stream;
mod deadline_for_the_loop;
mod fallible_stream;
mod fan_in;
mod fetch_stream;
mod for_each_concurrent;
mod moving_window;
mod next_with_default;
mod recursive_generator;
mod select_all_push;
mod shared_stream;
mod stop_a_stream;
mod stream_by_hand;
mod stream_in_a_struct;
mod stream_map;
mod stream_processor;
mod support;
mod timeout_each;
mod two_way_generator;
mod unfold_a_cursor;
