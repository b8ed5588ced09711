//! Further cases after the tests of goqite, persist-queue and APScheduler's job stores.

use std::time::Duration;

use rusqlite::Connection;

use crate::job_queue::{Database, Job, JobQueue, QueueError};

const HOUR: Duration = Duration::from_secs(3600);

const JOBS: JobQueue = JobQueue {
    lease: HOUR,
    max_attempts: 3,
    initial_backoff: Duration::ZERO,
    max_backoff: Duration::ZERO,
};

async fn database() -> Database {
    let connection = Connection::open_in_memory().expect("memory");
    Database::new(connection).expect("a new table")
}

async fn add(database: &Database, payload: &'static str, delay: Duration) -> i64 {
    let added = database.transaction(move |db| JOBS.enqueue(db, payload, delay));
    added.await.expect("it is added")
}

async fn claim(database: &Database) -> Option<Job> {
    let claimed = database.transaction(move |db| JOBS.claim(db)).await;
    claimed.expect("it is asked")
}

#[tokio::test]
async fn goqite_an_empty_queue_has_no_message() {
    assert_eq!(claim(&database().await).await, None);
}

#[tokio::test]
async fn goqite_a_message_that_is_received_is_hidden_from_the_others() {
    let database = database().await;
    let id = add(&database, "tea", Duration::ZERO).await;
    assert_eq!(claim(&database).await.map(|job| job.id), Some(id));
    assert_eq!(claim(&database).await, None);
}

#[tokio::test]
async fn goqite_a_delayed_message_is_not_there_yet() {
    let database = database().await;
    add(&database, "later", HOUR).await;
    let now = add(&database, "now", Duration::ZERO).await;
    assert_eq!(claim(&database).await.map(|job| job.id), Some(now));
    assert_eq!(claim(&database).await, None);
}

#[tokio::test]
async fn goqite_a_message_of_a_transaction_that_is_rolled_back_is_not_sent() {
    let database = database().await;
    let failed = database.transaction(|db| {
        JOBS.enqueue(db, "tea", Duration::ZERO)?;
        Err::<(), _>(QueueError::Other("no".into()))
    });
    assert!(failed.await.is_err());
    assert_eq!(claim(&database).await, None);
}

#[tokio::test]
async fn goqite_a_message_comes_again_after_a_failure_with_its_number() {
    let database = database().await;
    add(&database, "tea", Duration::ZERO).await;
    for attempt in 1..=3 {
        let job = claim(&database).await.expect("it is due");
        assert_eq!((job.attempt, &*job.payload), (attempt, "tea"));
        let failed = database.transaction(move |db| JOBS.fail(db, &job, "no tea"));
        failed.await.expect("it has the job");
    }
    assert_eq!(claim(&database).await, None);
}

#[tokio::test]
async fn persist_queue_what_is_acknowledged_twice_is_an_error() {
    let database = database().await;
    add(&database, "tea", Duration::ZERO).await;
    let job = claim(&database).await.expect("it is due");
    for first in [true, false] {
        let job = job.clone();
        let done = database
            .transaction(move |db| JOBS.complete(db, &job))
            .await;
        assert_eq!(done.is_ok(), first);
    }
}

#[tokio::test]
async fn apscheduler_the_time_of_the_next_job() {
    let database = database().await;
    let next = async || {
        let due = database.transaction(move |db| JOBS.next_due(db)).await;
        due.expect("it is asked")
    };
    assert!(next().await > 1000 * HOUR);
    add(&database, "later", 2 * HOUR).await;
    assert!(next().await > HOUR && next().await <= 2 * HOUR);
    add(&database, "now", Duration::ZERO).await;
    assert_eq!(next().await, Duration::ZERO);
}
