use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::{self, AckKind, stream};
use futures::StreamExt;
use futures::future::join_all;
use servers::Kind;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::support::{nats, poll_and_drop, private, soon, unique};
use crate::nats_work_queue::{Failure, Job, Settings, WorkQueue};

const MINUTE: Duration = Duration::from_secs(60);
const TENTH: Duration = Duration::from_millis(100);

const SETTINGS: Settings = Settings {
    max_jobs: 10_000,
    ack_wait: MINUTE,
    max_runtime: MINUTE,
    max_attempts: 2,
    backoff: Duration::from_millis(20),
};

async fn open(client: Client, name: &str, settings: Settings) -> WorkQueue {
    let queue = WorkQueue::open(jetstream::new(client), name, settings);
    queue.await.expect("it opens")
}

/// How many jobs the queue holds, and how many dead letters.
async fn held(client: &Client, name: &str) -> [u64; 2] {
    let context = jetstream::new(client.clone());
    let held = [name.to_owned(), format!("{name}_dead")].map(|name| {
        let context = context.clone();
        async move {
            let stream = context.get_stream(name).await.expect("it is there");
            stream.cached_info().state.messages
        }
    });
    join_all(held).await.try_into().expect("two")
}

async fn until(client: &Client, name: &str, expected: [u64; 2]) {
    let wait = async {
        while held(client, name).await != expected {
            sleep(TENTH / 10).await;
        }
    };
    let ended = timeout(MINUTE, wait).await.is_ok();
    assert!(
        ended,
        "{:?} instead of {expected:?}",
        held(client, name).await
    );
}

async fn close(client: &Client, name: &str) {
    let context = jetstream::new(client.clone());
    context.delete_stream(name).await.expect("it is there");
    let dead = format!("{name}_dead");
    context.delete_stream(dead).await.expect("it is there");
}

type Done = Arc<Mutex<HashMap<String, usize>>>;

/// Counts how often each job was done.
fn counting(done: &Done, work: Duration) -> impl AsyncHandler + use<> {
    let done = Arc::clone(done);
    move |job: Job| {
        let done = Arc::clone(&done);
        let handled: std::pin::Pin<Box<dyn Future<Output = _> + Send>> =
            Box::pin(async move {
                sleep(work).await;
                let name = String::from_utf8_lossy(&job.payload).into_owned();
                *done.lock().expect("nobody panics").entry(name).or_default() += 1;
                Ok(())
            });
        handled
    }
}

trait AsyncHandler:
    Fn(Job) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>
    + Send
    + Sync
{
}
impl<F> AsyncHandler for F where
    F: Fn(Job) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>
        + Send
        + Sync
{
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn workers_are_killed_and_each_job_is_done() {
    let (client, name) = (nats().await, unique("killed"));
    let settings = Settings {
        ack_wait: 3 * TENTH,
        max_attempts: 1000,
        ..SETTINGS
    };
    let queue = open(client.clone(), &name, settings).await;
    for number in 0..200 {
        let id = number.to_string();
        queue.add(&id, id.clone()).await.expect("it is stored");
    }
    let done = Done::default();
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    for worker in 0..8_u64 {
        let (queue, done, stop) = (queue.clone(), Arc::clone(&done), stop.clone());
        tasks.spawn(async move {
            for round in 0.. {
                let handler = counting(&done, Duration::from_millis(3));
                let work = queue.work(&stop, handler, |_| {});
                // Half of the workers are killed, again and again.
                let lives = Duration::from_millis(5 + (worker * 7 + round) % 20);
                let lives = if worker % 2 == 0 { lives } else { MINUTE };
                if timeout(lives, work).await.is_ok() {
                    return;
                }
            }
        });
    }
    until(&client, &name, [0, 0]).await;
    stop.cancel();
    soon(tasks.join_all()).await;
    let counts: Vec<usize> = done.lock().expect("no panic").values().copied().collect();
    assert_eq!(counts.len(), 200);
    let twice = counts.into_iter().filter(|count| *count > 1).count();
    println!("{twice} of 200 were done more than once");
    close(&client, &name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn the_server_is_killed_and_each_job_is_done() {
    let mut server = private(Kind::Nats).await;
    let client = async_nats::connect(server.url()).await.expect("it runs");
    let settings = Settings {
        ack_wait: 10 * TENTH,
        max_attempts: 1000,
        ..SETTINGS
    };
    let queue = open(client.clone(), "jobs", settings).await;
    let done = Done::default();
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let (queue, done, stop) = (queue.clone(), Arc::clone(&done), stop.clone());
        tasks.spawn(async move {
            let handler = counting(&done, Duration::from_millis(5));
            queue.work(&stop, handler, |_| {}).await;
        });
    }
    let adding = {
        let queue = queue.clone();
        tokio::spawn(async move {
            for number in 0..300 {
                let id = number.to_string();
                // After an error nobody knows whether it is stored: the id knows.
                while timeout(10 * TENTH, queue.add(&id, id.clone()))
                    .await
                    .is_err()
                {}
            }
        })
    };
    for _ in 0..2 {
        sleep(3 * TENTH).await;
        server.kill();
        sleep(TENTH).await;
        server.restart().expect("it starts again");
    }
    soon(adding).await.expect("it does not panic");
    let all = async {
        while done.lock().expect("nobody panics").len() < 300 {
            sleep(TENTH / 10).await;
        }
    };
    soon(all).await;
    stop.cancel();
    soon(tasks.join_all()).await;
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn panics_timeouts_and_long_jobs() {
    let (client, name) = (nats().await, unique("poison"));
    let settings = Settings {
        ack_wait: 3 * TENTH,
        max_runtime: 12 * TENTH,
        ..SETTINGS
    };
    let queue = open(client.clone(), &name, settings).await;
    for job in ["panic", "hang", "long", "fail"] {
        queue.add(job, job).await.expect("it is stored");
    }
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let errors = Mutex::new(Vec::new());
    let told = Arc::clone(&attempts);
    let handler = move |job: Job| {
        let name = String::from_utf8_lossy(&job.payload).into_owned();
        let mut told = told.lock().expect("nobody panics");
        told.push(format!("{name} {}", job.attempt));
        async move {
            match name.as_str() {
                "panic" => panic!("scheduled"),
                "hang" => sleep(MINUTE).await,
                // Three times as long as the server waits without a word of the worker.
                "long" => sleep(9 * TENTH).await,
                _ => return Err("scheduled".into()),
            }
            Ok(())
        }
    };
    let report =
        |error: Failure| errors.lock().expect("no panic").push(error.to_string());
    let stop = &CancellationToken::new();
    let workers = [0; 4].map(|_| queue.work(stop, handler.clone(), report));
    let stopping = async {
        until(&client, &name, [0, 3]).await;
        stop.cancel();
    };
    soon(async { tokio::join!(join_all(workers), stopping) }).await;
    let mut attempts = attempts.lock().expect("nobody panics").clone();
    attempts.sort();
    let expected = [
        "fail 1", "fail 2", "hang 1", "hang 2", "long 1", "panic 1", "panic 2",
    ];
    assert_eq!(attempts, expected);
    assert_eq!(errors.into_inner().expect("no panic").len(), 6);
    close(&client, &name).await;
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn a_job_that_kills_each_worker_is_a_dead_letter() {
    let (client, name) = (nats().await, unique("killer"));
    let settings = Settings {
        ack_wait: TENTH,
        ..SETTINGS
    };
    let queue = open(client.clone(), &name, settings).await;
    queue.add("1", "killer").await.expect("it is stored");
    for attempt in 1..=2 {
        // The worker ends with its process, and says nothing.
        let started = CancellationToken::new();
        let starts = started.clone();
        let handler = move |job: Job| {
            assert_eq!(job.attempt, attempt);
            starts.cancel();
            async {
                sleep(MINUTE).await;
                Ok(())
            }
        };
        let never = CancellationToken::new();
        let work = queue.work(&never, handler, |error| panic!("{error}"));
        let killed = async {
            tokio::select! {
                () = work => {}
                () = started.cancelled() => {}
            }
        };
        soon(killed).await;
    }
    let stop = CancellationToken::new();
    let handler = |_| async { panic!("it has had its attempts") };
    let work = queue.work(&stop, handler, |error| panic!("{error}"));
    let stopping = async {
        until(&client, &name, [0, 1]).await;
        stop.cancel();
    };
    soon(async { tokio::join!(work, stopping) }).await;
    close(&client, &name).await;
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn dropped_at_each_await_it_adds_once() {
    let (client, name) = (nats().await, unique("adds"));
    let settings = Settings {
        max_jobs: 1,
        ..SETTINGS
    };
    let queue = open(client.clone(), &name, settings).await;
    for polls in 0..10 {
        poll_and_drop(queue.add("same", "job"), polls).await;
    }
    queue.add("same", "job").await.expect("it is stored");
    assert_eq!(held(&client, &name).await, [1, 0]);
    let full = queue.add("other", "job").await;
    assert!(full.is_err(), "the queue is full");
    // A pull that is dropped takes no job away for longer than `ack_wait`; this one none.
    for polls in 0..10 {
        let stop = CancellationToken::new();
        stop.cancel();
        let work = queue.work(&stop, |_| async { Ok(()) }, |_| {});
        assert!(poll_and_drop(work, polls + 1).await.is_some());
    }
    close(&client, &name).await;
}

/// The traps of the page, with JetStream alone.
#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn what_jetstream_says_and_does_not_say() {
    let (client, name) = (nats().await, unique("traps"));
    let context = jetstream::new(client.clone());
    let config = stream::Config {
        name: name.clone(),
        max_messages: 1,
        discard: stream::DiscardPolicy::New,
        retention: stream::RetentionPolicy::WorkQueue,
        ..Default::default()
    };
    let stream = context.create_stream(config).await.expect("it is new");
    let stored = context
        .publish(name.clone(), "1".into())
        .await
        .expect("sent");
    stored.await.expect("stored");
    // The queue is full, and the first await knows nothing of it.
    let sent = context
        .publish(name.clone(), "2".into())
        .await
        .expect("sent");
    let refused = sent.await.expect_err("it is full").to_string();
    assert!(refused.contains("maximum messages exceeded"), "{refused}");

    let config = pull::Config {
        durable_name: Some("workers".into()),
        max_deliver: 2,
        ..Default::default()
    };
    let consumer: PullConsumer = stream.create_consumer(config).await.expect("it is new");
    for expected in [Some(1), Some(2), None] {
        let pull = consumer.fetch().max_messages(1).expires(3 * TENTH);
        let mut messages = pull.messages().await.expect("it runs");
        let message = soon(messages.next()).await.transpose().expect("it runs");
        let delivered = message
            .as_ref()
            .map(|it| it.info().expect("told").delivered);
        assert_eq!(delivered, expected);
        if let Some(message) = message {
            message.ack_with(AckKind::Nak(None)).await.expect("sent");
        }
    }
    // Nobody gets it, and it is still there.
    let kept = context.get_stream(&name).await.expect("it is there");
    assert_eq!(kept.cached_info().state.messages, 1);
    context.delete_stream(&name).await.expect("it is there");
}

/// What readers do with it: in a struct that tasks share, with state and an error of
/// their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn changed_a_little() {
    #[derive(Debug, thiserror::Error)]
    #[error("no stamp for {0}")]
    struct NoStamp(String);
    #[derive(Debug)]
    struct Office {
        queue: WorkQueue,
        sent: Mutex<Vec<String>>,
        stop: CancellationToken,
    }
    impl Office {
        async fn send(&self, job: Job) -> Result<(), NoStamp> {
            let to = String::from_utf8_lossy(&job.payload).into_owned();
            if job.attempt == 1 {
                return Err(NoStamp(to));
            }
            self.sent.lock().expect("nobody panics").push(to);
            self.stop.cancel();
            Ok(())
        }
    }
    let (client, name) = (nats().await, unique("office"));
    let office = Arc::new(Office {
        queue: open(client.clone(), &name, SETTINGS).await,
        sent: Mutex::default(),
        stop: CancellationToken::new(),
    });
    let shared = Arc::clone(&office);
    let working = tokio::spawn(async move {
        let office = Arc::clone(&shared);
        let handler = move |job| {
            let office = Arc::clone(&office);
            async move { Ok(office.send(job).await?) }
        };
        let report = |error: Failure| assert!(error.is::<NoStamp>(), "{error}");
        shared.queue.work(&shared.stop, handler, report).await;
    });
    office.queue.add("1", "Ada").await.expect("it is stored");
    soon(working).await.expect("it does not panic");
    assert_eq!(*office.sent.lock().expect("nobody panics"), ["Ada"]);
    assert!(format!("{office:?}").contains("office"));
    close(&client, &name).await;
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn the_ack_wait_of_the_queue_counts() {
    let (client, name) = (nats().await, unique("wait"));
    let short = Settings {
        ack_wait: 5 * TENTH,
        ..SETTINGS
    };
    open(client.clone(), &name, short).await;
    // The next release.
    let queue = open(client.clone(), &name, SETTINGS).await;
    queue.add("1", "long").await.expect("it is stored");
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&attempts);
    let handler = move |job: Job| {
        told.lock().expect("nobody panics").push(job.attempt);
        async {
            sleep(20 * TENTH).await;
            Ok(())
        }
    };
    let stop = &CancellationToken::new();
    let workers = [0; 3].map(|_| queue.work(stop, handler.clone(), |e| panic!("{e}")));
    let stopping = async {
        until(&client, &name, [0, 0]).await;
        stop.cancel();
    };
    soon(async { tokio::join!(join_all(workers), stopping) }).await;
    assert_eq!(*attempts.lock().expect("nobody panics"), [1]);
    close(&client, &name).await;
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn a_handler_that_panics_before_its_future_ends_only_its_attempt() {
    let (client, name) = (nats().await, unique("early"));
    let queue = open(client.clone(), &name, SETTINGS).await;
    for payload in ["ten", "10"] {
        queue.add(payload, payload).await.expect("it is stored");
    }
    let handler = |job: Job| {
        let number: u32 = job.id.parse().expect("a number");
        async move {
            assert_eq!(number, 10);
            Ok(())
        }
    };
    let stop = CancellationToken::new();
    let work = queue.work(&stop, handler, |_| {});
    let stopping = async {
        until(&client, &name, [0, 1]).await;
        stop.cancel();
    };
    soon(async { tokio::join!(work, stopping) }).await;
    close(&client, &name).await;
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn ids_that_the_server_would_read_otherwise_are_errors() {
    let (client, name) = (nats().await, unique("ids"));
    let queue = open(client.clone(), &name, SETTINGS).await;
    for id in ["order\n1", "order\r1", "", " a", "a "] {
        queue.add(id, "").await.expect_err("no id");
    }
    for id in ["a", "a b", "ü:\t1"] {
        queue.add(id, "").await.expect("it is stored");
    }
    assert_eq!(held(&client, &name).await, [3, 0]);
    close(&client, &name).await;
}

/// The dead letter is as long as the job.
#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn the_largest_job_may_be_a_dead_letter() {
    let (client, name) = (nats().await, unique("large"));
    let queue = open(client.clone(), &name, SETTINGS).await;
    for number in 1..=10 {
        queue
            .add(&format!("small {number}"), "")
            .await
            .expect("it is stored");
    }
    let largest = async {
        let mut size = client.max_payload();
        while queue.add("x", vec![0; size]).await.is_err() {
            size -= 1;
        }
        size
    };
    let size = soon(largest).await;
    let handler = move |job: Job| async move {
        match job.payload.len() {
            0 => Ok(()),
            length => {
                assert_eq!((length, job.id.as_str()), (size, "x"));
                Err("scheduled".into())
            }
        }
    };
    let stop = CancellationToken::new();
    let work = queue.work(&stop, handler, |_| {});
    let stopping = async {
        until(&client, &name, [0, 1]).await;
        stop.cancel();
    };
    soon(async { tokio::join!(work, stopping) }).await;
    close(&client, &name).await;
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn jobs_in_backoff_do_not_stop_the_good_ones() {
    let (client, name) = (nats().await, unique("backoff"));
    let settings = Settings {
        backoff: 60 * MINUTE,
        ..SETTINGS
    };
    let queue = open(client.clone(), &name, settings).await;
    // More than the server's default for jobs without an acknowledgement.
    let bad = 1001;
    let adds = (0..bad).map(|number| {
        let queue = queue.clone();
        async move { queue.add(&number.to_string(), "bad").await }
    });
    for added in join_all(adds).await {
        added.expect("it is stored");
    }
    queue.add("good", "good").await.expect("it is stored");
    let stop = CancellationToken::new();
    let stops = stop.clone();
    let handler = move |job: Job| {
        let stops = stops.clone();
        async move {
            if job.payload == "bad" {
                return Err("scheduled".into());
            }
            stops.cancel();
            Ok(())
        }
    };
    let workers = [0; 4].map(|_| queue.work(&stop, handler.clone(), |_| {}));
    soon(join_all(workers)).await;
    assert_eq!(held(&client, &name).await, [bad, 0]);
    close(&client, &name).await;
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn of_the_dead_letters_the_oldest_are_dropped() {
    let (client, name) = (nats().await, unique("dead"));
    let settings = Settings {
        max_jobs: 2,
        max_attempts: 1,
        ..SETTINGS
    };
    let queue = open(client.clone(), &name, settings).await;
    let stop = &CancellationToken::new();
    let handler = |_| async { Err("scheduled".into()) };
    let working = queue.work(stop, handler, |_| {});
    let context = jetstream::new(client.clone());
    let dead = async || {
        let stream = context.get_stream(format!("{name}_dead")).await;
        stream.expect("it is there").cached_info().state.clone()
    };
    let adding = async {
        for number in 1..=5 {
            queue
                .add(&number.to_string(), "")
                .await
                .expect("there is room");
            while dead().await.last_sequence < number {
                sleep(TENTH / 10).await;
            }
        }
        until(&client, &name, [0, 2]).await;
        stop.cancel();
    };
    soon(async { tokio::join!(working, adding) }).await;
    let dead = dead().await;
    assert_eq!((dead.first_sequence, dead.last_sequence), (4, 5));
    close(&client, &name).await;
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn dropping_work_aborts_its_job() {
    let (client, name) = (nats().await, unique("aborted"));
    let queue = open(client.clone(), &name, SETTINGS).await;
    queue.add("1", "").await.expect("it is stored");
    let (begun, held) = (CancellationToken::new(), Arc::new(()));
    let (begins, holds) = (begun.clone(), Arc::clone(&held));
    let handler = move |_| {
        let (begins, held) = (begins.clone(), Arc::clone(&holds));
        async move {
            let _held = held;
            begins.cancel();
            std::future::pending().await
        }
    };
    let never = CancellationToken::new();
    let work = queue.work(&never, handler, |error| panic!("{error}"));
    let dropped = async {
        tokio::select! {
            () = work => {}
            () = begun.cancelled() => {}
        }
    };
    soon(dropped).await;
    let ended = async {
        while Arc::strong_count(&held) > 1 {
            sleep(TENTH / 10).await;
        }
    };
    soon(ended).await;
    close(&client, &name).await;
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn each_call_of_work_runs_one_job_at_a_time() {
    let (client, name) = (nats().await, unique("one"));
    let queue = open(client.clone(), &name, SETTINGS).await;
    for workers in [1, 3] {
        for number in 0..10 {
            let id = format!("{workers} {number}");
            queue.add(&id, "").await.expect("it is stored");
        }
        let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let seen = Arc::clone(&counts);
        let handler = move |_| {
            let counts = Arc::clone(&seen);
            async move {
                let [now, most] = &*counts;
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                sleep(TENTH / 5).await;
                now.fetch_sub(1, SeqCst);
                Ok(())
            }
        };
        let stop = &CancellationToken::new();
        let report = |error: Failure| panic!("{error}");
        let work = (0..workers).map(|_| queue.work(stop, handler.clone(), report));
        let stopping = async {
            until(&client, &name, [0, 0]).await;
            stop.cancel();
        };
        soon(async { tokio::join!(join_all(work), stopping) }).await;
        let most = counts[1].load(SeqCst);
        assert!((1..=workers).contains(&most), "{most} of {workers}");
    }
    close(&client, &name).await;
}
