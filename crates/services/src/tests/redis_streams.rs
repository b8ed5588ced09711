use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::AsyncCommands;
use redis::streams::{StreamRangeReply, StreamReadOptions, StreamReadReply};
use servers::Kind;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::support::{
    CuttingProxy, child_of, go_silent, poll_and_drop, private, redis, soon, unique,
};
use crate::redis_reconnect::Redis;
use crate::redis_streams::{CALL, Job, Queue, Worker, risks};

const BLOCK: Duration = Duration::from_millis(20);
const LIMIT: Duration = Duration::from_secs(20);

fn queue(min_idle: Duration) -> Queue {
    Queue {
        stream: unique("jobs"),
        group: "workers".to_owned(),
        min_idle,
        max_attempts: 1000,
        max_jobs: 1_000_000,
    }
}

async fn connected(url: &str) -> Redis {
    Redis::connect(url, LIMIT).await.expect("it connects")
}

async fn worker(url: &str, queue: &Queue, name: &str) -> Worker<Redis> {
    let redis = Redis::connect(url, BLOCK + CALL).await;
    Worker::new(redis.expect("it connects"), queue.clone(), name, BLOCK)
}

/// Waits for a job, also while Redis is away.
async fn job(worker: &mut Worker<Redis>) -> Job {
    let job = async {
        loop {
            match worker.next().await {
                Ok(Some(job)) => return job,
                Ok(None) => {}
                Err(_) => sleep(BLOCK).await,
            }
        }
    };
    soon(job).await
}

/// Completes the job, also while Redis is away.
async fn complete(worker: &mut Worker<Redis>, job: &Job) -> bool {
    let complete = async {
        loop {
            match worker.complete(job).await {
                Ok(done) => return done,
                Err(_) => sleep(BLOCK).await,
            }
        }
    };
    soon(complete).await
}

async fn length(redis: &Redis, stream: &str) -> u32 {
    let mut redis = redis.clone();
    redis.xlen(stream).await.expect("it answers")
}

/// Four workers handle the jobs, and drop every seventh that they get. Returns how often
/// each was handled.
async fn handle_all(
    url: &str,
    queue: &Queue,
    jobs: &BTreeSet<String>,
) -> BTreeMap<String, u32> {
    let handled = Arc::new(Mutex::new(BTreeMap::new()));
    let mut workers = JoinSet::new();
    for name in ["ann", "ben", "cleo", "dan"] {
        let (url, queue) = (url.to_owned(), queue.clone());
        let (jobs, handled) = (jobs.clone(), Arc::clone(&handled));
        workers.spawn(async move {
            let mut worker = worker(&url, &queue, name).await;
            let mut got = 0;
            while handled.lock().expect("nobody panics").len() < jobs.len() {
                let Ok(Some(job)) = worker.next().await else {
                    continue;
                };
                got += 1;
                if got % 7 == 3 {
                    continue;
                }
                let count = handled.lock().map(|mut all| {
                    *all.entry(job.id.clone()).or_insert(0) += 1;
                });
                count.expect("nobody panics");
                complete(&mut worker, &job).await;
            }
        });
    }
    soon(workers.join_all()).await;
    let handled = handled.lock().expect("nobody panics");
    handled.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn each_job_is_handled_though_workers_drop_some() {
    let url = redis().await;
    let mut redis = connected(&url).await;
    for number in [0, 1, 31, 300] {
        let queue = queue(Duration::from_millis(200));
        let mut jobs = BTreeSet::new();
        for number in 0..number {
            let id = queue.enqueue(&mut redis, &number.to_string()).await;
            jobs.insert(id.expect("it answers"));
        }
        let handled = handle_all(&url, &queue, &jobs).await;
        assert_eq!(handled.into_keys().collect::<BTreeSet<_>>(), jobs);
        assert_eq!(length(&redis, &queue.stream).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_server_that_is_killed_three_times_loses_no_job() {
    let mut server = private(Kind::Redis).await;
    let url = server.url();
    let queue = queue(Duration::from_millis(300));
    let mut redis = connected(&url).await;
    let mut jobs = BTreeSet::new();
    for number in 0..300 {
        let id = queue.enqueue(&mut redis, &number.to_string()).await;
        jobs.insert(id.expect("it answers"));
    }
    let handling = tokio::spawn({
        let (url, queue, jobs) = (url.clone(), queue.clone(), jobs.clone());
        async move { handle_all(&url, &queue, &jobs).await }
    });
    for _ in 0..3 {
        sleep(Duration::from_millis(50)).await;
        server.kill();
        server.restart().expect("it starts");
    }
    let handled = soon(handling).await.expect("it does not panic");
    assert_eq!(handled.keys().cloned().collect::<BTreeSet<_>>(), jobs);
    let twice = handled.values().filter(|count| **count > 1).count();
    println!("{twice} of 300 were handled more than once");
}

/// What a process of the next test does.
#[tokio::test]
async fn child() {
    if let (Ok(url), Ok(stream)) = (env::var("CHILD_URL"), env::var("CHILD_STREAM")) {
        let queue = Queue {
            stream,
            ..queue(Duration::from_secs(1))
        };
        let job = job(&mut worker(&url, &queue, "child").await).await;
        println!("got {}", job.payload);
        std::future::pending().await
    }
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn the_job_of_a_killed_process_goes_to_another() {
    use std::io::{BufRead, BufReader};
    let url = redis().await;
    let queue = queue(Duration::from_secs(1));
    let mut redis = connected(&url).await;
    let id = queue.enqueue(&mut redis, "tea").await.expect("it answers");
    let mut child = child_of(module_path!());
    child
        .env("CHILD_URL", &url)
        .env("CHILD_STREAM", &queue.stream);
    child.stdout(std::process::Stdio::piped());
    let start = Instant::now();
    let mut child = child.spawn().expect("it starts");
    let output = child.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(output).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("got tea"))));
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let mut worker = worker(&url, &queue, "ann").await;
    let job = job(&mut worker).await;
    assert!(start.elapsed() >= queue.min_idle);
    assert_eq!((job.id.as_str(), job.attempt), (id.as_str(), 2));
    assert!(complete(&mut worker, &job).await);
    assert!(!complete(&mut worker, &job).await);
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn thirty_busy_workers_do_not_hide_the_job_of_a_dead_one() {
    let url = redis().await;
    let mut redis = connected(&url).await;
    let queue = queue(Duration::from_millis(500));
    for number in 0..31 {
        let id = queue.enqueue(&mut redis, &number.to_string()).await;
        id.expect("it answers");
    }
    let mut busy = worker(&url, &queue, "busy").await;
    let mut jobs = Vec::new();
    for _ in 0..31 {
        jobs.push(job(&mut busy).await);
    }
    sleep(Duration::from_millis(600)).await;
    // All but the last have just been delivered.
    let mut claim = redis::cmd("XCLAIM");
    claim
        .arg(&queue.stream)
        .arg(&queue.group)
        .arg("busy")
        .arg(0);
    claim.arg(
        jobs[..30]
            .iter()
            .map(|job| job.id.as_str())
            .collect::<Vec<_>>(),
    );
    claim.arg("JUSTID");
    let mut redis = redis.clone();
    let claimed: Vec<String> = claim.query_async(&mut redis).await.expect("it answers");
    assert_eq!(claimed.len(), 30);
    let mut other = worker(&url, &queue, "other").await;
    let mut found = None;
    // Thirty-one entries, ten at a time. The busy ones are not idle for that long.
    for _ in 0..5 {
        found = found.or(other.next().await.expect("it answers"));
    }
    assert_eq!(found.map(|job| job.id), jobs.pop().map(|job| job.id));
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_drop_at_any_await_loses_no_job() {
    let url = redis().await;
    let mut redis = connected(&url).await;
    for polls in 0..8 {
        let queue = queue(Duration::from_millis(50));
        let id = queue.enqueue(&mut redis, "tea").await.expect("it answers");
        let mut worker = worker(&url, &queue, "ann").await;
        let dropped = poll_and_drop(worker.next(), polls).await.is_none();
        let job = job(&mut worker).await;
        assert_eq!(job.id, id);
        assert!(dropped || job.attempt == 2, "{job:?}");
        drop(poll_and_drop(worker.complete(&job), polls).await);
        complete(&mut worker, &job).await;
        assert_eq!(worker.next().await.expect("it answers"), None);
    }
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_job_whose_delivery_is_lost_is_delivered_again() {
    let url = redis().await;
    let proxy = CuttingProxy::start(&url).await;
    let mut redis = connected(&url).await;
    for replies in 1..4 {
        let queue = queue(Duration::from_millis(50));
        let id = queue.enqueue(&mut redis, "tea").await.expect("it answers");
        let mut worker = worker(proxy.url(), &queue, "ann").await;
        proxy.cut(replies);
        let job = job(&mut worker).await;
        assert_eq!(job.id, id);
        proxy.cut(1);
        // The first one was done, and its reply lost.
        assert!(!complete(&mut worker, &job).await);
    }
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_job_that_always_fails_is_moved() {
    let url = redis().await;
    let mut redis = connected(&url).await;
    let queue = Queue {
        max_attempts: 3,
        ..queue(Duration::from_millis(10))
    };
    queue
        .enqueue(&mut redis, "poison")
        .await
        .expect("it answers");
    let mut worker = worker(&url, &queue, "ann").await;
    for attempt in 1..=3 {
        assert_eq!(job(&mut worker).await.attempt, attempt);
        sleep(Duration::from_millis(20)).await;
    }
    let dead = format!("{}:dead", queue.stream);
    assert_eq!(length(&redis, &dead).await, 0);
    assert_eq!(worker.next().await.expect("it answers"), None);
    assert_eq!(length(&redis, &dead).await, 1);
    assert_eq!(length(&redis, &queue.stream).await, 0);
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_queue_that_redis_has_lost_is_made_again() {
    let url = redis().await;
    let mut redis = connected(&url).await;
    let mut raw = redis.clone();
    let queue = queue(Duration::from_secs(60));
    let mut worker = worker(&url, &queue, "ann").await;
    for _ in 0..2 {
        queue.enqueue(&mut redis, "tea").await.expect("it answers");
        assert_eq!(job(&mut worker).await.payload, "tea");
        raw.del::<_, ()>(&queue.stream).await.expect("it answers");
        assert_eq!(worker.next().await.expect("it answers"), None);
    }
}

/// Why a worker has a connection of its own.
#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_blocking_read_blocks_its_connection_and_a_timeout_ends_it() {
    let url = redis().await;
    let stream = unique("jobs");
    let mut redis = connected(&url).await;
    let made = redis
        .xgroup_create_mkstream::<_, _, _, ()>(&stream, "g", "0")
        .await;
    made.expect("it answers");
    let options = StreamReadOptions::default().group("g", "ann").block(800);
    let read = async |mut redis: Redis| {
        let keys = [stream.as_str()];
        redis.xread_options(&keys, &[">"], &options).await
    };
    let start = Instant::now();
    let mut other = redis.clone();
    let pings = async {
        sleep(Duration::from_millis(50)).await;
        other.ping::<()>().await.expect("it answers");
        start.elapsed()
    };
    let (none, waited) = tokio::join!(read(redis.clone()), pings);
    let none: Option<StreamReadReply> = none.expect("it answers");
    assert!(none.is_none());
    assert!(waited > Duration::from_millis(700), "{waited:?}");

    // The reader gives up, and then the job comes: it is delivered to nobody.
    let short = Redis::connect(&url, Duration::from_millis(200)).await;
    let short = short.expect("it connects");
    let read: redis::RedisResult<Option<StreamReadReply>> = read(short.clone()).await;
    assert!(read.expect_err("it is late").is_timeout());
    let _: String = redis
        .xadd(&stream, "*", &[("payload", "tea")])
        .await
        .expect("it answers");
    let pending = async {
        loop {
            let info: redis::Value =
                redis.xpending(&stream, "g").await.expect("it answers");
            if format!("{info:?}").contains("ann") {
                return;
            }
        }
    };
    timeout(Duration::from_secs(30), pending)
        .await
        .expect("it is pending");
    drop(short);
}

/// Writes to the queue until the server refuses that.
async fn fill(redis: &mut Redis) {
    let set = |name: &str, value: &str| {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg(name).arg(value);
        set
    };
    let policy = set("maxmemory-policy", "noeviction");
    policy.exec_async(redis).await.expect("it answers");
    let full = set("maxmemory", "1");
    full.exec_async(redis).await.expect("it answers");
    let refused = redis.set::<_, _, ()>("more", 1).await;
    let refused = refused.expect_err("it is full").to_string();
    assert!(refused.contains("OOM"), "{refused}");
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn jobs_are_completed_on_a_full_server() {
    let server = private(Kind::Redis).await;
    let mut redis = connected(&server.url()).await;
    let mut raw = redis.clone();
    let queue = Queue {
        max_attempts: 1,
        ..queue(Duration::from_millis(10))
    };
    for payload in ["poison", "tea", "cake"] {
        queue
            .enqueue(&mut redis, payload)
            .await
            .expect("it answers");
    }
    let mut worker = worker(&server.url(), &queue, "ann").await;
    assert_eq!(job(&mut worker).await.payload, "poison");
    fill(&mut raw).await;
    sleep(Duration::from_millis(20)).await;
    // The first one has had all its attempts, and goes to the dead.
    let mut done = Vec::new();
    while done.len() < 2 {
        if let Some(job) = worker.next().await.expect("it answers") {
            assert!(worker.complete(&job).await.expect("it answers"));
            done.push(job.payload);
        }
    }
    assert_eq!(done, ["tea", "cake"]);
    assert_eq!(length(&redis, &queue.stream).await, 0);
    assert_eq!(length(&redis, &format!("{}:dead", queue.stream)).await, 1);
    queue
        .enqueue(&mut redis, "pie")
        .await
        .expect_err("it is full");
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_full_queue_refuses_jobs() {
    let mut redis = connected(&redis().await).await;
    let queue = Queue {
        max_jobs: 3,
        ..queue(LIMIT)
    };
    for _ in 0..3 {
        queue.enqueue(&mut redis, "tea").await.expect("it answers");
    }
    let refused = queue
        .enqueue(&mut redis, "tea")
        .await
        .expect_err("it is full");
    assert!(
        refused.to_string().contains("the queue is full"),
        "{refused}"
    );
    assert_eq!(length(&redis, &queue.stream).await, 3);
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn an_entry_that_is_no_job_is_an_error_and_is_kept() {
    let url = redis().await;
    let redis = connected(&url).await;
    let mut raw = redis.clone();
    let queue = Queue {
        max_attempts: 2,
        ..queue(Duration::from_millis(10))
    };
    let entries: [(&str, &[u8]); 2] = [("payload", b"\xff\x00"), ("order", b"19")];
    for entry in entries {
        let added = raw
            .xadd::<_, _, _, _, String>(&queue.stream, "*", &[entry])
            .await;
        added.expect("it answers");
    }
    let mut worker = worker(&url, &queue, "ann").await;
    let (mut errors, dead) = (0, format!("{}:dead", queue.stream));
    let moved = async {
        while length(&redis, &dead).await < 2 {
            match worker.next().await {
                Ok(None) => {}
                Ok(Some(job)) => panic!("{job:?}"),
                Err(_) => errors += 1,
            }
        }
    };
    soon(moved).await;
    // Two attempts at each.
    assert_eq!(errors, 4);
    let kept: StreamRangeReply = raw.xrange_all(&dead).await.expect("it answers");
    let kept = kept.ids.iter().map(|entry| {
        let (name, value) = entry.map.iter().next().expect("a field");
        (name.as_str(), value.clone())
    });
    let expected =
        entries.map(|(name, value)| (name, redis::Value::BulkString(value.into())));
    assert_eq!(kept.collect::<Vec<_>>(), expected);
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_server_that_may_lose_jobs_is_told() {
    let server = private(Kind::Redis).await;
    let mut redis = connected(&server.url()).await;
    assert_eq!(risks(&mut redis).await.expect("it answers"), [""; 0]);
    let mut raw = redis.clone();
    for (name, value) in [("appendonly", "no"), ("maxmemory-policy", "allkeys-lru")] {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg(name).arg(value);
        set.exec_async(&mut raw).await.expect("it answers");
    }
    let told = risks(&mut redis).await.expect("it answers");
    assert_eq!(
        told,
        ["aof_enabled is not 1", "maxmemory_policy is not noeviction"]
    );
}

/// The limit of the connection is a minute. In the server's place, somebody accepts
/// connections and says nothing.
#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_call_fails_after_its_own_limit() {
    const LONG: Duration = Duration::from_secs(60);
    let mut server = private(Kind::Redis).await;
    let queue = queue(LONG);
    let redis = Redis::connect(&server.url(), LONG).await;
    let mut redis = redis.expect("it connects");
    queue.enqueue(&mut redis, "tea").await.expect("it answers");
    let mut ann = Worker::new(redis.clone(), queue.clone(), "ann", BLOCK);
    let job = job(&mut ann).await;
    let _silent = go_silent(&mut server);
    let (start, mut other) = (Instant::now(), redis.clone());
    let (enqueued, risky, worked) =
        tokio::join!(queue.enqueue(&mut redis, "tea"), risks(&mut other), async {
            (ann.complete(&job).await, ann.next().await)
        },);
    assert!(enqueued.is_err() && risky.is_err());
    assert!(worked.0.is_err() && worked.1.is_err());
    assert!(start.elapsed() < LONG / 3, "{:?}", start.elapsed());
}

/// Redis removes a hundred of them at a time.
#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn of_about_as_many_dead_jobs_the_oldest_are_dropped() {
    let url = redis().await;
    let mut redis = connected(&url).await;
    let queue = Queue {
        max_attempts: 1,
        max_jobs: 100,
        ..queue(Duration::ZERO)
    };
    let own = connected(&url).await;
    let mut worker = Worker::new(own, queue.clone(), "ann", Duration::from_millis(1));
    let dead = format!("{}:dead", queue.stream);
    let mut most = 0;
    for number in 0..350 {
        let number = number.to_string();
        queue
            .enqueue(&mut redis, &number)
            .await
            .expect("it answers");
        assert_eq!(job(&mut worker).await.payload, number);
        // It fails, and has had its attempt.
        while length(&redis, &queue.stream).await > 0 {
            assert_eq!(worker.next().await.expect("it answers"), None);
        }
        most = most.max(length(&redis, &dead).await);
    }
    assert!((100..=200).contains(&most), "{most}");
    let mut raw = redis.clone();
    let kept: StreamRangeReply = raw.xrange_all(&dead).await.expect("it answers");
    let newest = kept.ids.last().expect("one");
    assert_eq!(newest.get::<String>("payload").as_deref(), Some("349"));
}
