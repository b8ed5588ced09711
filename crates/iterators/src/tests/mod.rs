//! Tests of the examples, each in the file of its example's name.

mod async_filter;
mod bounded_fetch_with_failures;
mod buffered_as_completed;
mod buffered_in_order;
mod counter;
mod fan_in;
mod for_each_concurrent;
mod record_stream;
mod sources_come_and_go;
mod stop_a_stream;
mod stream_processor;
mod support;
