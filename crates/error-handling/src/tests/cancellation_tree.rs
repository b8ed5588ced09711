use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::time::sleep;

use crate::cancellation_tree::{Stop, Stopped};

#[tokio::test(start_paused = true)]
async fn who_is_cancelled_before_does_not_begin() {
    let stop = Stop::default();
    let child = stop.child();
    stop.cancel(1);
    let work = async { panic!("it begins") };
    assert_eq!(child.run(work).await, Err::<(), _>(Stopped(1)));
    let later = stop.child();
    assert_eq!(later.run(async {}).await, Err(Stopped(1)));
}

#[test]
fn a_reason_from_above_stays_too() {
    let root = Stop::default();
    let (asked, not_asked) = (root.child().child(), root.child());
    root.cancel(1);
    assert_eq!(asked.reason(), Some(1));
    for stop in [&asked, &not_asked] {
        stop.cancel(2);
        assert_eq!(stop.reason(), Some(1));
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_same_time_the_value_is_returned() {
    let stop = Stop::default();
    let work = async {
        sleep(Duration::from_secs(1)).await;
        stop.cancel(1);
        7
    };
    assert_eq!(stop.run(work).await, Ok(7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reason_is_there_when_the_flag_is_and_does_not_change() {
    for _ in 0..1_000 {
        let root = Stop::default();
        let middle = root.child();
        let leaves = [middle.child(), middle.child(), middle.child()];
        let tasks = leaves.clone().map(|leaf| {
            tokio::spawn(async move {
                let work = std::future::pending::<()>();
                let Err(Stopped(first)) = leaf.run(work).await else {
                    unreachable!("it never ends");
                };
                assert_eq!(leaf.reason(), Some(first));
                first
            })
        });
        thread::scope(|scope| {
            scope.spawn(|| root.cancel("root"));
            scope.spawn(|| middle.cancel("middle"));
            scope.spawn(|| leaves[0].cancel("leaf"));
        });
        for (task, leaf) in tasks.into_iter().zip(&leaves) {
            let first = task.await.expect("it does not panic");
            assert_eq!(leaf.reason(), Some(first));
        }
        assert_eq!(root.reason(), Some("root"));
    }
}

#[tokio::test(start_paused = true)]
async fn cancelling_a_child_drops_its_work_and_not_that_of_its_parent() {
    let stop = Stop::default();
    let (child, clone, held) = (stop.child(), stop.clone(), Arc::new(()));
    let work = |held: Arc<()>| async move {
        sleep(Duration::from_secs(2)).await;
        drop(held);
    };
    let cancels = async {
        sleep(Duration::from_secs(1)).await;
        child.cancel(1);
    };
    let both = (stop.run(work(held.clone())), child.run(work(held.clone())));
    let (parent, stopped, ()) = tokio::join!(both.0, both.1, cancels);
    assert_eq!((parent, stopped), (Ok(()), Err(Stopped(1))));
    assert_eq!((Arc::strong_count(&held), stop.reason()), (1, None));
    // The trap: a clone is the same token.
    clone.cancel(2);
    assert_eq!((stop.reason(), stop.child().reason()), (Some(2), Some(2)));
}

#[test]
fn a_dropped_guard_cancels_and_keeps_the_first_reason() {
    for before in [None, Some(1)] {
        let stop = Stop::default();
        let guard = stop.clone().drop_guard(2);
        if let Some(reason) = before {
            stop.cancel(reason);
        }
        assert_eq!(stop.reason(), before);
        drop(guard);
        assert_eq!(stop.reason(), before.or(Some(2)));
    }
}
