//! Break out of an async generator and run its clean-up: `aclose`, `aclosing`.
//!
//! Dropping a generator takes the place of `aclose`: its body never continues, and what
//! it holds is dropped with it. The trap, as in Python: `break` drops nothing that a
//! variable still holds. Destructors cannot await, so clean-up that awaits goes to a
//! task. It waits for a `CancellationToken` (an `Event` that is set once), and the
//! generator holds the token's drop guard, which sets it when it is dropped. Wait for
//! that task on every path, also after a `?`: the end of `main` drops a task that nobody
//! waits for.
//!
//! asyncio: break, aclose, contextlib.aclosing, try, finally, async for, raise

use std::pin::pin;
use std::time::Duration;

use async_stream::{stream, try_stream};
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

struct Cursor;

impl Drop for Cursor {
    fn drop(&mut self) {
        println!("The cursor is released");
    }
}

fn rows() -> impl Stream<Item = u32> {
    let cursor = Cursor;
    stream! {
        let _cursor = cursor;
        for row in 1.. {
            sleep(Duration::from_millis(100)).await;
            yield row;
        }
    }
}

#[derive(Debug)]
pub struct RowLost;

/// The rows of a connection, and the task that closes it once the stream is gone.
fn remote_rows(lost: u32) -> (impl Stream<Item = Result<u32, RowLost>>, JoinHandle<()>) {
    let gone = CancellationToken::new();
    let guard = gone.clone().drop_guard();
    let rows = try_stream! {
        let _guard = guard;
        for row in 1.. {
            sleep(Duration::from_millis(100)).await;
            if row == lost {
                Err(RowLost)?;
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

/// The sum of the first two rows.
pub async fn sum(lost: u32) -> Result<u32, RowLost> {
    let (rows, closing) = remote_rows(lost);
    // A `?` ends this block, not the function, and the end of the block drops the rows.
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

pub async fn run() {
    println!("Clean-up that does not await:");
    {
        let mut rows = pin!(rows());
        while let Some(row) = rows.next().await {
            println!("row {row}");
            if row == 2 {
                break;
            }
        }
        println!("Out of the loop");
    }
    sleep(Duration::from_millis(200)).await;
    println!("0.2 s later");

    println!("Clean-up that awaits, after a break and after a failure:");
    for lost in [5, 2] {
        match sum(lost).await {
            Ok(sum) => println!("the sum is {sum}"),
            Err(RowLost) => println!("no sum: a row was lost"),
        }
    }

    println!("With a variable that holds it:");
    let mut held = pin!(rows());
    while let Some(row) = held.next().await {
        println!("row {row}");
        if row == 2 {
            break;
        }
    }
    sleep(Duration::from_millis(200)).await;
    println!("0.2 s later, and the generator is still there");
}

#[tokio::main]
pub async fn main() {
    run().await;
}
