//! Futurelock: a deadlock with one lock, if `select!` keeps a future without polling it.
//!
//! If `select!` awaits a future by `&mut`, the future is kept after another arm has won.
//! But nobody polls the kept future any more, so it does not run. It may be waiting for a
//! lock. A released lock is handed to the first waiter, even if nobody polls that waiter.
//! So the kept future then owns the lock, but never runs and never releases the lock. The
//! next `lock().await` waits forever, without an error. In asyncio the future would be a
//! task, which keeps running. The name is from Oxide's RFD 609.
//!
//! There are three ways to avoid this. Spawn the future as a task, keep awaiting the
//! future with `join!`, or drop the future before you lock. `select!` drops a future that
//! you pass without `&mut`.
//!
//! Trap: If the kept future waits for a permit of a `Semaphore` or for a place in a full
//! channel, the program can hang in the same way. The same three ways help.
//!
//! Trap: If you await a lock in the body of a loop over `buffer_unordered`, the loop can
//! hang, too. While the body runs, nobody polls the futures in the buffer, and one of
//! them may own the lock. Take the lock only inside those futures, or only before the
//! loop.
//!
//! See also: `cancel_safety`.
//!
//! asyncio: asyncio.Lock, asyncio.create_task, asyncio.wait, asyncio.gather
//! differs: in asyncio the request is a task that keeps running, so nothing hangs

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::sync::Mutex;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};

/// A request that takes longer is called slow.
const SLOW: Duration = Duration::from_millis(200);

/// The timeout around each way to write.
const LIMIT: Duration = Duration::from_secs(1);

/// A file with one writer at a time.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<&'static str>>,
}

impl Log {
    async fn write(&self, line: &'static str) {
        let mut lines = self.lines.lock().await;
        sleep(Duration::from_millis(100)).await;
        println!("wrote {line:?}");
        lines.push(line);
    }

    /// Holds the lock for a while.
    async fn back_up(&self) {
        let _lines = self.lines.lock().await;
        println!("the backup has the lock");
        sleep(Duration::from_millis(400)).await;
        println!("the backup is done");
    }
}

/// Writes in the obvious way. In the second arm nobody polls `request`.
async fn by_reference(log: &Log) {
    let mut request = pin!(log.write("request"));
    select! {
        () = &mut request => {}
        () = sleep(SLOW) => {
            println!("the request is slow");
            log.write("note").await;
            request.await;
        }
    }
}

/// Spawns the request as a task, which keeps running while the second arm runs.
async fn spawned(log: &Arc<Log>) -> Result<(), JoinError> {
    let owned = Arc::clone(log);
    let mut request = tokio::spawn(async move { owned.write("request").await });
    select! {
        ended = &mut request => ended,
        () = sleep(SLOW) => {
            println!("the request is slow");
            log.write("note").await;
            request.await
        }
    }
}

/// Drops the request before the second arm begins. The request loses its turn.
async fn dropped(log: &Log) {
    select! {
        () = log.write("request") => {}
        () = sleep(SLOW) => {
            println!("the request is slow");
            log.write("note").await;
            log.write("request").await;
        }
    }
}

/// Runs `work` with a timeout, during a backup that holds the lock.
async fn during_backup<T>(
    log: &Arc<Log>,
    work: impl Future<Output = T>,
) -> Result<Option<T>, JoinError> {
    let owned = Arc::clone(log);
    let backup = tokio::spawn(async move { owned.back_up().await });
    sleep(Duration::from_millis(50)).await;
    let done = timeout(LIMIT, work).await.ok();
    if done.is_none() {
        println!("deadlock: nothing happens for 1 s");
    }
    backup.await?;
    Ok(done)
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    let log = Arc::new(Log::default());

    println!("A request that nobody polls meanwhile:");
    during_backup(&log, by_reference(&log)).await?;
    println!("lines in the log: {}", log.lines.lock().await.len());

    println!("The request as a task:");
    if let Some(ended) = during_backup(&log, spawned(&log)).await? {
        ended?;
    }

    println!("The request is dropped before the note, and sent again:");
    during_backup(&log, dropped(&log)).await?;
    Ok(())
}
