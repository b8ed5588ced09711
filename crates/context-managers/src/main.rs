//! Acquire, use, and release whatever happens: the section's examples, in reading
//! order.

#[macro_use]
extern crate runner;

// Resources
mod async_resource;
mod scoped_resource;
mod database_connection;
mod async_files;
mod temporary_directory;

// Scopes and guards
mod nested_scopes;
mod drop_guard;
mod semaphore_pool;

// Clean-up
mod cleanup_on_cancel;
mod async_drop;
mod unclosed_resources;
mod exit_stack;

// Transactions and pools
mod structured_scope;
mod transaction;
mod connection_pool;
mod lease;

mod demos;
#[cfg(test)]
mod tests;

runner::section!();
