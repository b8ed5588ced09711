//! Acquire, use, and give back whatever happens: the section's examples, in reading
//! order.

#[macro_use]
extern crate example_runner;

examples! {
    async_resource,
    scoped_resource,
    database_connection,
    async_files,
    temporary_directory,
    nested_scopes,
    drop_guard,
    semaphore_pool,
    cleanup_on_cancel,
    goodbye_on_close,
    resource_manager,
    exit_stack,
    structured_scope,
    transaction,
    connection_pool,
    lease,
}
