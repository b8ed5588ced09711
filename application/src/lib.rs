//! The modules of the service, as a library, so that tests use them without `main`.

pub mod error;
pub mod routes;
pub mod server;
pub mod settings;
pub mod shutdown;
pub mod state;
pub mod worker;
