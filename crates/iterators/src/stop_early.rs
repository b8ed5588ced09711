//! Leave a stream half-way, and still release what it holds.
//!
//! Dropping a generator takes the place of `aclose`: its body never continues, and of its
//! clean-up only destructors run, which cannot await. What must be awaited goes to a task
//! that the destructor sets off and that the consumer then awaits. The trap: leaving the
//! loop drops nothing. The generator lives to the end of its scope, so give it a block of
//! its own. In asyncio a generator that nobody closes with `aclosing` is cleaned up when
//! it is collected, or only when the loop ends.
//!
//! asyncio: aclose, contextlib.aclosing, try and finally in async generators

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;

/// Sets off the closing when it is dropped, whatever the reason.
struct Cursor {
    closing: Option<oneshot::Sender<()>>,
}

impl Drop for Cursor {
    fn drop(&mut self) {
        println!("The generator lets go of its cursor");
        if let Some(closing) = self.closing.take() {
            // An error means that the runtime has dropped the closing task already.
            let _ = closing.send(());
        }
    }
}

/// The rows, and the task that closes the cursor once the stream is gone.
fn open_rows() -> (impl Stream<Item = u32>, JoinHandle<()>) {
    let (closing, closed) = oneshot::channel();
    let cursor = Cursor {
        closing: Some(closing),
    };
    let rows = stream! {
        let _cursor = cursor;
        for row in 1..=5 {
            sleep(Duration::from_millis(100)).await;
            yield row;
        }
        println!("The generator ran to its end");
    };
    let closer = tokio::spawn(async move {
        if closed.await.is_ok() {
            println!("Closing the cursor");
            sleep(Duration::from_millis(100)).await;
            println!("The cursor is closed");
        }
    });
    (rows, closer)
}

pub async fn run() -> Result<(), JoinError> {
    let (rows, closer) = open_rows();
    {
        let mut rows = pin!(rows);
        while let Some(row) = rows.next().await {
            println!("row {row}");
            if row == 2 {
                break;
            }
        }
        println!("Out of the loop, with the generator still there");
    }
    closer.await?;

    println!("To the end this time");
    let (rows, closer) = open_rows();
    let count = rows.count().await;
    closer.await?;
    println!("{count} rows");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
