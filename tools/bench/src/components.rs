//! The components, from the files of the examples: what is measured is what is pasted.

#[path = "../../../crates/concurrency/src/actor.rs"]
#[allow(dead_code)]
pub mod actor;
#[path = "../../../crates/real-world/src/async_sqlite.rs"]
#[allow(dead_code)]
pub mod async_sqlite;
#[path = "../../../crates/real-world/src/background_services.rs"]
#[allow(dead_code)]
pub mod background_services;
#[path = "../../../crates/error-handling/src/circuit_breaker.rs"]
#[allow(dead_code)]
pub mod circuit_breaker;
#[path = "../../../crates/concurrency/src/condition_queue.rs"]
#[allow(dead_code)]
pub mod condition_queue;
#[path = "../../../crates/context-managers/src/connection_pool.rs"]
#[allow(dead_code)]
pub mod connection_pool;
#[path = "../../../crates/concurrency/src/event.rs"]
#[allow(dead_code)]
pub mod event;
#[path = "../../../crates/real-world/src/http_requests.rs"]
#[allow(dead_code)]
pub mod http_requests;
#[path = "../../../crates/concurrency/src/many_producers_many_consumers.rs"]
#[allow(dead_code)]
pub mod many_producers_many_consumers;
#[path = "../../../crates/concurrency/src/queue_join.rs"]
#[allow(dead_code)]
pub mod queue_join;
#[path = "../../../crates/error-handling/src/retry.rs"]
#[allow(dead_code)]
pub mod retry;
#[path = "../../../crates/real-world/src/scheduler.rs"]
#[allow(dead_code)]
pub mod scheduler;
#[path = "../../../crates/real-world/src/semaphore_rate_limiter.rs"]
#[allow(dead_code)]
pub mod semaphore_rate_limiter;
#[path = "../../../crates/concurrency/src/single_flight.rs"]
#[allow(dead_code)]
pub mod single_flight;
#[path = "../../../crates/real-world/src/sliding_window.rs"]
#[allow(dead_code)]
pub mod sliding_window;
#[path = "../../../crates/real-world/src/sqlite_batch_insert.rs"]
#[allow(dead_code)]
pub mod sqlite_batch_insert;
#[path = "../../../crates/real-world/src/token_bucket.rs"]
#[allow(dead_code)]
pub mod token_bucket;
#[path = "../../../crates/real-world/src/ttl_cache.rs"]
#[allow(dead_code)]
pub mod ttl_cache;
#[path = "../../../crates/real-world/src/web_scraper.rs"]
#[allow(dead_code)]
pub mod web_scraper;
#[path = "../../../crates/concurrency/src/worker_pool.rs"]
#[allow(dead_code)]
pub mod worker_pool;
