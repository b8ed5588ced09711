//! Acquire, use, and give back whatever happens: the section's examples, in reading
//! order.

#[macro_use]
extern crate example_runner;

examples! {
    async_resource,
    scoped_resource,
    database_connection,
    async_files,
    semaphore_pool,
    resource_manager,
    connection_pool,
}
