//! Servers as they are: which fault each pattern meets, and why another one does not.
//!
//! `attacks` has all of them but the last, the largest message, which is here.

use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_nats::jetstream;
use bytes::Bytes;
use mysql_async::prelude::Queryable as _;
use redis::AsyncCommands as _;
use servers::Kind;
use tokio::sync::mpsc::channel;
use tokio_postgres::{Config, NoTls};
use tokio_util::sync::CancellationToken;

use super::support::{mysql, nats, postgres, private, soon, unique};
use crate::redis_reconnect::Redis;
use crate::redis_streams::{Queue, Worker};
use crate::{
    mysql_pool, nats_key_value, nats_request_reply, nats_work_queue, pg_listen,
    redis_cache, redis_pub_sub,
};

const MINUTE: Duration = Duration::from_secs(60);

/// A fault, the patterns that meet it, and of the others each with the reason.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    name: &'static str,
    meet: &'static [&'static [&'static str]],
    others: &'static [(&'static str, &'static [&'static str])],
}

impl Fault {
    pub fn meets(&self, pattern: &str) -> bool {
        self.meet.iter().any(|patterns| patterns.contains(&pattern))
    }
}

/// Those of `attacks`: processes are killed and stopped, connections cut, slow and
/// silent, the server is killed and hangs.
pub const ATTACKED: [&str; 18] = [
    "mysql_pool",
    "nats_key_value",
    "nats_request_reply",
    "nats_work_queue",
    "pg_copy",
    "pg_cron_once",
    "pg_job_queue",
    "pg_leader",
    "pg_listen",
    "pg_outbox",
    "pg_pool",
    "pg_transaction",
    "pg_worker",
    "redis_cache",
    "redis_lock",
    "redis_pub_sub",
    "redis_rate_limit",
    "redis_streams",
];

const MYSQL: &[&str] = &["mysql_pool"];
const NATS: &[&str] = &["nats_key_value", "nats_request_reply", "nats_work_queue"];
const PG: &[&str] = &[
    "pg_copy",
    "pg_cron_once",
    "pg_job_queue",
    "pg_leader",
    "pg_listen",
    "pg_outbox",
    "pg_pool",
    "pg_transaction",
    "pg_worker",
];
const REDIS: &[&str] = &[
    "redis_cache",
    "redis_lock",
    "redis_pub_sub",
    "redis_rate_limit",
    "redis_streams",
];

/// Never attacked.
const CALM: (&str, &[&str]) = (
    "one transaction or one connect of its caller, who gets the error: its own tests drop \
     it at each await, or have servers that refuse and hang",
    &[
        "mysql_transaction",
        "pg_failover",
        "pg_idempotency_key",
        "pg_migrations",
        "pg_optimistic_update",
        "pg_tls",
        "pg_trace_context",
    ],
);
const GRPC: (&str, &[&str]) = ("no server is between the processes", &["grpc_calls"]);
const OWN: (&str, &[&str]) = (
    "its own tests lose workers, replies and the server; each call is a script, as those \
     of `redis_streams`",
    &["redis_job_queue"],
);

const CONNECT: (&str, &[&str]) = (
    "the patterns on Redis that are attacked connect with it",
    &["redis_reconnect"],
);

pub const ATTACKS: Fault = Fault {
    name: "processes, connections and the server are killed, stopped and silent",
    meet: &[&ATTACKED],
    others: &[CALM, GRPC, OWN, CONNECT],
};

/// PostgreSQL and MariaDB have no connection left, Redis has no memory.
pub const FULL: Fault = Fault {
    name: "the server is full",
    meet: &[MYSQL, PG, REDIS],
    others: &[
        CALM,
        GRPC,
        OWN,
        CONNECT,
        (
            "NATS reads its limits from a file; `max_jobs` has a test",
            NATS,
        ),
    ],
};

pub const READ_ONLY: Fault = Fault {
    name: "the server is read-only",
    meet: &[MYSQL, PG, REDIS],
    others: &[CALM, GRPC, OWN, CONNECT, ("NATS cannot be read-only", NATS)],
};

/// `attacks` runs all processes with such a role.
const ROLE: Fault = Fault {
    name: "a role without rights to create",
    meet: &[MYSQL, PG],
    others: &[
        CALM,
        GRPC,
        OWN,
        CONNECT,
        ("its server has no tables", REDIS),
        ("its server has no tables", NATS),
    ],
};

pub const LONG_TRANSACTION: Fault = Fault {
    name: "all processes start beside a long transaction",
    meet: &[MYSQL, PG],
    others: &[
        CALM,
        GRPC,
        OWN,
        CONNECT,
        ("its server has no long transactions", REDIS),
        ("its server has no long transactions", NATS),
    ],
};

pub const NEXT_RELEASE: Fault = Fault {
    name: "the next release has other limits",
    meet: &[&ATTACKED],
    others: &[CALM, GRPC, OWN, CONNECT],
};

pub const BACKLOG: Fault = Fault {
    name: "a backlog of 200,000",
    meet: &[&[
        "nats_work_queue",
        "pg_job_queue",
        "pg_outbox",
        "pg_worker",
        "redis_streams",
    ]],
    others: &[
        CALM,
        GRPC,
        OWN,
        CONNECT,
        (
            "nothing waits on its server",
            &[
                "mysql_pool",
                "nats_key_value",
                "nats_request_reply",
                "pg_copy",
                "pg_cron_once",
                "pg_leader",
                "pg_listen",
                "pg_pool",
                "pg_transaction",
                "redis_cache",
                "redis_lock",
                "redis_pub_sub",
                "redis_rate_limit",
            ],
        ),
    ],
};

const LARGEST: Fault = Fault {
    name: "the largest message and one byte more",
    meet: &[
        NATS,
        &[
            "mysql_pool",
            "pg_listen",
            "redis_cache",
            "redis_pub_sub",
            "redis_streams",
        ],
    ],
    others: &[
        CALM,
        OWN,
        CONNECT,
        (
            "a value of PostgreSQL may have a gigabyte",
            &[
                "pg_copy",
                "pg_cron_once",
                "pg_job_queue",
                "pg_leader",
                "pg_outbox",
                "pg_pool",
                "pg_transaction",
                "pg_worker",
            ],
        ),
        ("it stores a number", &["redis_lock", "redis_rate_limit"]),
        ("`a_message_over_the_limit` has it", &["grpc_calls"]),
    ],
};

/// Each example of the section is named once for each fault.
#[test]
fn each_fault_meets_each_pattern_or_says_why_not() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let files = fs::read_dir(source).expect("it is there");
    let names = files.map(|file| file.expect("it is there").file_name());
    let names =
        names.filter_map(|name| Some(name.to_str()?.strip_suffix(".rs")?.to_owned()));
    let patterns: BTreeSet<String> = names.filter(|name| name != "main").collect();
    for fault in [
        ATTACKS,
        FULL,
        READ_ONLY,
        ROLE,
        LONG_TRANSACTION,
        NEXT_RELEASE,
        BACKLOG,
        LARGEST,
    ] {
        let others = fault.others.iter().map(|(_why, patterns)| *patterns);
        let listed = fault.meet.iter().copied().chain(others).flatten();
        let listed: Vec<String> = listed.map(|name| (*name).to_owned()).collect();
        let number = listed.len();
        let listed = BTreeSet::from_iter(listed);
        assert_eq!(listed, patterns, "{}", fault.name);
        assert_eq!(number, listed.len(), "{}: one is listed twice", fault.name);
    }
}

type Sent = Pin<Box<dyn Future<Output = Result<usize, String>>>>;

/// Looks for the largest message, of at most this size. It comes as it is. With one byte
/// more its sender gets an error, and then small ones come again.
async fn largest(name: &str, most: usize, send: impl Fn(usize) -> Sent) {
    assert!(LARGEST.meets(name));
    // Headers and ids count.
    let mut size = most;
    while soon(send(size)).await != Ok(size) {
        size -= 1;
        assert!(size + 100 > most, "{name}: {size}");
    }
    assert_eq!(soon(send(10)).await, Ok(10), "{name}");
    let refused = soon(send(size + 1)).await;
    println!("{name}: {size} bytes come, and one more: {refused:?}");
    refused.expect_err(name);
    let comes = async { while send(10).await != Ok(10) {} };
    soon(comes).await;
}

fn text(size: usize) -> String {
    "x".repeat(size)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn the_largest_message_of_nats() {
    let client = nats().await;
    let limits = nats_request_reply::Limits {
        handlers: 10,
        runtime: MINUTE,
        drain: MINUTE,
    };
    let (subject, stop) = (unique("largest"), CancellationToken::new());
    let requests = client.queue_subscribe(subject.clone(), subject.clone());
    let requests = requests.await.expect("a subject");
    // The reply is as long as the request says, or as long as the request.
    let handler = |request: Bytes| async move {
        let length = String::from_utf8_lossy(&request).parse();
        let length: usize = length.unwrap_or(request.len());
        Ok::<_, std::convert::Infallible>(Bytes::from(vec![b'x'; length]))
    };
    let service = nats_request_reply::serve(
        client.clone(),
        requests,
        limits,
        stop.clone(),
        handler,
    );
    let service = tokio::spawn(service);
    client.flush().await.expect("it runs");
    let size = client.max_payload();
    for is_request in [true, false] {
        largest("nats_request_reply", size, |size| {
            let (client, subject) = (client.clone(), subject.clone());
            let request = if is_request {
                text(size)
            } else {
                size.to_string()
            };
            Box::pin(async move {
                let reply =
                    nats_request_reply::call(&client, &subject, request, MINUTE).await;
                reply.map(|it| it.len()).map_err(|error| error.to_string())
            })
        })
        .await;
    }
    stop.cancel();
    soon(service).await.expect("it does not panic");

    let name = unique("largest");
    let settings = nats_work_queue::Settings {
        max_jobs: 100,
        ack_wait: MINUTE,
        max_runtime: MINUTE,
        max_attempts: 2,
        backoff: Duration::ZERO,
    };
    let context = jetstream::new(client.clone());
    let queue = nats_work_queue::WorkQueue::open(context.clone(), &name, settings);
    let queue = queue.await.expect("it opens");
    let store = nats_key_value::open(&context, &name)
        .await
        .expect("it opens");
    let (sender, received) = tokio::sync::watch::channel(0);
    let stop = CancellationToken::new();
    let working = {
        let (queue, stop) = (queue.clone(), stop.clone());
        let handler = move |job: nats_work_queue::Job| {
            sender.send_replace(job.payload.len());
            async { Ok(()) }
        };
        tokio::spawn(async move { queue.work(&stop, handler, |_| {}).await })
    };
    largest("nats_work_queue", client.max_payload(), |size| {
        let (queue, mut received) = (queue.clone(), received.clone());
        Box::pin(async move {
            // Ids of one length, as the id counts.
            let id = format!("{:07}", fastrand::u32(0..10_000_000));
            let added = queue.add(&id, text(size)).await;
            added.map_err(|error| error.to_string())?;
            let came = received.wait_for(|it| *it == size).await;
            Ok(*came.expect("it works"))
        })
    })
    .await;
    stop.cancel();
    soon(working).await.expect("it does not panic");
    largest("nats_key_value", 64 * 1024, |size| {
        let store = store.clone();
        Box::pin(async move {
            let value = |_: Option<Bytes>| Bytes::from(text(size));
            let changed = nats_key_value::change(&store, "key", value).await;
            changed.map_err(|error| error.to_string())?;
            let value = store.get("key").await.expect("it runs");
            Ok(value.expect("it is there").len())
        })
    })
    .await;
    for name in [name.clone(), format!("{name}_dead"), format!("KV_{name}")] {
        context.delete_stream(name).await.expect("it is there");
    }
}

/// A megabyte here, 512 by default.
#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn the_largest_message_of_redis() {
    let server = private(Kind::Redis).await;
    let url = server.url();
    let redis = Redis::connect(&url, MINUTE).await.expect("it runs");
    let mut raw = redis.clone();
    let mut limit = redis::cmd("CONFIG");
    limit.arg(&["SET", "proto-max-bulk-len", "1mb"]);
    limit.exec_async(&mut raw).await.expect("it answers");
    let cache = redis_cache::RedisCache {
        redis: redis.clone(),
        prefix: "largest:".to_owned(),
        ttl: MINUTE,
        jitter: Duration::ZERO,
        // The mark of a load whose value was refused stays so long.
        load_limit: Duration::from_secs(2),
        poll: Duration::from_millis(1),
        limit: MINUTE,
    };
    let size = 1024 * 1024;
    largest("redis_cache", size, |size| {
        let cache = cache.clone();
        Box::pin(async move {
            let key = size.to_string();
            let load = async move { Ok::<_, std::convert::Infallible>(text(size)) };
            let loaded = cache.get_or_load(&key, load).await;
            loaded.map_err(|error| error.to_string())?;
            let none = async { Ok::<_, std::convert::Infallible>(String::new()) };
            let kept = cache.get_or_load(&key, none).await;
            let kept = kept.map_err(|error| error.to_string())?.len();
            if kept == size {
                Ok(size)
            } else {
                Err("it is not kept".to_owned())
            }
        })
    })
    .await;
    let limits = redis_pub_sub::Limits {
        capacity: 10,
        answer: MINUTE,
        ping: MINUTE,
        pause: Duration::from_millis(1),
    };
    let client = redis::Client::open(url.as_str()).expect("a URL");
    let events = redis_pub_sub::subscribe(client, "largest", limits).await;
    let events = std::sync::Arc::new(tokio::sync::Mutex::new(events.expect("it runs")));
    largest("redis_pub_sub", size, |size| {
        let (redis, events) = (redis.clone(), events.clone());
        Box::pin(async move {
            let mut redis = redis;
            let published = redis.publish::<_, _, ()>("largest", text(size)).await;
            published.map_err(|error| error.to_string())?;
            match events.lock().await.recv().await.expect("it listens") {
                redis_pub_sub::Event::Message(message) => Ok(message.len()),
                redis_pub_sub::Event::Gap => Err("a gap".to_owned()),
            }
        })
    })
    .await;
    let queue = Queue {
        stream: "largest".to_owned(),
        group: "workers".to_owned(),
        min_idle: MINUTE,
        max_attempts: 2,
        max_jobs: 10,
    };
    let own = Redis::connect(&url, MINUTE).await.expect("it runs");
    let worker = Worker::new(own, queue.clone(), "ann", Duration::from_millis(10));
    let worker = std::sync::Arc::new(tokio::sync::Mutex::new(worker));
    largest("redis_streams", size, |size| {
        let (queue, redis, worker) = (queue.clone(), redis.clone(), worker.clone());
        Box::pin(async move {
            let mut redis = redis;
            let added = queue.enqueue(&mut redis, &text(size)).await;
            added.map_err(|error| error.to_string())?;
            let mut worker = worker.lock().await;
            loop {
                if let Some(job) = worker.next().await.expect("it answers") {
                    worker.complete(&job).await.expect("it answers");
                    return Ok(job.payload.len());
                }
            }
        })
    })
    .await;
}

/// Of one statement, as `max_allowed_packet` allows.
#[tokio::test]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn the_largest_message_of_mysql() {
    let (url, name) = (mysql().await, unique("largest"));
    let limits = mysql_pool::Limits {
        connections: 2,
        acquire: MINUTE,
        statement: MINUTE,
    };
    let admin = mysql_pool::Database::new(&url, limits).expect("a URL");
    let mut admin = admin.connection().await.expect("it runs");
    for sql in [
        format!("CREATE DATABASE {name}"),
        format!("CREATE TABLE {name}.users (id INT, name LONGTEXT)"),
    ] {
        admin.query_drop(sql).await.expect("it runs");
    }
    let (server, _database) = url.rsplit_once('/').expect("a URL");
    let url = format!("{server}/{name}");
    let database = mysql_pool::Database::new(&url, limits).expect("a URL");
    let most = admin.query_first("SELECT @@max_allowed_packet").await;
    let most: Option<usize> = most.expect("it runs");
    largest("mysql_pool", most.expect("a row"), |size| {
        let database = database.clone();
        Box::pin(async move {
            let added = mysql_pool::add_users(&database, &[text(size)]).await;
            added.map_err(|error| error.to_string())?;
            let mut connection = database.connection().await.expect("it runs");
            let sql = "SELECT LENGTH(name) FROM users WHERE LENGTH(name) = ?";
            let stored = connection.exec_first(sql, (size,)).await.expect("it runs");
            Ok(stored.expect("it is stored"))
        })
    })
    .await;
    let sql = format!("DROP DATABASE {name}");
    admin.query_drop(sql).await.expect("it runs");
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn the_largest_notification() {
    let (url, name) = (postgres().await, unique("largest"));
    let config: Config = url.parse().expect("a URL");
    let (client, connection) = config.connect(NoTls).await.expect("it runs");
    tokio::spawn(connection);
    let limits = pg_listen::Limits {
        timeout: MINUTE,
        check_interval: MINUTE,
        reconnect_delay: MINUTE,
    };
    let (sender, mut events) = channel(10);
    tokio::spawn(pg_listen::listen(config, name.clone(), limits, sender));
    let first = soon(events.recv()).await;
    assert!(matches!(first, Some(pg_listen::Event::Resync)), "{first:?}");
    let client = std::sync::Arc::new(client);
    let events = std::sync::Arc::new(tokio::sync::Mutex::new(events));
    largest("pg_listen", 7999, |size| {
        let (client, name, events) = (client.clone(), name.clone(), events.clone());
        Box::pin(async move {
            let sql = "SELECT pg_notify($1, $2)";
            let sent = client.execute(sql, &[&name, &text(size)]).await;
            sent.map_err(|error| error.to_string())?;
            match events.lock().await.recv().await.expect("it listens") {
                pg_listen::Event::Notified(heard) => Ok(heard.payload().len()),
                other => Err(format!("{other:?}")),
            }
        })
    })
    .await;
}
