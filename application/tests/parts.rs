//! The worker, the store and the shutdown without the others.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "these are tests, which fail by it")]

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use std::{fs, path::Path};

use anyhow::{Result, bail};
use app::shutdown::{self, Stop};
use app::store::{Job, Page, Store};
use app::worker::{count_words, work};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

mod databases;
use databases::Empty;

async fn store() -> (Store, Empty) {
    let database = Empty::sqlite();
    let opened = Store::open(database.database(), 100).await;
    (opened.unwrap().0, database)
}

async fn words(store: &Store) -> Vec<Option<i64>> {
    let (after, limit) = (0, 255);
    let notes = store.list(Page { after, limit }).await.unwrap();
    notes.into_iter().map(|note| note.words).collect()
}

/// Works until each note has its words.
async fn finish<H, F>(store: &Store, handle: H) -> Vec<Option<i64>>
where
    H: Fn(Job) -> F + Clone + Send + 'static,
    F: Future<Output = Result<i64>> + Send + 'static,
{
    let stop = CancellationToken::new();
    let all = async {
        while words(store).await.contains(&None) {
            yield_now().await;
        }
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(work(store.clone(), stop.clone(), handle), all);
    ended.unwrap();
    words(store).await
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_panics_or_is_late_ends_its_attempt_only() {
    let (store, _database) = store().await;
    for text in ["fails", "panics", "panics early", "is late", "is good"] {
        store.add(text.to_owned()).await.unwrap();
    }
    // The late attempt is not only waited for no longer: its task is dropped.
    let alive = Arc::new(());
    let held = alive.clone();
    let handle = move |job: Job| {
        let held = held.clone();
        let is_early = job.text == "panics early" && job.attempt == 1;
        assert!(!is_early, "before there is a future");
        async move {
            match (&*job.text, job.attempt) {
                ("fails", 1) => bail!("on purpose"),
                ("panics", 1) => panic!("on purpose"),
                ("is late", 1) => {
                    let _held = held;
                    pending().await
                }
                (_, attempt) => Ok(attempt),
            }
        }
    };
    let attempts = finish(&store, handle).await;
    assert_eq!(attempts, [Some(2), Some(2), Some(2), Some(2), Some(1)]);
    yield_now().await;
    assert_eq!(Arc::strong_count(&alive), 1, "an attempt is left");
}

/// The stop comes while a job runs, and another one waits.
#[tokio::test]
async fn after_the_stop_the_worker_finishes_its_job_and_begins_no_other() {
    let (store, _database) = store().await;
    for _ in 0..2 {
        store.add("two words".to_owned()).await.unwrap();
    }
    let stop = CancellationToken::new();
    let stops = stop.clone();
    let handle = move |job: Job| {
        stops.cancel();
        async move {
            sleep(Duration::from_millis(50)).await;
            count_words(job).await
        }
    };
    let working = timeout(Duration::from_secs(30), work(store.clone(), stop, handle));
    working.await.expect("it ends").unwrap();
    assert_eq!(words(&store).await, [Some(2), None]);
}

/// In the n-th round the worker is dropped after n polls.
#[tokio::test(start_paused = true)]
async fn a_worker_that_is_dropped_at_any_await_loses_no_job() {
    let (store, _database) = store().await;
    for polls in 0..8 {
        store.add("two words".to_owned()).await.unwrap();
        let mut left = polls;
        let mut worker = pin!(work(store.clone(), CancellationToken::new(), count_words));
        let some = poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            worker.as_mut().poll(context).map(drop)
        });
        // If it has nothing more to do, it is dropped at that await.
        let _ = timeout(Duration::from_secs(1), some).await;
    }
    assert_eq!(finish(&store, count_words).await, [Some(2); 8]);
}

/// A lock keeps the thread of the store busy while the call waits in its queue.
#[tokio::test]
async fn a_note_in_the_queue_is_stored_without_its_client() {
    let (store, database) = store().await;
    let other = rusqlite::Connection::open(database.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let leaves = timeout(Duration::ZERO, store.add("without a client".to_owned()));
    leaves.await.unwrap_err();
    other.execute_batch("ROLLBACK").unwrap();
    // It waits behind the first.
    let second = store.add("with a client".to_owned()).await.unwrap();
    assert_eq!(second.id, 2);
    let first = store.get(1).await.unwrap().unwrap();
    assert_eq!(first.text, "without a client");
}

/// Counts the commits in SQLite's write-ahead log: in a commit's last frame, the second
/// number is not 0.
fn commits(database: &Path) -> usize {
    let log = fs::read(database.with_extension("db-wal")).unwrap();
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let page = number(&log[8..12]) as usize;
    let frames = log[32..].chunks_exact(24 + page);
    frames.filter(|frame| number(&frame[4..8]) != 0).count()
}

#[tokio::test]
async fn notes_that_wait_share_a_commit() {
    let (store, database) = store().await;
    let before = commits(&database.path());
    let other = rusqlite::Connection::open(database.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut adds = JoinSet::new();
    for _ in 0..50 {
        let store = store.clone();
        adds.spawn(async move { store.add("a note".to_owned()).await });
    }
    // On one thread: now each has put its call into the queue.
    yield_now().await;
    other.execute_batch("ROLLBACK").unwrap();
    while let Some(added) = adds.join_next().await {
        added.unwrap().unwrap();
    }
    let after = commits(&database.path());
    // The thread took the first ones when they came, and the others after the lock.
    assert!((1..=3).contains(&(after - before)), "{before} {after}");
}

/// The others are told to stop, and the program fails with the first reason.
#[tokio::test]
async fn a_service_that_fails_panics_or_ends_stops_the_others() {
    async fn service(kind: &str) -> Result<()> {
        match kind {
            "fails" => bail!("the disk is full"),
            "panics" => panic!("on purpose"),
            _ => Ok(()),
        }
    }
    for (kind, words) in [
        ("fails", "the disk is full"),
        ("panics", "panicked"),
        ("ends", "a service ended too early"),
    ] {
        let (stop, mut services) = (Stop::default(), JoinSet::new());
        services.spawn(service(kind));
        let accepting = stop.accepting.clone();
        services.spawn(async move {
            accepting.cancelled().await;
            Ok(())
        });
        let limit = Duration::from_secs(30);
        let ended =
            shutdown::finish(services, async || pending().await, stop, limit, limit);
        let error = ended.await.unwrap_err().to_string();
        assert!(error.contains(words), "{kind}: {error}");
    }
}
