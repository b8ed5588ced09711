//! Demonstrations of examples, each in the file of its example's name.

pub mod async_drop;
pub mod cleanup_on_cancel;
pub mod connection_pool;
pub mod database_connection;
pub mod exit_stack;
pub mod lease;
pub mod read_file;
pub mod savepoints;
pub mod scoped_resource;
pub mod structured_scope;
pub mod transaction;
