//! Acquire, use, and give back whatever happens: the section's examples, in reading

#[macro_use]
extern crate runner;

mod async_resource;
mod scoped_resource;
mod database_connection;
mod async_files;
mod temporary_directory;
mod nested_scopes;
mod drop_guard;
mod semaphore_pool;
mod cleanup_on_cancel;
mod goodbye_on_close;
mod resource_manager;
mod exit_stack;
mod structured_scope;
mod transaction;
mod connection_pool;
mod lease;

#[cfg(test)]
mod tests;

runner::section!();
