use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::support::poll_and_drop;
use crate::goodbye_on_close::{CloseError, CloseTasks, Connection, Message};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

/// Takes three ticks for each message, and returns how many goodbyes there were.
async fn count(mut server: mpsc::Receiver<Message>) -> usize {
    let mut goodbyes = 0;
    while let Some(message) = server.recv().await {
        sleep(3 * TICK).await;
        if let Message::Goodbye(answer) = message {
            goodbyes += 1;
            let _ = answer.send(());
        }
    }
    goodbyes
}

#[tokio::test(start_paused = true)]
async fn one_goodbye_wherever_close_is_dropped() {
    for polls in 0..15 {
        let goodbyes = CloseTasks::new(HOUR);
        let (line, server) = mpsc::channel(1);
        let server = tokio::spawn(count(server));
        let connection = Connection::new(line, goodbyes.clone());
        // The line is full, so the goodbye has to wait for room.
        for text in ["one", "two"] {
            assert_eq!(connection.send(text).await, Ok(()));
        }
        match poll_and_drop(connection.close(), polls).await {
            Some(closed) => assert_eq!(closed, Ok(())),
            None => assert!(polls < 12, "15 polls are enough"),
        }
        assert!(timeout(HOUR, goodbyes.wait()).await.is_ok());
        assert_eq!(server.await.expect("no panic"), 1, "{polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_hung_up() {
    let (line, server) = mpsc::channel(1);
    drop(server);
    let connection = Connection::new(line, CloseTasks::new(HOUR));
    assert_eq!(connection.send("hello").await, Err(CloseError::Lost));
    assert_eq!(connection.close().await, Err(CloseError::Lost));
}

#[tokio::test(start_paused = true)]
async fn a_dead_server_holds_up_the_end_for_the_limit() {
    let goodbyes = CloseTasks::new(5 * TICK);
    let (line, _server) = mpsc::channel(1);
    drop(Connection::new(line, goodbyes.clone()));
    assert!(timeout(4 * TICK, goodbyes.wait()).await.is_err());
    assert!(timeout(2 * TICK, goodbyes.wait()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_a_connection_in_use() {
    let goodbyes = CloseTasks::new(HOUR);
    let (line, server) = mpsc::channel(1);
    let connection = Connection::new(line, goodbyes.clone());
    tokio::spawn(async move {
        sleep(5 * TICK).await;
        drop(connection);
    });
    let server = tokio::spawn(count(server));
    assert!(timeout(4 * TICK, goodbyes.wait()).await.is_err());
    assert!(timeout(HOUR, goodbyes.wait()).await.is_ok());
    assert_eq!(server.await.expect("no panic"), 1);
}

#[test]
fn the_end_of_the_runtime_drops_it() {
    for waits in [false, true] {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let (line, mut server) = mpsc::channel(1);
        let left = runtime.block_on(async {
            let goodbyes = CloseTasks::new(TICK);
            drop(Connection::new(line.clone(), goodbyes.clone()));
            if waits {
                goodbyes.wait().await;
            }
            Connection::new(line, goodbyes)
        });
        drop(runtime);
        // Too late, but no panic either.
        drop(left);
        assert_eq!(server.blocking_recv().is_some(), waits);
        assert!(server.blocking_recv().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_by_a_thread_without_a_runtime() {
    let goodbyes = CloseTasks::new(HOUR);
    let (line, server) = mpsc::channel(1);
    let connection = Connection::new(line, goodbyes.clone());
    assert!(thread::spawn(move || drop(connection)).join().is_ok());
    assert_eq!(count(server).await, 1);
}
