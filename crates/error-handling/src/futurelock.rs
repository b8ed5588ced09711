//! A deadlock with one lock: a future that `select!` has left waits for it (futurelock).
//!
//! In asyncio whatever runs beside you is a task and goes on by itself. In Rust a future
//! that is awaited by `&mut` in `select!` stands still once another arm has won. If it
//! waits for a lock, the lock is handed to it in its turn, and it never gives it back:
//! the next `lock().await` waits for ever, as does everybody else, without an error. Only
//! a deadline finds it. Spawn the future, or go on awaiting it beside the rest with
//! `join!`, or drop it first: without `&mut`, `select!` does that. It is the same with
//! the permits of a `Semaphore`, with room in a full channel, and in the body of a loop
//! over `buffer_unordered`. The name is from Oxide's RFD 609.
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
const PATIENCE: Duration = Duration::from_millis(200);

/// After how long we give up.
const LIMIT: Duration = Duration::from_secs(1);

/// A file that one writes to at a time.
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

    /// Keeps everybody else waiting.
    async fn back_up(&self) {
        let _lines = self.lines.lock().await;
        println!("the backup has the lock");
        sleep(Duration::from_millis(400)).await;
        println!("the backup is done");
    }
}

/// What one would write. `request` is alive in the second arm, and nobody awaits it.
async fn by_reference(log: &Log) {
    let mut request = pin!(log.write("request"));
    select! {
        () = &mut request => {}
        () = sleep(PATIENCE) => {
            println!("the request is slow, which is noted in the log");
            log.write("note").await;
            request.await;
        }
    }
}

/// The request is a task, and goes on while something else is awaited.
async fn spawned(log: &Arc<Log>) -> Result<(), JoinError> {
    let owned = Arc::clone(log);
    let mut request = tokio::spawn(async move { owned.write("request").await });
    select! {
        ended = &mut request => ended,
        () = sleep(PATIENCE) => {
            println!("the request is slow, which is noted in the log");
            log.write("note").await;
            request.await
        }
    }
}

/// The request is awaited beside the note.
async fn joined(log: &Log) {
    let mut request = pin!(log.write("request"));
    select! {
        () = &mut request => {}
        () = sleep(PATIENCE) => {
            println!("the request is slow, which is noted in the log");
            tokio::join!(request, log.write("note"));
        }
    }
}

/// The request is dropped before the second arm begins. Its place in the queue is lost:
/// if it is to be done all the same, it is made anew and comes last.
async fn dropped(log: &Log) {
    select! {
        () = log.write("request") => {}
        () = sleep(PATIENCE) => {
            println!("the request is slow, which is noted in the log");
            log.write("note").await;
            log.write("request").await;
        }
    }
}

/// Runs `work`, which has to wait for a backup, as has a request of somebody else.
async fn during_backup<T>(
    log: &Arc<Log>,
    work: impl Future<Output = T>,
) -> Result<Option<T>, JoinError> {
    let owned = Arc::clone(log);
    let backup = tokio::spawn(async move { owned.back_up().await });
    let owned = Arc::clone(log);
    let other = tokio::spawn(async move {
        sleep(Duration::from_millis(100)).await;
        owned.write("request of somebody else").await;
    });
    sleep(Duration::from_millis(50)).await;
    let done = timeout(LIMIT, work).await.ok();
    if done.is_none() {
        println!("nothing happens any more");
    }
    backup.await?;
    other.await?;
    Ok(done)
}

pub async fn run() -> Result<(), JoinError> {
    let log = Arc::new(Log::default());

    println!("A future awaited by reference:");
    during_backup(&log, by_reference(&log)).await?;
    println!("in the log: {:?}", log.lines.lock().await);

    println!("A task:");
    if let Some(ended) = during_backup(&log, spawned(&log)).await? {
        ended?;
    }

    println!("Awaited beside the note:");
    during_backup(&log, joined(&log)).await?;

    println!("Dropped before the note:");
    during_backup(&log, dropped(&log)).await?;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use futures::{StreamExt, stream};
    use tokio::select;
    use tokio::sync::{Mutex, Semaphore, mpsc};
    use tokio::task::yield_now;
    use tokio::time::{sleep, timeout};

    const HOUR: Duration = Duration::from_secs(3600);

    /// Whether `second` ends, when it is awaited after `first` has been asked once and
    /// then `free` was called.
    async fn second_ends(
        first: impl Future,
        free: impl FnOnce(),
        second: impl Future,
    ) -> bool {
        let mut first = pin!(first);
        select! {
            biased;
            _ = &mut first => unreachable!("it has to wait"),
            () = yield_now() => {}
        }
        free();
        timeout(HOUR, second).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_a_permit_and_room_in_a_channel() {
        let lock = Mutex::new(());
        let guard = lock.lock().await;
        let ends = second_ends(lock.lock(), || drop(guard), lock.lock()).await;
        assert!(!ends, "a lock");

        let one = Semaphore::new(1);
        let permit = one.acquire().await;
        let ends = second_ends(one.acquire(), || drop(permit), one.acquire()).await;
        assert!(!ends, "a permit");

        let (sender, mut receiver) = mpsc::channel(1);
        sender.send(0).await.expect("there is room");
        let receive = || assert_eq!(receiver.try_recv(), Ok(0));
        let ends = second_ends(sender.send(1), receive, sender.send(2)).await;
        assert!(!ends, "room in a channel");
    }

    #[tokio::test(start_paused = true)]
    async fn the_body_of_a_loop_over_buffer_unordered() {
        let lock = Mutex::new(());
        let work = |millis| {
            let lock = &lock;
            async move {
                sleep(Duration::from_millis(millis)).await;
                let _guard = lock.lock().await;
                sleep(Duration::from_millis(50)).await;
            }
        };
        let mut results = pin!(stream::iter([0, 10]).map(work).buffer_unordered(2));
        assert_eq!(results.next().await, Some(()));
        // The second stands in the queue of the lock, which is free now.
        assert!(timeout(HOUR, lock.lock()).await.is_err());
    }
}
