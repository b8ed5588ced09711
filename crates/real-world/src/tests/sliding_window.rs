use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use futures::future::join_all;
use testing::{all_end, all_wait, assert_each_costs_the_same};
use tokio::runtime::Builder;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

use super::support::poll_and_drop;
use crate::sliding_window::{SlidingWindow, ask_again};

const TICK: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// How often the future is polled until it is ready.
async fn polls<F: Future>(future: F) -> usize {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        future.as_mut().poll(context)
    })
    .await;
    polls
}

/// Many callers, each in a task. Of ten, one is aborted, and some give up after at
/// most a tenth of a second. Sorted, the moments of those who got through.
async fn callers(
    limiter: SlidingWindow,
    callers: u64,
    gives_up: fn(u64) -> bool,
) -> Vec<Instant> {
    let limiter = Arc::new(limiter);
    let stamps = Arc::new(Mutex::new(Vec::new()));
    let mut set = JoinSet::new();
    for number in 0..callers {
        let (limiter, stamps) = (Arc::clone(&limiter), Arc::clone(&stamps));
        let task = set.spawn(async move {
            // No await between the two, so none is lost by a cancellation.
            let acquire = async {
                let stamp = limiter.acquire().await;
                stamps.lock().expect("nobody panics").push(stamp);
            };
            if gives_up(number) {
                let patience = Duration::from_millis(number % 100);
                timeout(patience, acquire).await.is_ok()
            } else {
                acquire.await;
                true
            }
        });
        if number % 10 == 9 {
            task.abort();
        }
    }
    let (mut served, mut gave_up, mut aborted) = (0, 0, 0);
    let all = async {
        while let Some(outcome) = set.join_next().await {
            match outcome {
                Ok(true) => served += 1,
                Ok(false) => gave_up += 1,
                Err(error) => {
                    assert!(error.is_cancelled());
                    aborted += 1;
                }
            }
        }
    };
    timeout(MINUTE, all).await.expect("nobody hangs");
    assert_eq!(served + gave_up + aborted, callers as usize);
    let mut stamps = stamps.lock().expect("nobody panics").clone();
    stamps.sort();
    // Some of the aborted may have been served before.
    assert!((served..=served + aborted).contains(&stamps.len()));
    stamps
}

/// Whether no window, without its end, holds more calls than the limit.
fn assert_within(stamps: &[Instant], limit: usize, window: Duration) {
    for calls in stamps.windows(limit + 1) {
        assert!(calls[limit] - calls[0] >= window, "{calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    for (before, behind) in [(1, 0), (1, 3), (2, 3), (4, 0), (4, 2)] {
        for limit in 1..3 {
            let mut completed = false;
            for polls in 1..25 {
                let limiter = SlidingWindow::new(limit, 5 * TICK);
                let start = Instant::now();
                let line = |callers| join_all((0..callers).map(|_| limiter.acquire()));
                let leaves = poll_and_drop(limiter.acquire(), polls);
                let all =
                    async { tokio::join!(biased; line(before), leaves, line(behind)) };
                let all = timeout(HOUR, all).await.expect("nobody hangs");
                completed |= all.1.is_some();
                let stamps = all.0.into_iter().chain(all.1).chain(all.2);
                for (stamp, number) in stamps.zip(0..) {
                    let window = number / limit as u32;
                    assert_eq!(stamp - start, window * 5 * TICK, "{before} {polls}");
                }
            }
            assert!(completed, "25 polls are enough");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once() {
    let window = Duration::from_millis(50);
    let limiter = SlidingWindow::new(1000, window);
    let stamps = callers(limiter, 10_000, |number| number % 3 == 0).await;
    assert!(stamps.len() > 5000);
    assert_within(&stamps, 1000, window);
}

/// On the real clock all may be late, so one good round of five is enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_of_whom_few_stay_lose_no_time() {
    let window = Duration::from_millis(150);
    let mut late = Vec::new();
    while late.len() < 5 {
        let limiter = SlidingWindow::new(3, window);
        let stamps = callers(limiter, 1000, |number| number % 200 != 0).await;
        assert_within(&stamps, 3, window);
        let took = *stamps.last().expect("some stay") - stamps[0];
        let ideal = window * ((stamps.len() as u32 - 1) / 3);
        if took < ideal + window / 3 {
            return;
        }
        late.push(took - ideal);
    }
    panic!("late by {late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_are_exact() {
    for limit in [1, 2, 10] {
        let limiter = SlidingWindow::new(limit, 3 * TICK);
        let stamps = callers(limiter, 1000, |number| number % 3 == 0).await;
        assert_within(&stamps, limit, 3 * TICK);
        let took = *stamps.last().expect("some stay") - stamps[0];
        let windows = (stamps.len() - 1) / limit;
        assert_eq!(took, 3 * TICK * windows as u32);
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_now_and_then() {
    let limiter = SlidingWindow::new(3, 30 * TICK);
    let start = Instant::now();
    let mut ticks = Vec::new();
    // Pauses that leave some of a window, one of them, and more.
    for pause in [
        0, 4, 11, 0, 30, 0, 0, 0, 0, 55, 1, 2, 3, 9, 10, 29, 0, 7, 100, 0, 0, 0,
    ] {
        sleep(pause * TICK).await;
        let stamp = limiter.acquire().await;
        ticks.push((stamp - start).as_millis());
    }
    // From a list by hand.
    let expected = [
        0, 4, 15, 30, 60, 60, 60, 90, 90, 145, 146, 148, 175, 184, 194, 223, 223, 230,
        330, 330, 330, 360,
    ];
    assert_eq!(ticks, expected);
}

#[tokio::test(start_paused = true)]
async fn in_the_order_of_asking() {
    let limiter = Arc::new(SlidingWindow::new(2, TICK));
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut set = JoinSet::new();
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let (limiter, order) = (Arc::clone(&limiter), Arc::clone(&order));
            set.spawn(async move {
                limiter.acquire().await;
                order.lock().expect("nobody panics").push(number);
            })
        })
        .collect();
    // Those at the front and in the middle leave.
    for (number, task) in tasks.iter().enumerate() {
        if number % 7 == 0 {
            sleep(TICK).await;
            task.abort();
        }
    }
    while set.join_next().await.is_some() {}
    let order = order.lock().expect("nobody panics");
    assert!(order.is_sorted() && order.len() > 80, "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn not_woken_while_others_wait() {
    let limiter = Arc::new(SlidingWindow::new(1, HOUR));
    let mut set = JoinSet::new();
    for _ in 0..50 {
        let limiter = Arc::clone(&limiter);
        set.spawn(async move { polls(limiter.acquire()).await });
    }
    // Into the line, to its front, and when the window has room.
    assert!(set.join_all().await.into_iter().all(|polls| polls <= 3));
}

#[tokio::test(start_paused = true)]
async fn limits() {
    let refused = |limit, window| {
        std::panic::catch_unwind(|| SlidingWindow::new(limit, window)).is_err()
    };
    assert!(refused(0, TICK));
    assert!(refused(1, Duration::ZERO));
    assert!(refused(1, Duration::MAX));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_first_in_line() {
    let limiter = Arc::new(SlidingWindow::new(1, TICK));
    let _ = limiter.acquire().await;
    let first = Arc::clone(&limiter);
    let first = tokio::spawn(async move {
        let mut acquire = pin!(first.acquire());
        assert!(futures::poll!(acquire.as_mut()).is_pending());
        yield_now().await;
        panic!("scheduled");
    });
    yield_now().await;
    let second = timeout(2 * TICK, limiter.acquire());
    assert!(second.await.is_ok());
    assert!(first.await.is_err_and(|error| error.is_panic()));
}

#[tokio::test(start_paused = true)]
async fn in_a_struct_in_a_task() {
    struct Client {
        limiter: SlidingWindow,
    }
    impl Client {
        async fn call(&self) -> Instant {
            let ask = || self.limiter.acquire();
            ask().await;
            ask().await
        }
    }
    let limiter = SlidingWindow::new(1, TICK);
    let client = Arc::new(Client { limiter });
    let start = Instant::now();
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.call().await })
        })
        .collect();
    let mut last = start;
    for task in tasks {
        last = last.max(task.await.expect("it does not fail"));
    }
    assert_eq!(last - start, 5 * TICK);
}

#[tokio::test(start_paused = true)]
async fn kept_without_being_polled() {
    let limiter = SlidingWindow::new(1, TICK);
    limiter.acquire().await;
    let mut kept = Box::pin(limiter.acquire());
    assert!(futures::poll!(kept.as_mut()).is_pending());
    assert!(timeout(HOUR, limiter.acquire()).await.is_err());
    drop(kept);
    assert!(timeout(TICK, limiter.acquire()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn asking_again_waits_for_ever() {
    let limiter = SlidingWindow::new(1, TICK);
    ask_again(&limiter).await;
    assert!(timeout(HOUR, ask_again(&limiter)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn finer_than_the_timers() {
    let limiter = SlidingWindow::new(2, Duration::from_micros(10_400));
    let start = Instant::now();
    let stamps = join_all((0..21).map(|_| limiter.acquire())).await;
    assert_eq!(stamps[20] - start, 110 * TICK);
}

#[test]
fn in_a_static_over_two_runtimes() {
    static LIMITER: LazyLock<SlidingWindow> = LazyLock::new(|| {
        let tenth = Duration::from_millis(100);
        SlidingWindow::new(1, tenth)
    });
    let runtime = || Builder::new_current_thread().enable_all().build();
    let first = runtime().expect("there are threads");
    first.block_on(async {
        LIMITER.acquire().await;
        tokio::spawn(LIMITER.acquire());
        yield_now().await;
    });
    // The second was first in line.
    drop(first);
    let second = runtime().expect("there are threads");
    let third = second.block_on(async { timeout(HOUR, LIMITER.acquire()).await });
    assert!(third.is_ok());
}

#[test]
fn calls_cost_the_same_however_many_the_window_holds() {
    assert_each_costs_the_same(async |number| {
        let window = Duration::from_micros(5 * number);
        let limiter = Arc::new(SlidingWindow::new(number as usize, window));
        for _ in 0..number {
            limiter.acquire().await;
        }
        let waiters = all_wait(number, |_| {
            let limiter = Arc::clone(&limiter);
            async move {
                limiter.acquire().await;
            }
        });
        all_end(waiters.await).await;
    });
}
