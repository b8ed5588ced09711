//! The modules of the service, as a library, so that tests use them without `main`.

pub mod error;
pub mod observe;
pub mod routes;
pub mod server;
pub mod settings;
pub mod shutdown;
pub mod store;
pub mod worker;
