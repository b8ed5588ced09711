//! Acquire, use, and release whatever happens: the section's examples, in reading
//! order.

#[macro_use(println)]
extern crate harness as tokio;

// Resources
mod async_with;
mod async_resource;
mod asynccontextmanager;
mod scoped_resource;
mod database_connection;
mod read_file;
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
mod savepoints;
mod simple_pool;
mod connection_pool;
mod lease;

mod demos;
#[cfg(test)]
mod tests;

harness::section!();
