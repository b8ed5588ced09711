use std::time::Duration;

use futures::StreamExt;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::support::is_an_error;
use crate::close_a_stream::{RowLost, rows, sum};

const MS: Duration = Duration::from_millis(1);

fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn the_connection_is_closed_once_the_stream_is_dropped() {
    is_an_error::<RowLost>();
    for polled in [false, true] {
        let (rows, closing) = rows(9);
        let mut rows = Box::pin(rows);
        if polled {
            assert!(rows.next().await.is_some_and(|row| row.is_ok()));
        }
        sleep(500 * MS).await;
        assert!(!closing.is_finished());
        drop(rows);
        let closed = timeout(101 * MS, closing).await;
        closed.expect("in time").expect("no panic");
    }
}

/// Also if the consumer is cancelled, wherever it waits.
#[tokio::test(start_paused = true)]
async fn a_cancelled_consumer_closes_it_too() {
    for millis in [0, 50, 150, 250] {
        assert!(timeout(millis * MS, sum(9)).await.is_err());
        assert_eq!(alive(), 1, "it is being closed");
        sleep(102 * MS).await;
        assert_eq!(alive(), 0);
    }
}
