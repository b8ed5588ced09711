//! The components, from the files of the examples: what is measured is what is pasted.

#![allow(dead_code)]

#[path = "../../../crates/concurrency/src"]
pub mod concurrency {
    pub mod lock_per_key;
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
    pub mod job_queue;
    pub mod sliding_window;
    pub mod sqlite_batch_insert;
    pub mod token_bucket;
    pub mod ttl_cache;
}

#[path = "../../../crates/services/src"]
pub mod services {
    pub mod nats_request_reply;
    pub mod nats_work_queue;
    pub mod pg_copy;
    pub mod pg_job_queue;
    pub mod pg_pool;
    pub mod redis_cache;
    pub mod redis_lock;
    pub mod redis_rate_limit;
    pub mod redis_streams;
}
