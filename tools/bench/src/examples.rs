//! The components, from the files of the examples: what is measured is what is pasted.

#![allow(dead_code)]

#[path = "../../../crates/concurrency/src"]
pub mod concurrency {
    pub mod many_producers_many_consumers;
    pub mod worker_pool;
}

#[path = "../../../crates/context-managers/src"]
pub mod context_managers {
    pub mod connection_pool;
}

#[path = "../../../crates/error-handling/src"]
pub mod error_handling {
    pub mod circuit_breaker;
}

#[path = "../../../crates/real-world/src"]
pub mod real_world {
    pub mod async_sqlite;
    pub mod http_requests;
    pub mod sliding_window;
    pub mod sqlite_batch_insert;
    pub mod token_bucket;
    pub mod ttl_cache;
}
