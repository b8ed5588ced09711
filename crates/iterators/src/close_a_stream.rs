//! Close a stream when its clean-up must await: `aclosing` with an `await` in `finally`.
//!
//! A destructor cannot await, so a task does the clean-up. The task waits for a
//! `CancellationToken`, as for an `asyncio.Event`. The stream owns a guard (a value with
//! a `Drop`), which cancels the token when the stream is dropped. This also works if the
//! consumer itself is cancelled.
//!
//! Trap: If you return by `?` without awaiting the clean-up task, the end of `main` may
//! drop the task half-way. Await the task on every path.
//!
//! See also: `break_and_clean_up`, `cleanup_on_cancel`, `async_resource`.
//!
//! asyncio: aclose, contextlib.aclosing, finally, break, raise

use std::pin::pin;
use std::time::Duration;

use async_stream::try_stream;
use futures::{Stream, TryStreamExt};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

#[derive(Debug, thiserror::Error)]
#[error("row {0} was lost")]
pub struct RowLost(u32);

/// Returns the rows of a connection, and the task that closes the connection once the
/// rows are dropped.
pub fn rows(lost: u32) -> (impl Stream<Item = Result<u32, RowLost>>, JoinHandle<()>) {
    let gone = CancellationToken::new();
    let guard = gone.clone().drop_guard();
    let rows = try_stream! {
        let _guard = guard;
        for row in 1.. {
            sleep(Duration::from_millis(100)).await;
            if row == lost {
                Err(RowLost(row))?;
            }
            yield row;
        }
    };
    let closing = tokio::spawn(async move {
        gone.cancelled().await;
        println!("Closing the connection");
        sleep(Duration::from_millis(100)).await;
        println!("The connection is closed");
    });
    (rows, closing)
}

/// Returns the sum of the first two rows, after the connection was closed.
///
/// # Errors
///
/// If a row is lost.
pub async fn sum(lost: u32) -> Result<u32, RowLost> {
    let (rows, closing) = rows(lost);
    // A `?` ends this block, not the function. The end of the block drops the rows.
    let result = async move {
        let mut rows = pin!(rows);
        let mut sum = 0;
        while let Some(row) = rows.try_next().await? {
            println!("row {row}");
            sum += row;
            if row == 2 {
                break;
            }
        }
        Ok(sum)
    };
    let result = result.await;
    closing.await.expect("closing does not panic");
    result
}

#[tokio::main]
async fn main() {
    println!("After a break, and after a failure:");
    for lost in [5, 2] {
        match sum(lost).await {
            Ok(sum) => println!("the sum is {sum}"),
            Err(error) => println!("no sum: {error}"),
        }
    }
}
