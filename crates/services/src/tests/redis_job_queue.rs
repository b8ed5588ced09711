use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::AsyncCommands;
use servers::Kind;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::support::{
    CuttingProxy, go_silent, poll_and_drop, private, redis, soon, unique,
};
use crate::redis_job_queue::{Claim, Job, Outcome, Queue};
use crate::redis_reconnect::Redis;

const TICK: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(60);
const ZERO: Duration = Duration::ZERO;

async fn queue_at(url: &str, lease: Duration) -> Queue<Redis> {
    Queue {
        redis: Redis::connect(url, LONG).await.expect("it connects"),
        name: unique("queue"),
        lease,
        max_attempts: 1_000,
        max_jobs: 1_000_000,
        keep_result: LONG,
    }
}

async fn queue(lease: Duration) -> Queue<Redis> {
    queue_at(&redis().await, lease).await
}

async fn add(queue: &Queue<Redis>, id: &str) {
    let added = queue.enqueue(id, id, ZERO).await.expect("it answers");
    assert!(added);
}

/// Waits until a job is due.
async fn claim(queue: &Queue<Redis>) -> Job {
    let claim = async {
        loop {
            match queue.claim().await {
                Ok(Claim::Job(job)) => return job,
                Ok(Claim::Empty(wait)) => sleep(wait.min(TICK)).await,
                Err(_) => sleep(TICK).await,
            }
        }
    };
    soon(claim).await
}

async fn outcome(queue: &Queue<Redis>, id: &str) -> Option<Outcome> {
    let waiting = queue.wait_for_result(id, TICK);
    soon(waiting).await.expect("it answers")
}

async fn keys(queue: &Queue<Redis>) -> Vec<String> {
    let mut redis = queue.redis.clone();
    let keys = redis.keys(format!("{}:*", queue.name));
    keys.await.expect("it answers")
}

/// Eight workers; of what they claim, every seventh is lost with its worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn each_job_has_one_outcome_though_workers_are_lost() {
    for number in [0, 1, 31, 300] {
        let queue = queue(Duration::from_millis(200)).await;
        for id in 0..number {
            add(&queue, &id.to_string()).await;
        }
        let completed = Arc::<Mutex<BTreeMap<String, u32>>>::default();
        let mut workers = JoinSet::new();
        for _ in 0..8 {
            let (queue, completed) = (queue.clone(), Arc::clone(&completed));
            workers.spawn(async move {
                let mut count = 0;
                while completed.lock().expect("no panic").len() < number {
                    let Ok(Claim::Job(job)) = queue.claim().await else {
                        sleep(TICK).await;
                        continue;
                    };
                    count += 1;
                    if count % 7 == 3 {
                        continue;
                    }
                    let result = format!("{} by attempt {}", job.id, job.attempt);
                    if queue.complete(&job, &result).await.expect("it answers") {
                        let mut completed = completed.lock().expect("no panic");
                        *completed.entry(job.id).or_insert(0) += 1;
                    }
                }
            });
        }
        soon(workers.join_all()).await;
        for (id, count) in completed.lock().expect("no panic").iter() {
            assert_eq!(*count, 1, "{id}");
        }
        for id in 0..number {
            let Some(Outcome::Done(result)) = outcome(&queue, &id.to_string()).await
            else {
                panic!("{id} has no result");
            };
            assert!(result.starts_with(&format!("{id} by")), "{result}");
        }
        assert_eq!(keys(&queue).await.len(), number, "results, and no jobs");
    }
}

/// The first trap: each task looks whether the id is free, and two of them find it so.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn of_many_callers_one_adds_an_id_by_script_and_several_by_a_shared_watch() {
    let queue = queue(LONG).await;
    let (mut by_script, mut by_watch) = (0, 0);
    for round in 0..50 {
        let id = format!("job-{round}");
        let mut callers = JoinSet::new();
        for _ in 0..8 {
            let (queue, id) = (queue.clone(), id.clone());
            let mut redis = queue.redis.clone();
            callers.spawn(async move {
                let added = queue.enqueue(&id, "", ZERO).await.expect("it answers");
                (
                    added,
                    watch(&mut redis, &format!("{}:{id}", queue.name)).await,
                )
            });
        }
        for (script, watch) in soon(callers.join_all()).await {
            by_script += u32::from(script);
            by_watch += u32::from(watch);
        }
    }
    assert_eq!(by_script, 50);
    assert!(by_watch > 50, "a shared watch excludes nobody: {by_watch}");
}

/// As redis-py has it, where each pipeline has a connection of its own.
async fn watch(redis: &mut Redis, key: &str) -> bool {
    let watched = redis::cmd("WATCH").arg(key).exec_async(redis).await;
    watched.expect("it answers");
    if redis.exists(key).await.expect("it answers") {
        return false;
    }
    let mut change = redis::pipe();
    change.atomic().set(key, 1).ignore();
    let changed: Option<()> = change.query_async(redis).await.expect("it answers");
    changed.is_some()
}

/// The second trap.
#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn an_id_is_free_again_when_its_outcome_has_expired() {
    let queue = Queue {
        keep_result: Duration::from_millis(50),
        ..queue(LONG).await
    };
    add(&queue, "a").await;
    let job = claim(&queue).await;
    assert!(!queue.enqueue("a", "a", ZERO).await.expect("it answers"));
    assert!(queue.complete(&job, "").await.expect("it answers"));
    let free = async {
        while !queue.enqueue("a", "a", ZERO).await.expect("it answers") {
            sleep(TICK).await;
        }
    };
    soon(free).await;
    // And of a job that nobody has added, or whose outcome has expired:
    assert_eq!(outcome(&queue, "b").await, None);
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn jobs_come_when_they_are_due() {
    let queue = queue(LONG).await;
    assert_eq!(
        queue.claim().await.expect("it answers"),
        Claim::Empty(Duration::MAX)
    );
    let start = Instant::now();
    let delays = [("late", 200), ("early", 100), ("never", u64::MAX)];
    for (id, delay) in delays {
        let delay = Duration::from_millis(delay);
        assert!(queue.enqueue(id, "", delay).await.expect("it answers"));
    }
    let Claim::Empty(wait) = queue.claim().await.expect("it answers") else {
        panic!("no job is due");
    };
    assert!(wait <= Duration::from_millis(100), "{wait:?}");
    for (id, delay) in [("early", 100), ("late", 200)] {
        assert_eq!(claim(&queue).await.id, id);
        assert!(start.elapsed() >= Duration::from_millis(delay - 1));
    }
    // Given back by a worker that stops.
    add(&queue, "now").await;
    let job = claim(&queue).await;
    assert!(queue.retry(&job, ZERO).await.expect("it answers"));
    assert_eq!(claim(&queue).await.attempt, 2);
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_worker_that_lost_its_job_changes_nothing() {
    let queue = queue(Duration::from_millis(20)).await;
    add(&queue, "a").await;
    let lost = claim(&queue).await;
    assert!(queue.extend(&lost).await.expect("it answers"));
    let job = claim(&queue).await;
    assert_eq!((lost.attempt, job.attempt), (1, 2));
    for _ in 0..2 {
        assert!(!queue.extend(&lost).await.expect("it answers"));
        assert!(!queue.retry(&lost, ZERO).await.expect("it answers"));
        assert!(!queue.complete(&lost, "lost").await.expect("it answers"));
        assert!(!queue.fail(&lost, "lost").await.expect("it answers"));
        // The second time the job has its outcome.
        queue.complete(&job, "right").await.expect("it answers");
    }
    let right = Outcome::Done("right".to_owned());
    assert_eq!(outcome(&queue, "a").await, Some(right));
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_job_is_aborted_before_and_while_it_runs() {
    let queue = queue(LONG).await;
    add(&queue, "waiting").await;
    assert!(queue.abort("waiting").await.expect("it answers"));
    add(&queue, "running").await;
    let job = claim(&queue).await;
    assert_eq!(job.id, "running");
    assert!(queue.abort("running").await.expect("it answers"));
    assert!(!queue.extend(&job).await.expect("it answers"));
    assert!(!queue.complete(&job, "").await.expect("it answers"));
    for id in ["waiting", "running"] {
        assert_eq!(outcome(&queue, id).await, Some(Outcome::Aborted));
        assert!(!queue.abort(id).await.expect("it has ended"));
    }
    assert!(!queue.abort("nothing").await.expect("it answers"));
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_job_fails_after_its_last_attempt_even_if_its_workers_are_lost() {
    let queue = Queue {
        max_attempts: 2,
        ..queue(TICK).await
    };
    for id in ["a", "b", "c"] {
        add(&queue, id).await;
    }
    for _ in 0..6 {
        claim(&queue).await;
    }
    let empty = async {
        while queue.claim().await.expect("it answers") != Claim::Empty(Duration::MAX) {
            sleep(TICK).await;
        }
    };
    soon(empty).await;
    let lost = Outcome::Failed("its worker was lost".to_owned());
    for id in ["a", "b", "c"] {
        assert_eq!(outcome(&queue, id).await.as_ref(), Some(&lost));
    }
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_full_queue_refuses_jobs_until_one_has_ended() {
    let queue = Queue {
        max_jobs: 2,
        ..queue(LONG).await
    };
    add(&queue, "a").await;
    add(&queue, "b").await;
    let error = queue.enqueue("c", "", ZERO).await.expect_err("it is full");
    assert_eq!(error.code(), Some("FULL"));
    // What is there is no error: the caller may repeat himself.
    assert!(!queue.enqueue("b", "", ZERO).await.expect("it answers"));
    let job = claim(&queue).await;
    assert!(queue.fail(&job, "").await.expect("it answers"));
    add(&queue, "c").await;
}

/// The caller repeats each call whose reply is lost.
#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn lost_replies_lose_no_job_and_no_result() {
    let proxy = CuttingProxy::start(&redis().await).await;
    let queue = queue_at(proxy.url(), Duration::from_millis(50)).await;
    for round in 0..20 {
        let id = round.to_string();
        proxy.cut(1);
        while queue.enqueue(&id, "tea", ZERO).await.is_err() {
            sleep(TICK).await;
        }
        proxy.cut(1);
        let job = claim(&queue).await;
        proxy.cut_within(1);
        while queue.complete(&job, "drunk").await.is_err() {
            sleep(TICK).await;
        }
        assert!(!queue.fail(&job, "no reply").await.expect("it answers"));
        let done = Outcome::Done("drunk".to_owned());
        assert_eq!(outcome(&queue, &id).await, Some(done));
    }
}

/// The jobs are on disk, as far as the server writes them there.
#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn jobs_and_results_survive_a_kill_of_redis() {
    let mut server = private(Kind::Redis).await;
    let queue = queue_at(&server.url(), LONG).await;
    add(&queue, "a").await;
    add(&queue, "b").await;
    let job = claim(&queue).await;
    queue.complete(&job, "done").await.expect("it answers");
    server.kill();
    server.restart().expect("it starts");
    assert_eq!(claim(&queue).await.id, "b");
    assert_eq!(
        outcome(&queue, "a").await,
        Some(Outcome::Done("done".to_owned()))
    );
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_report_of_health_expires() {
    let queue = queue(LONG).await;
    assert_eq!(queue.health().await.expect("it answers"), None);
    queue
        .report_health("3 jobs", LONG)
        .await
        .expect("it answers");
    let report = queue.health().await.expect("it answers");
    assert_eq!(report.as_deref(), Some("3 jobs"));
    queue
        .report_health("0 jobs", TICK)
        .await
        .expect("it answers");
    let expired = async {
        while queue.health().await.expect("it answers").is_some() {
            sleep(TICK).await;
        }
    };
    soon(expired).await;
}

/// Dropped at each await: the job is claimed or it is not, and no other is lost.
#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_dropped_claim_is_due_again_after_its_lease() {
    let queue = queue(Duration::from_millis(50)).await;
    for id in ["a", "b", "c"] {
        add(&queue, id).await;
    }
    for polls in 0..20 {
        drop(poll_and_drop(queue.claim(), polls).await);
    }
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let job = claim(&queue).await;
        if queue.complete(&job, "").await.expect("it answers") {
            seen.push(job.id);
        }
    }
    seen.sort();
    assert_eq!(seen, ["a", "b", "c"]);
}

/// The limit of the connection is a minute. In the server's place, somebody accepts
/// connections and says nothing.
#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_call_fails_after_its_own_limit() {
    let mut server = private(Kind::Redis).await;
    let queue = queue_at(&server.url(), LONG).await;
    add(&queue, "a").await;
    let job = claim(&queue).await;
    let _silent = go_silent(&mut server);
    let start = Instant::now();
    let calls = async {
        tokio::join!(
            queue.enqueue("b", "", ZERO),
            queue.claim(),
            queue.extend(&job),
            queue.complete(&job, ""),
            queue.abort("a"),
            queue.wait_for_result("a", TICK),
            queue.report_health("", LONG),
            queue.health(),
        )
    };
    let (b, claim, extend, complete, abort, result, report, health) = soon(calls).await;
    let failed = [
        b.is_err(),
        claim.is_err(),
        extend.is_err(),
        complete.is_err(),
        abort.is_err(),
        result.is_err(),
        report.is_err(),
        health.is_err(),
    ];
    assert_eq!(failed, [true; 8]);
    assert!(start.elapsed() < LONG / 3, "{:?}", start.elapsed());
}
