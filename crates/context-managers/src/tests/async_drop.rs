use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use super::support::poll_and_drop;
use crate::async_drop::{AsyncClose, CloseError, CloseOnDrop, CloseTasks};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

/// Takes so many ticks to close, and counts that.
#[derive(Clone, Debug, Default)]
struct Line {
    ticks: u32,
    closed: Arc<AtomicUsize>,
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("hung up")]
struct HungUp;

impl AsyncClose for Line {
    type Error = HungUp;

    async fn close(self) -> Result<(), HungUp> {
        sleep(self.ticks * TICK).await;
        assert!(self.ticks != 13, "a bug");
        self.closed.fetch_add(1, SeqCst);
        if self.ticks == 0 { Err(HungUp) } else { Ok(()) }
    }
}

fn line(ticks: u32) -> Line {
    let closed = Arc::default();
    Line { ticks, closed }
}

#[tokio::test(start_paused = true)]
async fn closed_once_wherever_close_is_dropped() {
    for polls in 0..15 {
        let (close_tasks, line) = (CloseTasks::new(HOUR), line(9));
        let guard = close_tasks.guard(line.clone());
        match poll_and_drop(guard.close(), polls).await {
            Some(closed) => assert_eq!(closed, Ok(())),
            None => assert!(polls < 12, "15 polls are enough"),
        }
        assert!(timeout(HOUR, close_tasks.wait()).await.is_ok());
        assert_eq!(line.closed.load(SeqCst), 1, "{polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn how_a_close_fails() {
    let close_tasks = CloseTasks::new(20 * TICK);
    for (ticks, error) in [
        (0, CloseError::Failed(HungUp)),
        (13, CloseError::Lost),
        (21, CloseError::TimedOut),
    ] {
        assert_eq!(close_tasks.guard(line(ticks)).close().await, Err(error));
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_that_hangs_holds_up_the_end_for_the_limit() {
    let close_tasks = CloseTasks::new(5 * TICK);
    drop(close_tasks.guard(line(1_000)));
    assert!(timeout(4 * TICK, close_tasks.wait()).await.is_err());
    assert!(timeout(2 * TICK, close_tasks.wait()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_a_guard_in_use() {
    let (close_tasks, line) = (CloseTasks::new(HOUR), line(1));
    let guard = close_tasks.guard(line.clone());
    tokio::spawn(async move {
        sleep(5 * TICK).await;
        drop(guard);
    });
    assert!(timeout(4 * TICK, close_tasks.wait()).await.is_err());
    assert!(timeout(HOUR, close_tasks.wait()).await.is_ok());
    assert_eq!(line.closed.load(SeqCst), 1);
}

#[test]
fn the_end_of_the_runtime_drops_it() {
    for waits in [false, true] {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let line = line(1);
        let left = runtime.block_on(async {
            let close_tasks = CloseTasks::new(HOUR);
            drop(close_tasks.guard(line.clone()));
            if waits {
                close_tasks.wait().await;
            }
            close_tasks.guard(line.clone())
        });
        drop(runtime);
        // Too late, but no panic either.
        drop(left);
        assert_eq!(line.closed.load(SeqCst), usize::from(waits));
        assert_eq!(Arc::strong_count(&line.closed), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_by_a_thread_without_a_runtime() {
    let (close_tasks, line) = (CloseTasks::new(HOUR), line(1));
    let guard = close_tasks.guard(line.clone());
    assert!(thread::spawn(move || drop(guard)).join().is_ok());
    close_tasks.wait().await;
    assert_eq!(line.closed.load(SeqCst), 1);
}

/// In a struct, in a task, and `?` to an error of any type.
#[tokio::test(start_paused = true)]
async fn in_a_struct_in_a_task() {
    #[derive(Debug)]
    struct App {
        lines: HashMap<u32, CloseOnDrop<Line>>,
    }

    let close_tasks = CloseTasks::new(HOUR);
    let lines = [
        (1, close_tasks.guard(line(1))),
        (2, close_tasks.guard(line(0))),
    ];
    let lines = HashMap::from(lines);
    let task = tokio::spawn(async move {
        let mut app = App { lines };
        for guard in app.lines.values_mut() {
            guard.ticks += 1;
        }
        for (_, guard) in app.lines {
            guard.close().await?;
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    });
    assert!(task.await.expect("no panic").is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_close_that_takes_longer_is_dropped_unfinished() {
    let (close_tasks, line) = (CloseTasks::new(5 * TICK), line(1_000));
    drop(close_tasks.guard(line.clone()));
    close_tasks.wait().await;
    assert_eq!(line.closed.load(SeqCst), 0);
    assert_eq!(Arc::strong_count(&line.closed), 1, "the value is gone");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_waits_for_the_end_waits_forever() {
    let close_tasks = CloseTasks::new(HOUR);
    let _guard = close_tasks.guard(line(1));
    assert!(timeout(24 * HOUR, close_tasks.wait()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_clone_waits_for_the_closes_of_the_others() {
    let (close_tasks, line) = (CloseTasks::new(HOUR), line(5));
    drop(close_tasks.clone().guard(line.clone()));
    close_tasks.wait().await;
    assert_eq!(line.closed.load(SeqCst), 1);
}

#[test]
fn a_close_is_lost_when_its_runtime_was_shut_down() {
    let runtime = || Builder::new_current_thread().build().expect("a runtime");
    let first = runtime();
    let guard = first.block_on(async { CloseTasks::new(HOUR).guard(line(1)) });
    drop(first);
    let closed = runtime().block_on(guard.close());
    assert_eq!(closed, Err(CloseError::Lost));
}

#[test]
#[should_panic(expected = "there is no reactor running")]
fn outside_of_a_runtime_there_are_no_close_tasks() {
    CloseTasks::new(HOUR);
}
