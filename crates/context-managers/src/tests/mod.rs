//! Tests of the examples, each in the file of its example's name.

mod attacks;
mod async_drop;
mod async_files;
mod async_with;
mod asynccontextmanager;
mod changed_a_little;
mod cleanup_on_cancel;
mod connection_pool;
mod connection_pool_peers;
mod database_connection;
mod drop_guard;
mod exit_stack;
mod exit_stack_peers;
mod lease;
mod lease_peers;
mod nested_scopes;
mod read_file;
mod savepoints;
mod scoped_resource;
mod semaphore_pool;
mod simple_pool;
mod simple_pool_peers;
mod structured_scope;
#[path = "../../../../tools/harness/support.rs"]
mod support;
mod temporary_directory;
mod transaction;
mod unclosed_resources;
