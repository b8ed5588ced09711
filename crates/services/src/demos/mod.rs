//! Demonstrations of examples, each in the file of its example's name.

pub mod grpc_calls;
pub mod mysql_pool;
pub mod mysql_transaction;
pub mod nats_key_value;
pub mod nats_request_reply;
pub mod nats_work_queue;
pub mod pg_copy;
pub mod pg_cron_once;
pub mod pg_failover;
pub mod pg_idempotency_key;
pub mod pg_job_queue;
pub mod pg_leader;
pub mod pg_listen;
pub mod pg_migrations;
pub mod pg_optimistic_update;
pub mod pg_outbox;
pub mod pg_pool;
pub mod pg_tls;
pub mod pg_trace_context;
pub mod pg_transaction;
pub mod pg_worker;
pub mod redis_cache;
pub mod redis_lock;
pub mod redis_pub_sub;
pub mod redis_rate_limit;
pub mod redis_streams;
