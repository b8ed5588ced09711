//! The examples. Each is a module of Python; `runtime_at_exit` is the runtime of all of
//! them.

// First calls
mod async_function;
mod cancel;
mod runtime_at_exit;

// Work next to the event loop
mod callback;
mod cpu_bound;
mod log_and_trace;
mod shutdown;

// Both ways
mod async_iterator;
mod call_python;
mod queue_between;

// Classes
mod context_manager;
mod shared_client;

// What the attacks call
mod tests;
