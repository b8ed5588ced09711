//! Tests of the examples, each in the file of its example's name.

mod attacks;
mod changed_a_little;
mod grpc_calls;
mod mysql_pool;
mod nats_key_value;
mod nats_request_reply;
mod nats_work_queue;
mod pg_copy;
mod pg_job_queue;
mod pg_leader;
mod pg_listen;
mod pg_outbox;
mod pg_pool;
mod pg_tls;
mod pg_transaction;
mod redis_cache;
mod redis_lock;
mod redis_pub_sub;
mod redis_rate_limit;
mod redis_streams;
mod support;
mod workers;
