use std::panic::catch_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use shuttle::scheduler::{DfsScheduler, PctScheduler};
use shuttle::{Runner, future};

use crate::model_checking::{Queue, model};

/// A fixed number of orders at random, with few interruptions each.
fn check(model: impl Fn() + Send + Sync + 'static) {
    Runner::new(PctScheduler::new_from_seed(1, 3, 1500), Default::default()).run(model);
}

#[test]
fn nobody_is_forgotten() {
    check(|| model(4, 2, Queue::get));
    check(|| model(2, 4, Queue::get));
    let model = || model(4, 2, Queue::get);
    shuttle::check_random_with_seed(model, 1, 1500);
}

/// One item more makes many more orders.
#[test]
fn every_order_with_a_scheduler_that_draws() {
    let orders = |items| {
        let runner = Runner::new(DfsScheduler::new(None, true), Default::default());
        runner.run(move || model(1, items, Queue::get))
    };
    assert!(orders(1) > 4 * orders(0));
}

#[test]
#[should_panic(expected = "deadlock! blocked tasks: [")]
fn two_consumers_and_an_item() {
    check(|| model(2, 1, Queue::look_then_wait));
}

/// Nobody closes the queue: what is put has to wake both.
fn two_puts_for_two(get: impl AsyncFn(&Queue) -> Option<u32> + Copy + 'static) {
    let queue = Arc::new(Queue::default());
    let gets = [(); 2].map(|()| {
        let queue = Arc::clone(&queue);
        future::spawn_local(async move { get(&queue).await })
    });
    queue.put(1);
    queue.put(2);
    for get in gets {
        assert!(future::block_on(get).expect("not aborted").is_some());
    }
}

#[test]
fn two_wake_ups_stay_two() {
    check(|| two_puts_for_two(Queue::get));
    let bug = catch_unwind(|| check(|| two_puts_for_two(Queue::look_then_wait)));
    assert!(
        bug.is_err(),
        "the second wake-up is lost if nobody waits yet"
    );
}

/// One of two is aborted, perhaps when it was just woken; the other gets the item.
#[test]
fn an_aborted_consumer_passes_its_wake_up_on() {
    check(|| {
        let queue = Arc::new(Queue::default());
        let [first, second] = [(); 2].map(|()| {
            let queue = Arc::clone(&queue);
            future::spawn_local(async move { queue.get().await })
        });
        queue.put(1);
        first.abort();
        let item = match future::block_on(first) {
            Ok(item) => item,
            Err(_) => future::block_on(second).expect("not aborted"),
        };
        assert_eq!(item, Some(1));
    });
}

/// The traps of the header: std's types are not seen, and nothing expires by itself.
#[test]
fn what_shuttle_does_not_see() {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    let lost_update = || {
        let count = Arc::new(AtomicU32::new(0));
        let add = |count: Arc<AtomicU32>| async move {
            let before = count.load(SeqCst);
            count.store(before + 1, SeqCst);
        };
        let adds = [(); 2].map(|()| future::spawn_local(add(Arc::clone(&count))));
        for add in adds {
            future::block_on(add).expect("not aborted");
        }
        assert_eq!(count.load(SeqCst), 2);
    };
    shuttle::check_dfs(lost_update, None);

    let never_expires = || {
        let pending = std::future::pending::<()>();
        let limit = shuttle_tokio::time::timeout(Duration::ZERO, pending);
        let expired = future::block_on(async {
            let sleep = shuttle_tokio::time::sleep(Duration::from_secs(9));
            let mut limit = pin!(limit);
            futures::future::select(limit.as_mut(), pin!(sleep)).await;
            futures::poll!(limit.as_mut()).is_ready()
        });
        assert!(!expired);
    };
    shuttle::check_dfs(never_expires, None);
}

#[test]
#[should_panic(expected = "requested random data from DFS scheduler")]
fn notify_one_under_check_dfs() {
    shuttle::check_dfs(|| model(1, 1, Queue::get), None);
}

/// Without `enable`, two wake-ups before the first poll of two waiters are one.
async fn get_without_enable(queue: &Queue, switch: fn()) -> Option<u32> {
    loop {
        let woken = queue.changed.notified();
        if let Some(found) = queue.look() {
            return found;
        }
        switch();
        woken.await;
    }
}

/// The trap: shuttle does not switch between the look and the first poll by itself.
#[test]
fn a_forgotten_enable_is_found_only_with_a_switch_before_the_poll() {
    let finds = |switch: fn()| {
        let model = move || {
            two_puts_for_two(async move |queue: &Queue| {
                get_without_enable(queue, switch).await
            })
        };
        catch_unwind(|| check(model)).is_err()
    };
    assert!(!finds(|| ()));
    assert!(finds(|| shuttle::thread::sleep(Duration::ZERO)));

    // It is a bug in Tokio's `Notify` as well.
    let notify = tokio::sync::Notify::new();
    let (mut first, mut second) = (pin!(notify.notified()), pin!(notify.notified()));
    notify.notify_one();
    notify.notify_one();
    let mut context = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut context).is_ready());
    assert!(second.as_mut().poll(&mut context).is_pending());
}
