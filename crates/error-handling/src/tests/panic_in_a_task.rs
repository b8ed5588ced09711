use std::error::Error;
use std::future::{Pending, pending};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::panic_in_a_task::{GaveUp, join, panic_text, supervise};

const PAUSE: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn as_many_restarts_as_allowed() {
    for restarts in 0..4 {
        let (start, mut begun) = (Instant::now(), 0);
        let result: Result<(), GaveUp> = supervise(restarts, PAUSE, || {
            begun += 1;
            async { panic!("job 0 has no work") }
        })
        .await;
        let Err(GaveUp::Panicked { panics, last }) = result else {
            panic!("{result:?}");
        };
        assert_eq!((begun, panics), (restarts + 1, restarts + 1));
        assert!(last.is_panic());
        assert_eq!(start.elapsed(), restarts * PAUSE);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_is_no_panic() {
    let mut begun = 0;
    let result = supervise(5, PAUSE, || {
        begun += 1;
        async { Err::<(), _>("an error") }
    });
    assert_eq!(result.await.expect("no panic"), Err("an error"));
    assert_eq!(begun, 1);
}

#[tokio::test(start_paused = true)]
async fn dropped_it_aborts_the_task() {
    // Dropped while the task runs, in the pause after it, and in the second task.
    for ticks in [1, 3, 5] {
        let held = Arc::new(());
        let mut begun = 0;
        let running = supervise(9, PAUSE, || {
            begun += 1;
            let held = Arc::clone(&held);
            async move {
                sleep(PAUSE).await;
                drop(held);
                panic!("job 0 has no work");
            }
        });
        assert!(timeout(ticks * PAUSE / 2, running).await.is_err());
        assert_eq!(begun, 1 + ticks / 4);
        // Long before it would have ended by itself.
        sleep(PAUSE / 4).await;
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_task_with_state_and_any_error() {
    type Failure = Box<dyn Error + Send + Sync>;

    async fn count(name: String) -> Result<u32, Failure> {
        let mut tries = 0;
        let task = supervise(2, PAUSE, || {
            tries += 1;
            let (name, number) = (name.clone(), tries);
            async move {
                assert!(number > 2, "{name} has no work");
                Ok::<u32, Failure>(number)
            }
        });
        task.await?
    }
    let counted = tokio::spawn(count("job 0".to_string())).await;
    assert_eq!(counted.expect("it is caught").ok(), Some(3));
}

#[tokio::test]
async fn a_lock_that_a_panic_leaves() {
    let poisoned = Arc::new(std::sync::Mutex::new(0));
    let free = Arc::new(Mutex::new(0));
    let (first, second) = (Arc::clone(&poisoned), Arc::clone(&free));
    let task = tokio::spawn(async move {
        let mut half_changed = second.lock().await;
        *half_changed += 1;
        let _guard = first.lock();
        panic!("job 0 has no work");
    });
    assert!(task.await.is_err());
    assert!(poisoned.lock().is_err());
    let changed = timeout(PAUSE, free.lock()).await.expect("it is free");
    assert_eq!(*changed, 1);
}

#[test]
fn a_runtime_that_shuts_down_is_no_panic() {
    let [first, second] = [(); 2].map(|()| Runtime::new().expect("it starts"));
    let mut supervised = Box::pin(supervise(3, PAUSE, pending::<()>));
    {
        let _inside = first.enter();
        assert!(supervised.as_mut().now_or_never().is_none());
    }
    first.shutdown_background();
    let error = second.block_on(supervised).expect_err("it was stopped");
    assert_eq!(error.to_string(), "the runtime shuts down");
}

#[tokio::test(start_paused = true)]
async fn an_aborted_task_is_no_panic() {
    let task = tokio::spawn(pending::<()>());
    task.abort();
    assert_eq!(join(task).await, None);
}

#[tokio::test(start_paused = true)]
async fn dropped_join_lets_the_task_run_on() {
    let held = Arc::new(());
    let task = tokio::spawn({
        let held = Arc::clone(&held);
        async move {
            sleep(PAUSE).await;
            drop(held);
        }
    });
    assert!(timeout(PAUSE / 2, join(task)).await.is_err());
    sleep(PAUSE / 4).await;
    assert_eq!(Arc::strong_count(&held), 2);
    sleep(PAUSE).await;
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn the_text_of_a_panic_is_fixed_formatted_or_there_is_none() {
    let number = 7;
    let payloads = [
        catch_unwind(|| panic!("fixed")),
        catch_unwind(|| panic!("number {number}")),
        catch_unwind(|| panic_any(number)),
    ];
    let payloads = payloads.map(|caught: Result<(), _>| caught.expect_err("a panic"));
    let texts = payloads.each_ref().map(|payload| panic_text(&**payload));
    assert_eq!(texts, ["fixed", "number 7", "no text"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_goes_on_in_the_caller_of_join_and_of_a_start_that_panics() {
    let task = tokio::spawn(async { panic_any(7) });
    let joined = AssertUnwindSafe(join::<()>(task)).catch_unwind().await;
    assert_eq!(joined.expect_err("a panic").downcast_ref(), Some(&7));
    let start = || -> Pending<()> { panic_any(8) };
    let supervised = AssertUnwindSafe(supervise(3, PAUSE, start)).catch_unwind();
    let payload = supervised.await.expect_err("a panic");
    assert_eq!(payload.downcast_ref(), Some(&8));
}
