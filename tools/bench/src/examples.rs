//! The components, from the files of the examples: what is measured is what is pasted.

#![allow(dead_code)]

#[path = "../../../crates/concurrency/src"]
mod concurrency {
    pub mod many_producers_many_consumers;
    pub mod worker_pool;
}

#[path = "../../../crates/context-managers/src"]
mod context_managers {
    pub mod connection_pool;
}

#[path = "../../../crates/error-handling/src"]
mod error_handling {
    pub mod circuit_breaker;
}

#[path = "../../../crates/real-world/src"]
mod real_world {
    pub mod http_requests;
    pub mod sliding_window;
    pub mod token_bucket;
    pub mod ttl_cache;
}

pub use concurrency::{many_producers_many_consumers, worker_pool};
pub use context_managers::connection_pool;
pub use error_handling::circuit_breaker;
pub use real_world::{http_requests, sliding_window, token_bucket, ttl_cache};
