//! The patterns on a server: beside the twins on asyncpg, redis-py and nats-py, and beside
//! the same pattern in the process. Neither the servers nor SQLite wait for the disk.

use std::process;
use std::time::Duration;

use async_nats::jetstream;
use bytes::Bytes;
use deadpool_postgres::{Client, Manager, Pool};
use futures::stream;
use rusqlite::Connection;
use tokio::sync::mpsc;
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::examples::concurrency::lock_per_key::LockPerKey;
use crate::examples::real_world::job_queue;
use crate::examples::real_world::token_bucket::TokenBucket;
use crate::examples::real_world::ttl_cache::TtlCache;
use crate::examples::services::pg_copy::{Reading, store};
use crate::examples::services::pg_job_queue;
use crate::examples::services::pg_pool::{Limits, PgError, PgPool};
use crate::examples::services::redis_cache::{RedisCache, connect};
use crate::examples::services::redis_lock::RedisLock;
use crate::examples::services::redis_rate_limit::RateLimiter;
use crate::examples::services::redis_streams::{Queue, Worker};
use crate::examples::services::{nats_request_reply, nats_work_queue};
use crate::row::{Row, Work, for_each, row, timed};

type Failure = nats_work_queue::Failure;

/// In the order of the table.
pub fn rows() -> Vec<Row> {
    let jobs = "{n} jobs of one worker, each added, claimed and completed";
    vec![
        row("pg_pool", "services/pg_pool", 20_000)
            .title("{n} small queries on PostgreSQL, for ten callers of a pool")
            .ours(pg_pool)
            .asyncio("servers.pg_pool", None),
        row("pg_job_queue", "services/pg_job_queue", 2_000)
            .title("{n} jobs in PostgreSQL, one after the other")
            .ours(pg_jobs)
            .asyncio("servers.pg_jobs", None),
        row("pg_copy", "services/pg_copy", 200_000)
            .title("{n} rows into PostgreSQL with COPY")
            .ours(pg_copy)
            .asyncio("servers.pg_copy", None),
        row("redis_rate_limit", "services/redis_rate_limit", 20_000)
            .title("{n} calls that a limit in Redis lets through, for ten callers")
            .ours(|n| redis_limit(10, n))
            .asyncio("servers.redis_limit", None),
        row("redis_cache", "services/redis_cache", 10_000)
            .title("{n} values from a cache in Redis, one after the other")
            .ours(redis_cache)
            .asyncio("servers.redis_cache", None),
        row("nats_request_reply", "services/nats_request_reply", 20_000)
            .title("{n} requests and replies through NATS, for ten callers")
            .ours(nats_calls)
            .asyncio("servers.nats_calls", None),
        row("nats_work_queue", "services/nats_work_queue", 2_000)
            .title("{n} jobs in JetStream, one after the other")
            .ours(nats_jobs)
            .asyncio("servers.nats_jobs", None),
        // Each job of SQLite makes three trips to another thread.
        row("jobs", "real-world/job_queue", 2_000)
            .title(jobs)
            .ours(sqlite_jobs)
            .server("PostgreSQL", pg_jobs)
            .server("Redis", redis_jobs)
            .server("JetStream", nats_jobs),
        row("cached_values", "real-world/ttl_cache", 10_000)
            .title("{n} values from a cache, one after the other")
            .ours(cache)
            .server("Redis", redis_cache),
        row("limited_calls", "real-world/token_bucket", 10_000)
            .title("{n} calls that a limit lets through, one after the other")
            .ours(limit)
            .server("Redis", |n| redis_limit(1, n)),
        row("locked_calls", "concurrency/lock_per_key", 10_000)
            .title("{n} times a lock that nobody else holds")
            .ours(lock)
            .server("Redis", redis_lock),
    ]
}

const LONG: Duration = Duration::from_secs(60);

/// A name that only this process uses.
fn name() -> String {
    format!("bench_{}", process::id())
}

fn url(variable: &str) -> Result<String, Failure> {
    std::env::var(variable).map_err(|_| format!("{variable} is not set").into())
}

/// Does something for each of the numbers, one after the other.
async fn each(
    size: u64,
    mut work: impl AsyncFnMut(u64) -> Result<usize, Failure>,
) -> Result<Work, Failure> {
    let work = timed(async {
        let mut sum = 0;
        for number in 0..size {
            sum += work(number).await? as u64;
        }
        Ok::<_, Failure>((size, sum))
    });
    Ok(work.await)
}

async fn pg_pool(size: u64) -> Result<Work, Failure> {
    let limits = Limits {
        connections: 10,
        acquire: LONG,
        connect: LONG,
        statement: LONG,
        work: LONG,
    };
    let pool = PgPool::new(url("DATABASE_URL")?.parse()?, limits);
    let query = async |client: &mut deadpool_postgres::Client, number: i64| {
        let statement = client.prepare_cached("SELECT $1::BIGINT + 1").await?;
        let row = client.query_one(&statement, &[&number]).await?;
        Ok::<i64, PgError>(row.get(0))
    };
    Ok(timed(async {
        for_each!(10, size, pool, |number| {
            let work = async |client: &mut _| query(client, number as i64).await;
            pool.run(work).await.expect("it answers") as u64
        })
    })
    .await)
}

/// Works in a schema that only this process uses.
async fn in_schema(
    work: impl AsyncFnOnce(&Client) -> Result<Work, Failure>,
) -> Result<Work, Failure> {
    let mut config: tokio_postgres::Config = url("DATABASE_URL")?.parse()?;
    config.options(format!("-c search_path={}", name()));
    let pool = Pool::builder(Manager::new(config, NoTls)).build()?;
    let db = pool.get().await?;
    db.batch_execute(&format!("CREATE SCHEMA {}", name()))
        .await?;
    let done = work(&db).await;
    db.batch_execute(&format!("DROP SCHEMA {} CASCADE", name()))
        .await?;
    done
}

async fn pg_jobs(size: u64) -> Result<Work, Failure> {
    let jobs = pg_job_queue::JobQueue {
        lease: LONG,
        max_attempts: 5,
        initial_backoff: LONG,
        max_backoff: LONG,
    };
    in_schema(async |db| {
        pg_job_queue::create_table(db).await?;
        each(size, async |number| {
            let payload = number.to_string();
            jobs.enqueue(db, &payload, Duration::ZERO).await?;
            let job = jobs.claim(db).await?.ok_or("a job is missing")?;
            jobs.complete(db, &job).await?;
            Ok(job.payload.len())
        })
        .await
    })
    .await
}

async fn pg_copy(size: u64) -> Result<Work, Failure> {
    let rows = (0..size as i64).map(|sensor| {
        Ok::<_, Failure>(Reading {
            sensor,
            value: sensor as f64 / 2.0,
            note: None,
        })
    });
    in_schema(async |db| {
        let table = "CREATE TABLE readings
                         (sensor BIGINT PRIMARY KEY, value FLOAT8, note TEXT)";
        db.batch_execute(table).await?;
        Ok(
            timed(async { Ok::<_, Failure>((store(db, stream::iter(rows)).await?, 0)) })
                .await,
        )
    })
    .await
}

async fn redis_limit(callers: u64, size: u64) -> Result<Work, Failure> {
    let redis = connect(&url("REDIS_URL")?, LONG).await?;
    let interval = Duration::from_micros(1);
    let limiter = RateLimiter::new(redis, &name(), 1_000_000, interval, LONG);
    Ok(timed(async {
        for_each!(callers, size, limiter, |_| {
            limiter.try_acquire("Ann").await.expect("it answers");
            1
        })
    })
    .await)
}

async fn redis_cache(size: u64) -> Result<Work, Failure> {
    let cache = RedisCache {
        redis: connect(&url("REDIS_URL")?, LONG).await?,
        prefix: name(),
        ttl: LONG,
        jitter: Duration::ZERO,
        load_limit: LONG,
        poll: LONG,
        limit: LONG,
    };
    let get = async |_| {
        let load = async { Ok::<_, std::io::Error>("1".to_owned()) };
        Ok(cache.get_or_load("tea", load).await?.len())
    };
    // The first one loads.
    get(0).await?;
    let work = each(size, get).await?;
    cache.remove("tea").await?;
    Ok(work)
}

async fn redis_lock(size: u64) -> Result<Work, Failure> {
    let redis = connect(&url("REDIS_URL")?, LONG).await?;
    let lock = RedisLock::new(redis, &name(), LONG);
    each(size, async |_| {
        let lease = lock.try_acquire().await?.ok_or("it is held")?;
        Ok(lease.release().await?.into())
    })
    .await
}

async fn redis_jobs(size: u64) -> Result<Work, Failure> {
    let url = url("REDIS_URL")?;
    let queue = Queue {
        stream: name(),
        group: "workers".to_owned(),
        min_idle: LONG,
        max_attempts: 5,
    };
    let redis = connect(&url, LONG).await?;
    let mut worker = Worker::connect(&url, queue.clone(), "Ann", LONG).await?;
    let work = each(size, async |number| {
        queue.enqueue(&redis, &number.to_string()).await?;
        let job = worker.next().await?.ok_or("a job is missing")?;
        worker.complete(&job).await?;
        Ok(job.payload.len())
    });
    let work = work.await?;
    redis::AsyncCommands::del::<_, ()>(&mut redis.clone(), name()).await?;
    Ok(work)
}

async fn nats_calls(size: u64) -> Result<Work, Failure> {
    let service = async_nats::connect(url("NATS_URL")?).await?;
    let requests = service.queue_subscribe(name(), name()).await?;
    service.flush().await?;
    let limits = nats_request_reply::Limits {
        handlers: 10,
        runtime: LONG,
        drain: LONG,
    };
    let answer = async |payload| Ok::<Bytes, Failure>(payload);
    let stop = CancellationToken::new();
    let serving = nats_request_reply::serve(service, requests, limits, stop, answer);
    let _service = AbortOnDropHandle::new(tokio::spawn(serving));
    let client = async_nats::connect(url("NATS_URL")?).await?;
    Ok(timed(async {
        for_each!(10, size, client, |number| {
            let text = u64::to_string(&number);
            let reply = nats_request_reply::call(&client, name(), text, LONG).await;
            reply.expect("it answers").len() as u64
        })
    })
    .await)
}

async fn nats_jobs(size: u64) -> Result<Work, Failure> {
    let context = jetstream::new(async_nats::connect(url("NATS_URL")?).await?);
    let settings = nats_work_queue::Settings {
        max_jobs: 1000,
        max_in_flight: 1,
        ack_wait: LONG,
        max_runtime: LONG,
        max_attempts: 5,
        backoff: LONG,
    };
    let queue =
        nats_work_queue::WorkQueue::open(context.clone(), &name(), settings).await?;
    let (done, mut payloads) = mpsc::channel(1);
    let handler = move |job: nats_work_queue::Job| {
        let done = done.clone();
        async move { Ok(done.send(job.payload).await?) }
    };
    let (worker, stop) = (queue.clone(), CancellationToken::new());
    let working = async move { worker.work(&stop, handler, |e| eprintln!("{e}")).await };
    let _worker = AbortOnDropHandle::new(tokio::spawn(working));
    let work = each(size, async |number| {
        let number = number.to_string();
        queue.add(&number, number.clone()).await?;
        let payload = payloads.recv().await.ok_or("the worker ended")?;
        Ok(payload.len())
    });
    let work = work.await?;
    context.delete_stream(name()).await?;
    context.delete_stream(format!("{}_dead", name())).await?;
    Ok(work)
}

async fn sqlite_jobs(size: u64) -> Result<Work, Failure> {
    let folder = tempfile::tempdir()?;
    let connection = Connection::open(folder.path().join("jobs.db"))?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    let database = job_queue::Database::new(connection)?;
    let jobs = job_queue::JobQueue {
        lease: LONG,
        max_attempts: 5,
        initial_backoff: LONG,
        max_backoff: LONG,
    };
    each(size, async |number| {
        let add = move |db: &_| jobs.enqueue(db, &number.to_string(), Duration::ZERO);
        database.transaction(move |db| add(db)).await?;
        let job = database.transaction(move |db| jobs.claim(db)).await?;
        let job = job.ok_or("a job is missing")?;
        let size = job.payload.len();
        let complete = database.transaction(move |db| jobs.complete(db, &job));
        complete.await?;
        Ok(size)
    })
    .await
}

async fn cache(size: u64) -> Result<Work, Failure> {
    let cache = TtlCache::new(1, LONG);
    each(size, async |_| {
        let load = async { Ok::<_, std::convert::Infallible>("1".to_owned()) };
        Ok(cache.get_or_load("tea", load).await?.len())
    })
    .await
}

async fn limit(size: u64) -> Result<Work, Failure> {
    let bucket = TokenBucket::new(1_000_000, Duration::from_micros(1));
    each(size, async |_| {
        bucket.acquire().await;
        Ok(1)
    })
    .await
}

async fn lock(size: u64) -> Result<Work, Failure> {
    let locks = LockPerKey::default();
    each(size, async |_| {
        drop(locks.lock("report").await);
        Ok(1)
    })
    .await
}
