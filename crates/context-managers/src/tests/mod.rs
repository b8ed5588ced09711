//! Tests of the examples, each in the file of its example's name.

mod async_drop;
mod async_files;
mod cleanup_on_cancel;
mod connection_pool;
mod database_connection;
mod drop_guard;
mod exit_stack;
mod lease;
mod nested_scopes;
mod scoped_resource;
mod semaphore_pool;
mod structured_scope;
mod support;
mod temporary_directory;
mod transaction;
mod unclosed_resources;
