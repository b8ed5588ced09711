use std::panic::catch_unwind;
use std::time::Duration;

use rusqlite::Connection;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::sqlite_batch_insert::{
    BatchWriter, Database, InsertError, TABLE, insert, insert_all, readings,
};

/// Nothing takes that long unless something is wedged.
const LONG: Duration = Duration::from_secs(120);

fn database() -> Database {
    let connection = Connection::open_in_memory().expect("there is memory");
    connection.execute_batch(TABLE).expect("it is new");
    Database::new(connection)
}

async fn count(database: &Database) -> u32 {
    crate::sqlite_batch_insert::count(database)
        .await
        .expect("the table is there")
}

#[tokio::test]
async fn a_batch_is_many_times_faster_than_as_many_trips() {
    const ROWS: u32 = 5_000;
    let database = database();
    let start = Instant::now();
    for row in readings(0..ROWS) {
        let inserted = database.call(move |connection| insert(connection, &row));
        assert!(inserted.await.is_ok_and(|rows| rows.is_ok()));
    }
    let trips = start.elapsed();
    // The shortest of several, as the machine may have other work.
    let mut shortest = trips;
    for round in 1..=5 {
        let at_once = readings(round * ROWS..(round + 1) * ROWS);
        let start = Instant::now();
        let inserted = database.call(move |connection| insert_all(connection, &at_once));
        assert!(inserted.await.is_ok_and(|rows| rows.is_ok()));
        shortest = shortest.min(start.elapsed());
    }
    assert!(3 * shortest < trips, "{shortest:?}, {trips:?}");
    assert_eq!(count(&database).await, 6 * ROWS);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_is_written_though_all_have_left() {
    let database = database();
    let (writer, task) = BatchWriter::start(database.clone(), 4, Duration::MAX);
    for row in readings(0..6) {
        let mut insert = Box::pin(writer.insert(row));
        assert!(futures::poll!(insert.as_mut()).is_pending());
        // Lets the task take it, and the line have room for the next.
        sleep(Duration::from_millis(1)).await;
    }
    drop(writer);
    timeout(2 * LONG, task)
        .await
        .expect("wedged")
        .expect("it does not panic");
    assert_eq!(count(&database).await, 6);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_room_sends_nothing_when_it_leaves() {
    let database = database();
    let (writer, task) = BatchWriter::start(database.clone(), 1, LONG);
    // The first is in line; the task had no time to take it.
    for row in readings(0..5) {
        let mut insert = Box::pin(writer.insert(row));
        assert!(futures::poll!(insert.as_mut()).is_pending());
    }
    drop(writer);
    timeout(LONG, task)
        .await
        .expect("wedged")
        .expect("it does not panic");
    assert_eq!(
        count(&database).await,
        1,
        "the task had no time to take another"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousands_at_once_are_there_when_they_are_told_so() {
    let database = database();
    let wait = Duration::from_millis(1);
    let (writer, task) = BatchWriter::start(database.clone(), 50, wait);
    let mut inserts = JoinSet::new();
    for (row, number) in readings(0..10_000).into_iter().zip(0..) {
        let (writer, database) = (writer.clone(), database.clone());
        inserts.spawn(async move {
            let id = row.id;
            let patience = match number % 10 {
                0 => Duration::from_micros(number),
                _ => LONG,
            };
            let told = timeout(patience, writer.insert(row)).await.is_ok();
            if told && number % 100 == 1 {
                let query = "SELECT count(*) FROM readings WHERE id = ?1";
                let there = database.call(move |connection| {
                    connection.query_row(query, [id], |row| row.get::<_, u32>(0))
                });
                assert!(there.await.is_ok_and(|there| there == Ok(1)));
            }
            u32::from(told)
        });
    }
    drop(writer);
    let told: u32 = inserts.join_all().await.into_iter().sum();
    timeout(LONG, task)
        .await
        .expect("wedged")
        .expect("it does not panic");
    assert!((told..=10_000).contains(&count(&database).await));
    assert!(told >= 9_000, "all who were patient");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_task_that_was_stopped() {
    let (writer, task) = BatchWriter::start(database(), 4, LONG);
    let (waiting, again) = (writer.clone(), writer);
    let waiting = tokio::spawn(async move {
        let [row] = &readings([1])[..] else {
            return Ok(());
        };
        waiting.insert(row.clone()).await
    });
    sleep(Duration::from_millis(1)).await;
    task.abort();
    let ended = timeout(LONG, waiting).await.expect("wedged");
    assert!(matches!(ended, Ok(Err(InsertError::Stopped))));
    for row in readings([2]) {
        let ended = timeout(LONG, again.insert(row)).await.expect("wedged");
        assert!(matches!(ended, Err(InsertError::Stopped)));
    }
    let none = catch_unwind(|| BatchWriter::start(database(), 0, LONG));
    assert!(none.is_err(), "batches of no rows");
}
