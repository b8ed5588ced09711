//! A deadlock with one lock: a future that `select!` has left waits for it (futurelock).
//!
//! A future that is awaited by `&mut` in `select!` is not polled after another arm has
//! won. It still gets the lock when its turn comes, and never releases it. The next
//! `lock().await` waits for ever, without an error. In asyncio it would be a task, which
//! goes on. The name is from Oxide's RFD 609.
//!
//! To avoid it, spawn the future, keep awaiting it with `join!`, or drop it first.
//! Without `&mut`, `select!` drops it.
//!
//! Trap: the same happens with the permits of a `Semaphore`, with room in a full channel,
//! and in the body of a loop over `buffer_unordered`.
//!
//! See also: `cancel_safety`.
//!
//! asyncio: asyncio.Lock, asyncio.create_task, asyncio.wait, asyncio.gather
//! differs: in asyncio the request is a task, which goes on, so that nothing hangs

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::sync::Mutex;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};

/// After how long a request is called slow.
const SLOW: Duration = Duration::from_millis(200);

/// After how long nothing is waited for any more.
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

/// The obvious way. In the second arm `request` is alive, and nobody awaits it.
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

/// Spawns the request, so that it goes on while something else is awaited.
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

/// Drops the request before the second arm begins. Its place in the queue is lost.
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

/// Runs `work`, which has to wait for a backup.
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

pub async fn run() -> Result<(), JoinError> {
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

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
