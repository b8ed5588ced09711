//! Tokio as the examples see it in here: its `main` leaves an async function as it is.

pub use runner_macros::main;
pub use tokio::main as tokio_main;
pub use tokio::*;
