//! Beyond one machine: PostgreSQL, Redis, NATS, MariaDB, gRPC: the section's examples, in
//! reading order. Most need a server. Without its address in the environment, a private
//! one is started.

#[macro_use(println)]
extern crate harness as tokio;

// PostgreSQL
mod pg_pool;
mod pg_failover;
mod pg_tls;
mod pg_transaction;
mod pg_optimistic_update;
mod pg_copy;
mod pg_migrations;

// Jobs and events on PostgreSQL
mod pg_job_queue;
mod pg_worker;
mod pg_trace_context;
mod pg_outbox;
mod pg_idempotency_key;
mod pg_listen;
mod pg_leader;
mod pg_cron_once;

// Redis
mod redis_reconnect;
mod redis_rate_limit;
mod redis_lock;
mod redis_cache;
mod redis_streams;
mod redis_job_queue;
mod redis_pub_sub;

// NATS
mod nats_request_reply;
mod nats_work_queue;
mod nats_key_value;

// MySQL and MariaDB
mod mysql_pool;
mod mysql_transaction;

// From process to process
mod grpc_calls;

mod demos;
#[cfg(test)]
mod tests;

harness::section!(servers::provide);
