//! What the processes of `attacks` do until they are killed, and what they print of it.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt::Display;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use async_nats::jetstream::{self, kv::Store};
use bytes::Bytes;
use deadpool_postgres::{Manager, Pool};
use futures::stream;
use redis::{AsyncCommands as _, Script};
use tokio::select;
use tokio::sync::mpsc::channel;
use tokio::time::{interval, sleep, timeout};
use tokio_postgres::{Client, Config, NoTls, Transaction};
use tokio_util::sync::CancellationToken;

use super::attacks::{Failure, LEASE, NAME, TICK};
use super::support::times;
use crate::mysql_pool::{self, Database};
use crate::nats_work_queue::{self, WorkQueue};
use crate::pg_copy::{self, Reading};
use crate::pg_cron_once::{self, CronError, Schedule, Turn};
use crate::pg_job_queue::{self, JobQueue, QueueError};
use crate::pg_leader::{self, LeaderError, Term};
use crate::pg_outbox::{self, Relay};
use crate::pg_pool::{self, PgError, PgPool};
use crate::pg_transaction::{Retry, is_conflict, serializable};
use crate::pg_worker::{self, Handler};
use crate::redis_cache::RedisCache;
use crate::redis_lock::RedisLock;
use crate::redis_rate_limit::{RateLimiter, Refused};
use crate::redis_reconnect::Redis;
use crate::redis_streams::{self, Worker};
use crate::{nats_key_value, nats_request_reply, pg_listen, redis_pub_sub};

/// The bucket of the rate limit, and the time for each of its tokens.
pub const BURST: u32 = 10;
pub const INTERVAL: Duration = Duration::from_millis(8);

/// While it is set, callers make no calls.
pub static RESTS: AtomicBool = AtomicBool::new(false);

/// Of each call that stores rows, so many.
pub const ROWS: usize = 3;

/// Returns the last number for 0, or appends this one. Nothing for a token that is lower
/// than one that it has seen, in a reading or a writing.
pub const STORE: &str = r"
    if tonumber(ARGV[1]) < tonumber(redis.call('GET', KEYS[1]) or 0) then return end
    redis.call('SET', KEYS[1], ARGV[1])
    if ARGV[2] == '0' then return tonumber(redis.call('LINDEX', KEYS[2], -1) or 0) end
    redis.call('RPUSH', KEYS[2], ARGV[2])
    return tonumber(ARGV[2])";

/// Appends a number, and publishes it.
pub const PUBLISH: &str = r"
    redis.call('RPUSH', KEYS[1], ARGV[1])
    redis.call('PUBLISH', KEYS[2], ARGV[1])";

/// What a job is: long enough to be killed in it. It blocks, so that a process that was
/// stopped writes before it notices that its lease has expired.
fn work() {
    std::println!("at");
    thread::sleep(5 * TICK);
}

fn did(number: impl Display) {
    std::println!("did {number}");
}

/// For what no server stores.
fn effect(number: impl Display) {
    std::println!("effect {number}");
}

/// Two callers that call again and again, each time with another number, and less often
/// if there are more processes. What they did, they tell themselves.
async fn calls<E: Display>(
    call: impl AsyncFn(i64) -> Result<(), E>,
) -> Result<Infallible, Failure> {
    static NEXT: AtomicI64 = AtomicI64::new(1);
    let caller = async || {
        loop {
            let number = NEXT.fetch_add(1, Relaxed);
            let number = i64::from(process::id()) * 1_000_000 + number;
            while RESTS.load(Relaxed) {
                sleep(5 * TICK).await;
            }
            std::println!("at");
            if let Err(error) = call(number).await {
                std::println!("error {error}");
            }
            sleep(TICK * times(5, 20)).await;
        }
    };
    tokio::join!(caller(), caller()).0
}

fn config(url: &str) -> Result<Config, Failure> {
    let mut config: Config = url.parse()?;
    config.options(format!("-c search_path={NAME}"));
    Ok(config)
}

/// A connection may go silent while it is made, or in its first statement.
async fn in_time<T, E: Into<Failure>>(
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    timeout(4 * *LEASE, call).await?.map_err(Into::into)
}

pub async fn postgres(url: &str) -> Result<Client, Failure> {
    let (client, connection) = config(url)?.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn insert(to: &Transaction<'_>, number: i64) -> Result<(), tokio_postgres::Error> {
    let sql = "INSERT INTO effects VALUES ($1)";
    to.execute(sql, &[&number]).await.map(drop)
}

async fn job_queue_worker(url: &str) -> Result<Infallible, Failure> {
    let pool = Pool::builder(Manager::new(config(url)?, NoTls)).build()?;
    let mut client = in_time(pool.get()).await?;
    in_time(pg_job_queue::create_table(&client)).await?;
    let jobs = JobQueue {
        lease: *LEASE,
        max_attempts: i32::MAX,
        initial_backoff: TICK,
        max_backoff: TICK,
    };
    loop {
        // The connection may be silent.
        in_time(job_queue_turn(&jobs, &mut client)).await?;
    }
}

async fn job_queue_turn(
    jobs: &JobQueue,
    client: &mut deadpool_postgres::Client,
) -> Result<(), Failure> {
    let Some(job) = jobs.claim(client).await? else {
        sleep(5 * TICK).await;
        return Ok(());
    };
    work();
    let transaction = client.transaction().await?;
    match jobs.complete(&transaction, &job).await {
        Ok(()) => {
            insert(&transaction, job.payload.parse()?).await?;
            transaction.commit().await?;
            did(job.payload);
        }
        Err(QueueError::LeaseLost) => std::println!("late"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Stores its jobs, and does nothing else.
struct Stores;

impl Handler for Stores {
    type Output = i64;

    async fn work(&self, job: &pg_worker::Job) -> Result<i64, Failure> {
        work();
        Ok(job.payload.parse()?)
    }

    async fn store(
        &self,
        db: &deadpool_postgres::Transaction<'_>,
        _job: &pg_worker::Job,
        number: i64,
    ) -> Result<(), Failure> {
        insert(db, number).await?;
        did(number);
        Ok(())
    }

    fn report(&self, error: Failure) {
        std::println!("error {error}");
    }
}

async fn worker(url: &str) -> Result<Infallible, Failure> {
    let client = in_time(postgres(url)).await?;
    in_time(pg_job_queue::create_table(&client)).await?;
    let worker = pg_worker::Worker {
        config: config(url)?,
        handler: Arc::new(Stores),
        concurrency: 2,
        lease: *LEASE,
        max_runtime: 1000 * *LEASE,
        max_attempts: i32::MAX,
        backoff: TICK,
        poll: 5 * TICK,
    };
    worker.run(&CancellationToken::new()).await;
    Err("it has ended without a stop".into())
}

/// Counts the ticks that it has run, in the transaction that finishes each of them.
async fn cron_machine(url: &str) -> Result<Infallible, Failure> {
    let mut client = in_time(postgres(url)).await?;
    in_time(pg_cron_once::create_table(&client)).await?;
    let schedule = Schedule {
        name: NAME.to_owned(),
        first: std::time::UNIX_EPOCH,
        interval: 10 * TICK,
        lease: *LEASE,
        max_attempts: i32::MAX,
    };
    loop {
        let run = match timeout(*LEASE, schedule.turn(&client)).await?? {
            Turn::Run(run) => run,
            Turn::Wait(wait) => {
                sleep(wait).await;
                continue;
            }
        };
        work();
        let number = run.tick.duration_since(std::time::UNIX_EPOCH)?.as_millis() as i64;
        let finishing = async {
            let transaction = client.transaction().await?;
            match schedule.finish(&transaction, &run).await {
                Ok(()) => {
                    insert(&transaction, number).await?;
                    transaction.commit().await?;
                    did(number);
                }
                Err(CronError::LeaseLost) => std::println!("late"),
                Err(error) => return Err(error.into()),
            }
            Ok::<_, Failure>(())
        };
        timeout(*LEASE, finishing).await??;
    }
}

/// A relay, and the consumer of what it publishes.
async fn outbox_worker(url: &str) -> Result<Infallible, Failure> {
    let mut client = in_time(postgres(url)).await?;
    in_time(pg_outbox::create_tables(&client)).await?;
    let consumer = tokio::sync::Mutex::new(in_time(postgres(url)).await?);
    let (batch, limit) = (7, *LEASE);
    let relay = Relay { batch, limit };
    let publish = async |event: pg_outbox::Event| {
        work();
        let number: i64 = event.payload.parse()?;
        let mut consumer = consumer.lock().await;
        let transaction = consumer.transaction().await?;
        let new = pg_outbox::is_new(&transaction, "test", event.id).await?;
        if new {
            insert(&transaction, number).await?;
        }
        transaction.commit().await?;
        std::println!("{} {number}", if new { "did" } else { "again" });
        Ok::<_, Failure>(())
    };
    loop {
        if relay.publish_batch(&mut client, publish).await? == 0 {
            sleep(5 * TICK).await;
        }
    }
}

/// Leads for a few writes, and then lets another one lead.
async fn leader_worker(url: &str) -> Result<Infallible, Failure> {
    let client = in_time(postgres(url)).await?;
    in_time(pg_leader::create_table(&client)).await?;
    let leading = async |term: Term| {
        let mut client = in_time(postgres(url)).await?;
        for _ in 0..20 {
            work();
            // In a task, which is not dropped with the leadership: it has to be refused.
            let writing = tokio::spawn(write(client, term.clone()));
            client = writing.await??;
        }
        Ok::<(), Failure>(())
    };
    loop {
        pg_leader::lead(config(url)?, NAME, *LEASE, leading).await??;
        sleep(*LEASE).await;
    }
}

async fn write(mut client: Client, term: Term) -> Result<Client, Failure> {
    let transaction = client.transaction().await?;
    if let Err(error) = term.check(&transaction).await {
        if matches!(error, LeaderError::TermOver) {
            std::println!("late");
        }
        return Err(error.into());
    }
    let sql = "SELECT coalesce(max(job), 0) + 1 FROM effects";
    let number = transaction.query_one(sql, &[]).await?.get(0);
    insert(&transaction, number).await?;
    transaction.commit().await?;
    did(number);
    Ok(client)
}

fn stream() -> redis_streams::Queue {
    redis_streams::Queue {
        stream: NAME.to_owned(),
        group: "workers".to_owned(),
        min_idle: *LEASE,
        max_attempts: u32::MAX,
        max_jobs: u32::MAX,
    }
}

async fn stream_worker(url: &str) -> Result<Infallible, Failure> {
    let name = format!("worker {}", process::id());
    let block = 50 * TICK;
    let redis = Redis::connect(url, block + redis_streams::CALL).await?;
    let mut worker = Worker::new(redis, stream(), &name, block);
    loop {
        let Some(job) = worker.next().await? else {
            continue;
        };
        work();
        did(&job.payload);
        if !worker.complete(&job).await? {
            std::println!("late");
        }
    }
}

async fn lock_worker(url: &str) -> Result<Infallible, Failure> {
    let redis = Redis::connect(url, *LEASE / 3).await?;
    let lock = RedisLock::new(redis.clone(), NAME, *LEASE);
    let store = async |token: u64, number: u64| {
        let script = Script::new(STORE);
        let mut call = script.key(format!("{NAME}:token"));
        call.key(format!("{NAME}:log")).arg(token).arg(number);
        let mut redis = redis.clone();
        call.invoke_async::<Option<u64>>(&mut redis).await
    };
    let add = async |token| {
        let last = store(token, 0).await?;
        work();
        match last {
            Some(last) if store(token, last + 1).await?.is_some() => did(last + 1),
            _ => std::println!("late"),
        }
        Ok::<(), Failure>(())
    };
    loop {
        lock.acquire(5 * TICK).await?.hold(add).await??;
    }
}

async fn nats(url: &str) -> Result<async_nats::Client, async_nats::ConnectError> {
    let options = async_nats::ConnectOptions::new().ping_interval(*LEASE);
    options.connect(url).await
}

pub async fn work_queue(url: &str) -> Result<WorkQueue, Failure> {
    let settings = nats_work_queue::Settings {
        max_jobs: 1_000_000,
        ack_wait: *LEASE,
        max_runtime: 60_000 * TICK,
        max_attempts: i64::MAX,
        backoff: 20 * TICK,
    };
    WorkQueue::open(jetstream::new(nats(url).await?), NAME, settings).await
}

async fn work_queue_worker(url: &str) -> Result<Infallible, Failure> {
    let handler = async |job: nats_work_queue::Job| {
        work();
        did(String::from_utf8_lossy(&job.payload));
        Ok(())
    };
    let report = |error| std::println!("error {error}");
    let queue = work_queue(url).await?;
    queue.work(&CancellationToken::new(), handler, report).await;
    Err("it has ended without a stop".into())
}

fn pool(url: &str) -> Result<PgPool, Failure> {
    let limits = pg_pool::Limits {
        connections: 2,
        acquire: *LEASE,
        connect: *LEASE,
        statement: *LEASE,
        work: *LEASE,
    };
    Ok(PgPool::new(config(url)?, limits))
}

async fn pool_caller(url: &str) -> Result<Infallible, Failure> {
    let pool = pool(url)?;
    calls(async |number| {
        pool.run::<_, PgError>(async |client| {
            let sql = "INSERT INTO effects VALUES ($1)";
            Ok(client.execute(sql, &[&number]).await?)
        })
        .await
        .map(|_| did(number))
    })
    .await
}

/// How many are called Ada, and how many Bob: at most the rows of the table.
pub fn accounts() -> u32 {
    times(1, 8)
}

/// Takes from one of those called Ada, and gives to one called Bob. With one of each, all
/// callers would wait for the same two rows.
async fn transaction_caller(url: &str) -> Result<Infallible, Failure> {
    let pool = pool(url)?;
    let retry = Retry {
        attempts: 100,
        initial_backoff: TICK,
        max_backoff: 50 * TICK,
    };
    let again = |error: &PgError| is_conflict(error);
    calls(async |number| {
        let transfer = || {
            pool.run(async |client| {
                let transaction = serializable(client).await?;
                for (name, amount) in [("Ada", -1_i64), ("Bob", 1)] {
                    let name = format!("{name}{}", number % i64::from(accounts()));
                    let sql =
                        "UPDATE accounts SET balance = balance + $2 WHERE name = $1";
                    transaction.execute(sql, &[&name, &amount]).await?;
                }
                insert(&transaction, number).await?;
                Ok(transaction.commit().await?)
            })
        };
        retry.run(again, transfer).await.map(|()| did(number))
    })
    .await
}

async fn copy_caller(url: &str) -> Result<Infallible, Failure> {
    let pool = pool(url)?;
    calls(async |number| {
        let rows = (0..ROWS).map(|_| {
            Ok::<_, PgError>(Reading {
                sensor: number,
                value: 0.0,
                note: None,
            })
        });
        pool.run(async |client| pg_copy::store(client, stream::iter(rows)).await)
            .await
            .map(|_| did(number))
    })
    .await
}

/// Adds to the table, and hears of what the others add.
async fn listener(url: &str) -> Result<Infallible, Failure> {
    let pool = pool(url)?;
    let limits = pg_listen::Limits {
        timeout: *LEASE,
        check_interval: *LEASE / 3,
        reconnect_delay: 20 * TICK,
    };
    let (sender, mut events) = channel(10);
    let listening = pg_listen::listen(config(url)?, NAME.to_owned(), limits, sender);
    let hearing = async {
        let (mut seen, mut tick) = (HashSet::new(), interval(50 * TICK));
        loop {
            select! {
                Some(event) = events.recv() => match event {
                    pg_listen::Event::Resync => {
                        let all = pool.run::<_, PgError>(async |client| {
                            Ok(client.query("SELECT job FROM effects", &[]).await?)
                        });
                        seen.extend(all.await?.iter().map(|row| row.get::<_, i64>(0)));
                    }
                    pg_listen::Event::Notified(it) => drop(seen.insert(it.payload().parse()?)),
                    pg_listen::Event::Lost(_) => {}
                },
                _ = tick.tick() => std::println!("sees {}", seen.len()),
            }
        }
    };
    let calling = calls(async |number| {
        pool.run::<_, PgError>(async |client| {
            let sql = "WITH added AS (INSERT INTO effects VALUES ($1) RETURNING job)
                       SELECT pg_notify($2, job::TEXT) FROM added";
            Ok(client.query(sql, &[&number, &NAME]).await?)
        })
        .await
        .map(|_| did(number))
    });
    select! {
        ended = hearing => ended,
        ended = calling => ended,
        () = listening => Err("the listener has ended".into()),
    }
}

async fn mysql_caller(url: &str) -> Result<Infallible, Failure> {
    let limits = mysql_pool::Limits {
        connections: 2,
        acquire: *LEASE,
        statement: *LEASE,
    };
    let database = Database::new(url, limits)?;
    calls(async |number: i64| {
        let names = vec![number.to_string(); ROWS];
        let added = timeout(*LEASE, mysql_pool::add_users(&database, &names)).await;
        added??;
        did(number);
        Ok::<_, Failure>(())
    })
    .await
}

async fn rate_limit_caller(url: &str) -> Result<Infallible, Failure> {
    let redis = Redis::connect(url, *LEASE).await?;
    let limiter = RateLimiter::new(redis, NAME, BURST, INTERVAL, *LEASE);
    calls(async |number| {
        loop {
            match limiter.try_acquire("all").await {
                Ok(()) => {
                    did(number);
                    break Ok(());
                }
                Err(Refused::RetryAfter(wait)) => sleep(wait).await,
                Err(error) => break Err(error),
            }
        }
    })
    .await
}

/// Changes a number, removes it from the cache, and must then find it or a newer one.
async fn cache_caller(url: &str) -> Result<Infallible, Failure> {
    let redis = Redis::connect(url, *LEASE).await?;
    let cache = RedisCache {
        redis: redis.clone(),
        prefix: NAME.to_owned(),
        ttl: 1000 * *LEASE,
        jitter: *LEASE,
        load_limit: *LEASE,
        poll: TICK,
        limit: *LEASE,
    };
    let truth = format!("{NAME}:truth");
    calls(async |number| {
        let mut connection = redis.clone();
        let changed: i64 = connection.incr(&truth, 1).await?;
        cache.remove("number").await?;
        let truth = truth.clone();
        let load = async move {
            let loaded = connection.get::<_, String>(truth).await;
            // Meanwhile another one may change it.
            sleep(5 * TICK).await;
            loaded.map_err(Arc::new)
        };
        let found: i64 = cache.get_or_load("number", load).await?.parse()?;
        if found >= changed {
            effect(number);
        }
        did(number);
        Ok::<_, Failure>(())
    })
    .await
}

/// Publishes to all, and hears of what the others publish.
async fn subscriber(url: &str) -> Result<Infallible, Failure> {
    let redis = Redis::connect(url, *LEASE).await?;
    let limits = redis_pub_sub::Limits {
        capacity: 10,
        answer: *LEASE,
        ping: *LEASE / 3,
        pause: 20 * TICK,
    };
    let log = format!("{NAME}:log");
    let client = redis::Client::open(url)?;
    let mut events = redis_pub_sub::subscribe(client, NAME, limits).await?;
    let hearing = async {
        let (mut seen, mut read) = (HashSet::<i64>::new(), 0);
        // Only what is new, in pages: all of it takes longer than a call may take.
        let catch_up = async |seen: &mut HashSet<i64>, read: &mut isize| loop {
            let mut redis = redis.clone();
            let page = redis.lrange(&log, *read, *read + 999);
            let page: Vec<i64> = page.await?;
            if page.is_empty() {
                break Ok::<_, Failure>(());
            }
            *read += page.len() as isize;
            seen.extend(page);
        };
        catch_up(&mut seen, &mut read).await?;
        let mut tick = interval(50 * TICK);
        loop {
            select! {
                Some(event) = events.recv() => match event {
                    redis_pub_sub::Event::Message(it) => drop(seen.insert(it.parse()?)),
                    redis_pub_sub::Event::Gap => catch_up(&mut seen, &mut read).await?,
                },
                _ = tick.tick() => std::println!("sees {}", seen.len()),
            }
        }
    };
    let calling = calls(async |number| {
        let script = Script::new(PUBLISH);
        let mut call = script.key(&log);
        call.key(NAME).arg(number);
        let mut redis = redis.clone();
        let published = call.invoke_async::<()>(&mut redis).await;
        published.map(|()| did(number))
    });
    select! {
        ended = hearing => ended,
        ended = calling => ended,
    }
}

/// Answers calls, and calls.
async fn service(url: &str) -> Result<Infallible, Failure> {
    let client = nats(url).await?;
    let limits = nats_request_reply::Limits {
        handlers: 10,
        runtime: *LEASE,
        drain: *LEASE,
    };
    let requests = client.queue_subscribe(NAME, NAME.to_owned()).await?;
    let handler = async |number: Bytes| {
        effect(String::from_utf8_lossy(&number));
        Ok::<_, Infallible>(number)
    };
    let stop = CancellationToken::new();
    let serving =
        nats_request_reply::serve(client.clone(), requests, limits, stop, handler);
    let calling = calls(async |number: i64| {
        let reply =
            nats_request_reply::call(&client, NAME, number.to_string(), *LEASE).await?;
        assert_eq!(reply, number.to_string(), "the reply to another call");
        did(number);
        Ok::<_, nats_request_reply::CallError>(())
    });
    select! {
        _ = serving => Err("the service has ended".into()),
        ended = calling => ended,
    }
}

pub async fn store(url: &str) -> Result<Store, Failure> {
    nats_key_value::open(&jetstream::new(nats(url).await?), NAME).await
}

/// Counts on, and sees how the others count.
async fn counter(url: &str) -> Result<Infallible, Failure> {
    let store = store(url).await?;
    let report = |error| std::println!("error {error}");
    let value = nats_key_value::follow(store.clone(), "count", 20 * TICK, report).await?;
    let hearing = async {
        let mut tick = interval(50 * TICK);
        loop {
            tick.tick().await;
            std::println!("sees {}", count(value.borrow().clone()));
        }
    };
    let calling = calls(async |_| {
        let mut counted = 0;
        let change = nats_key_value::change(&store, "count", |value| {
            counted = count(value) + 1;
            counted.to_string().into()
        });
        timeout(*LEASE, change).await??;
        did(counted);
        Ok::<_, Failure>(())
    });
    select! {
        never = hearing => never,
        ended = calling => ended,
    }
}

pub fn count(value: Option<Bytes>) -> i64 {
    let text = value.map(|value| String::from_utf8_lossy(&value).into_owned());
    text.map_or(0, |text| text.parse().expect("a number"))
}

/// Works on this example.
pub async fn run(example: &str, url: &str) -> Result<Infallible, Failure> {
    match example {
        "mysql_pool" => mysql_caller(url).await,
        "nats_key_value" => counter(url).await,
        "nats_request_reply" => service(url).await,
        "nats_work_queue" => work_queue_worker(url).await,
        "pg_copy" => copy_caller(url).await,
        "pg_cron_once" => cron_machine(url).await,
        "pg_job_queue" => job_queue_worker(url).await,
        "pg_leader" => leader_worker(url).await,
        "pg_listen" => listener(url).await,
        "pg_outbox" => outbox_worker(url).await,
        "pg_pool" => pool_caller(url).await,
        "pg_transaction" => transaction_caller(url).await,
        "pg_worker" => worker(url).await,
        "redis_cache" => cache_caller(url).await,
        "redis_lock" => lock_worker(url).await,
        "redis_pub_sub" => subscriber(url).await,
        "redis_rate_limit" => rate_limit_caller(url).await,
        "redis_streams" => stream_worker(url).await,
        _ => panic!("{example}"),
    }
}
