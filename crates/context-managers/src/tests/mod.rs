//! Tests of the examples, each in the file of its example's name.

mod attacks;
mod async_drop;
mod async_files;
mod async_with;
mod asynccontextmanager;
mod changed_a_little;
mod cleanup_on_cancel;
mod connection_pool;
mod database_connection;
mod drop_guard;
mod exit_stack;
mod lease;
mod nested_scopes;
mod read_file;
mod savepoints;
mod scoped_resource;
mod semaphore_pool;
mod simple_pool;
mod structured_scope;
#[path = "../../../../tools/harness/support.rs"]
mod support;
mod temporary_directory;
mod transaction;
mod unclosed_resources;
