use std::panic::AssertUnwindSafe;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use rusqlite::Connection;
use rusqlite::hooks::Action;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::support::{all_wait, assert_linear};
use crate::async_sqlite::{Closed, Database};

/// Nothing takes that long unless something is wedged.
const LONG: Duration = Duration::from_secs(120);

const USERS: &str = "CREATE TABLE users (name TEXT NOT NULL, email TEXT UNIQUE)";

fn count(connection: &Connection, condition: &str) -> rusqlite::Result<u32> {
    let query = format!("SELECT count(*) FROM users WHERE {condition}");
    connection.query_row(&query, [], |row| row.get(0))
}

/// Rows without end, each of which takes a moment.
fn endless_query(connection: &mut Connection) -> rusqlite::Result<usize> {
    let mut numbers = connection.prepare(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n FROM numbers)
         SELECT n FROM numbers",
    )?;
    let rows = numbers.query_map([], |_| {
        thread::sleep(Duration::from_millis(1));
        Ok(1)
    })?;
    rows.sum()
}

async fn users() -> Database {
    let open = || {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(USERS)?;
        Ok(connection)
    };
    Database::open(open).await.expect("it can be opened")
}

fn add(connection: &mut Connection) -> rusqlite::Result<usize> {
    connection.execute("INSERT INTO users VALUES ('Ada', NULL)", [])
}

async fn all(database: &Database) -> Result<u32, Closed> {
    let call = database.call(|connection| count(connection, "TRUE"));
    let count = timeout(LONG, call).await.expect("wedged");
    count.map(|count| count.expect("the table is there"))
}

#[tokio::test]
async fn a_hundred_calls_wait_and_further_callers_wait_for_room() {
    let database = users().await;
    let (go_on, wait) = mpsc::channel::<()>();
    let (begun, has_begun) = oneshot::channel();
    let first = database.call(move |_| {
        let _ = begun.send(());
        wait.recv()
    });
    let first = async {
        let (ended, ()) = tokio::join!(first, async {
            has_begun.await.expect("it begins");
            // Each work that is in the channel holds one, even if its caller has gone.
            let held = Arc::new(());
            for _ in 0..150 {
                let held = Arc::clone(&held);
                let call = database.call(move |_| drop(held));
                assert!(call.now_or_never().is_none());
            }
            assert_eq!(Arc::strong_count(&held) - 1, 100);
            drop(go_on);
        });
        ended
    };
    let ended = timeout(LONG, first).await.expect("wedged");
    assert!(ended.is_ok_and(|received| received.is_err()));
    assert_eq!(all(&database).await, Ok(0));
}

#[tokio::test]
async fn a_caller_that_leaves_while_it_waits_stops_no_other_call() {
    let database = users().await;
    let (go_on, wait) = mpsc::channel::<()>();
    let (begun, mut has_begun) = unbounded_channel();
    // So long that SQLite asks many times.
    let busy = database.call(move |connection| {
        let mut numbers = connection.prepare(
            "WITH RECURSIVE numbers(n) AS
             (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000)
             SELECT n FROM numbers",
        )?;
        let rows = numbers.query_map([], |_| {
            let _ = begun.send(());
            Ok(wait.recv().is_err())
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    });
    let mut busy = Box::pin(busy);
    assert!(futures::poll!(busy.as_mut()).is_pending());
    let row = timeout(LONG, has_begun.recv()).await.expect("wedged");
    assert!(row.is_some());
    for _ in 0..3 {
        let mut leaving = Box::pin(database.call(add));
        assert!(futures::poll!(leaving.as_mut()).is_pending());
    }
    drop(go_on);
    let counted = timeout(LONG, busy).await.expect("wedged");
    let rows = counted.map(|rows| rows.map(|rows| rows.len()));
    assert_eq!(rows, Ok(Ok(1000)), "it was not interrupted");
    assert_eq!(all(&database).await, Ok(0), "they were not begun");
}

#[tokio::test]
async fn given_up_before_its_query_begins() {
    let database = users().await;
    let (go_on, wait) = mpsc::channel::<()>();
    let (begun, mut has_begun) = unbounded_channel();
    let call = database.call(move |connection| {
        connection.execute_batch("BEGIN")?;
        add(connection)?;
        let _ = (begun.send(()), wait.recv());
        endless_query(connection)
    });
    let mut call = Box::pin(call);
    assert!(futures::poll!(call.as_mut()).is_pending());
    let row = timeout(LONG, has_begun.recv()).await.expect("wedged");
    assert!(row.is_some());
    drop((call, go_on));
    assert_eq!(all(&database).await, Ok(0), "rolled back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_calls_some_given_up() {
    let database = users().await;
    let mut calls = JoinSet::new();
    for number in 0..10_000 {
        let database = database.clone();
        let call = calls.spawn(async move {
            match number % 1000 {
                999 => {
                    let call = database.call(endless_query);
                    timeout(Duration::from_millis(1), call).await.is_err()
                }
                _ => matches!(database.call(add).await, Ok(Ok(1))),
            }
        });
        if number % 10 == 0 {
            call.abort();
        }
    }
    let (mut done, mut aborted) = (0, 0);
    while let Some(ended) = timeout(LONG, calls.join_next()).await.expect("wedged") {
        match ended {
            Ok(as_expected) => {
                assert!(as_expected, "nobody is stopped by another who gives up");
                done += 1;
            }
            Err(_) => aborted += 1,
        }
    }
    assert_eq!(done + aborted, 10_000);
    let rows = all(&database).await.expect("it is open");
    assert!(
        (done - 10..=done + aborted - 10).contains(&rows),
        "{rows} rows"
    );
}

#[tokio::test]
async fn a_panic_goes_to_the_caller_alone() {
    let database = users().await;
    let panics = database.call(|connection| {
        let begun = connection.execute_batch("BEGIN");
        panic!("scheduled, {begun:?}, {:?}", add(connection))
    });
    let panic = AssertUnwindSafe(panics).catch_unwind().await;
    assert!(panic.is_err_and(|panic| panic.is::<String>()));
    assert_eq!(all(&database).await, Ok(0), "rolled back");
}

#[tokio::test]
async fn what_is_in_line_is_done_before_it_closes() {
    let database = users().await;
    let (go_on, wait) = mpsc::channel::<()>();
    let mut busy = Box::pin(database.call(move |_| wait.recv().is_err()));
    assert!(futures::poll!(busy.as_mut()).is_pending());
    let mut adding = Box::pin(database.call(add));
    assert!(futures::poll!(adding.as_mut()).is_pending());
    let mut closing = Box::pin(database.close());
    assert!(futures::poll!(closing.as_mut()).is_pending());
    let mut late = Box::pin(database.call(add));
    assert!(futures::poll!(late.as_mut()).is_pending());
    drop(go_on);
    assert_eq!(timeout(LONG, busy).await, Ok(Ok(true)));
    assert_eq!(timeout(LONG, adding).await, Ok(Ok(Ok(1))));
    assert_eq!(timeout(LONG, closing).await, Ok(Ok(())));
    assert_eq!(timeout(LONG, late).await, Ok(Err(Closed)));
    assert_eq!(database.close().await, Ok(()), "a second time");
}

#[tokio::test]
async fn in_a_struct_in_a_task_and_with_another_error() {
    struct Service {
        database: Database,
    }
    let database = users().await;
    let service = Arc::new(Service { database });
    let task = tokio::spawn(async move {
        let call = service.database.call(|connection| -> Result<(), String> {
            connection
                .execute("nonsense", [])
                .map_err(|error| error.to_string())?;
            Ok(())
        });
        call.await
    });
    let result = timeout(LONG, task).await.expect("wedged");
    let error = result.expect("it does not panic").expect("it is open");
    assert!(error.is_err_and(|error| error.contains("syntax error")));
}

/// A handler that holds something, and never stops a query.
fn handler(held: &Arc<()>) -> Option<impl FnMut() -> bool + Send + 'static> {
    let held = Arc::clone(held);
    Some(move || Arc::strong_count(&held) == 0)
}

#[tokio::test]
async fn a_call_replaces_the_progress_handler_and_removes_it_after_the_call() {
    let [before, during] = [Arc::new(()), Arc::new(())];
    let installed = handler(&before);
    let open = move || {
        let mut connection = Connection::open_in_memory()?;
        connection.progress_handler(100, installed)?;
        Ok(connection)
    };
    let database = Database::open(open).await.expect("it can be opened");
    assert_eq!(Arc::strong_count(&before), 2);
    let another = handler(&during);
    let call = database.call(move |connection| connection.progress_handler(100, another));
    let set = timeout(LONG, call).await.expect("wedged");
    assert_eq!(set, Ok(Ok(())));
    assert_eq!(Arc::strong_count(&before), 1, "replaced");
    assert_eq!(Arc::strong_count(&during), 1, "removed");
}

#[tokio::test]
async fn calls_run_in_the_order_in_which_they_were_made() {
    let database = users().await;
    let (ran, mut order) = unbounded_channel();
    let calls = (0..50).map(|number| {
        let ran = ran.clone();
        database.call(move |_| ran.send(number).is_ok())
    });
    let ended = timeout(LONG, futures::future::join_all(calls)).await;
    assert!(ended.expect("wedged").iter().all(|ran| *ran == Ok(true)));
    let order: Vec<_> = std::iter::from_fn(|| order.try_recv().ok()).collect();
    assert_eq!(order, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn after_its_caller_has_left_short_statements_run_and_long_ones_fail() {
    let database = users().await;
    let (go_on, wait) = mpsc::channel::<()>();
    let (begun, mut has_begun) = unbounded_channel();
    let (told, mut tells) = unbounded_channel();
    let call = database.call(move |connection| {
        let _ = (begun.send(()), wait.recv());
        let short = add(connection);
        let _ = told.send((short, endless_query(connection)));
    });
    let mut call = Box::pin(call);
    assert!(futures::poll!(call.as_mut()).is_pending());
    timeout(LONG, has_begun.recv()).await.expect("wedged");
    drop((call, go_on));
    let (short, long) = timeout(LONG, tells.recv())
        .await
        .expect("wedged")
        .expect("it is told");
    assert_eq!(short, Ok(1));
    assert_eq!(long.expect_err("stopped").to_string(), "interrupted");
    assert_eq!(all(&database).await, Ok(1), "it was no transaction");
}

/// A hook lives as long as its connection.
#[tokio::test]
async fn the_connection_is_closed_when_all_clones_are_dropped_and_their_calls_done() {
    for closes in [false, true] {
        let hooked = Arc::new(());
        let in_hook = Arc::clone(&hooked);
        let open = move || {
            let mut connection = Connection::open_in_memory()?;
            let hook = move |_: Action, _: &str, _: &str, _: i64| {
                assert!(Arc::strong_count(&in_hook) > 0);
            };
            connection.update_hook(Some(hook))?;
            Ok(connection)
        };
        let database = Database::open(open).await.expect("it can be opened");
        let clone = database.clone();
        let (go_on, wait) = mpsc::channel::<()>();
        let (begun, mut has_begun) = unbounded_channel();
        let mut busy = Box::pin(database.call(move |_| {
            let _ = (begun.send(()), wait.recv());
        }));
        assert!(futures::poll!(busy.as_mut()).is_pending());
        timeout(LONG, has_begun.recv()).await.expect("wedged");
        drop(busy);
        drop(database);
        if closes {
            let mut closing = Box::pin(clone.close());
            assert!(futures::poll!(closing.as_mut()).is_pending());
            assert_eq!(Arc::strong_count(&hooked), 2, "a call runs");
            drop(go_on);
            assert_eq!(timeout(LONG, closing).await, Ok(Ok(())));
            assert_eq!(Arc::strong_count(&hooked), 1);
            continue;
        }
        drop(clone);
        assert_eq!(Arc::strong_count(&hooked), 2, "a call runs");
        drop(go_on);
        let closed = async {
            while Arc::strong_count(&hooked) > 1 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LONG, closed).await.expect("it stays open");
    }
}

#[tokio::test]
async fn a_panic_while_it_opens_continues_in_the_caller() {
    let opened = Database::open(|| panic!("scheduled"));
    let panic = timeout(LONG, AssertUnwindSafe(opened).catch_unwind()).await;
    assert!(panic.expect("wedged").is_err());
}

#[tokio::test]
async fn an_error_while_it_opens_is_told() {
    let opened = Database::open(|| Connection::open("/no/such/folder/file"));
    let error = opened.await.expect_err("it cannot be opened");
    assert!(error.to_string().contains("unable to open"));
}

#[test]
fn ten_times_as_many_in_line_cost_ten_times_as_much() {
    assert_linear(async |number| {
        let database = users().await;
        let (go_on, wait) = mpsc::channel::<()>();
        let shared = database.clone();
        let busy = tokio::spawn(async move { shared.call(move |_| wait.recv()).await });
        let asking = all_wait(number, |_| {
            let database = database.clone();
            async move { database.call(|_| ()).await }
        });
        let asking = asking.await;
        drop(go_on);
        assert!(busy.await.is_ok_and(|ended| ended.is_ok()));
        assert!(asking.join_all().await.iter().all(Result::is_ok));
    });
}
